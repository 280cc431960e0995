"""Carry out the swaps of a bundle, one wave at a time, with a journal line before each step.

A swap ends in the plan's state or in the original one, never between: it is done whole, or the part that was done is
undone. A run that is killed continues from its journal; every step may be done twice. An old assignment is removed only
after the wait, when its replacement was read back from Azure twice, some seconds apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rightsize.azure.exchange import Clock
from rightsize.model.errors import AccessError
from rightsize.rollout.additions import Additions
from rightsize.rollout.arm import Arm
from rightsize.rollout.bundle import Bundle, Held, Swap, kept_properties
from rightsize.rollout.journal import Journal
from rightsize.rollout.preflight import Preflight, PreflightFacts, check_unchanged, old_role
from rightsize.rollout.rest import RefusalError
from rightsize.rollout.steps import NotRemovedError, Steps, seconds_apart
from rightsize.rollout.waiting import wait_for
from rightsize.rollout.way_back import WayBack


class RolloutEngine:
    """The engine that carries out the waves of one bundle, or rolls its swaps back."""

    def __init__(
        self,
        bundle: Bundle,
        arm: Arm,
        journal: Journal,
        clock: Clock,
        report_progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._steps = Steps(bundle, arm, journal, clock, report_progress)
        self._additions = Additions(self._steps)
        self._way_back = WayBack(self._steps, self._additions)

    def apply(self, wave: int, known: PreflightFacts | None = None) -> None:
        """Bring a wave into Azure: make all new assignments, wait once, read them back, then remove the old ones.

        Args:
            wave: Its number.
            known: Who runs the rollout, and facts from the store about people.

        Raises:
            AccessError: A check before the wave may not be read, or belongs to another tenant.
            FaultError: Azure does not answer; call again later to continue.
            GateError: Azure's limits leave no room.
            JournalError: The journal takes no line.
            RefusalError: Azure refuses a step of a rollback.
        """
        steps = self._steps
        swaps = [swap for swap in steps.bundle.swaps if swap.wave == wave]
        self.roll_back([swap for swap in swaps if self._is_going_back(swap)])
        going = [swap for swap in swaps if steps.state(swap) in ("open", "begun") or self._is_stopped(swap)]
        if not going:
            return
        try:
            preflight = Preflight(steps, known or PreflightFacts(), going)
        except RefusalError as error:
            raise AccessError(f"cannot check wave {wave} before it begins: {error.reason}") from error
        failed: list[Swap] = []
        going = self._each(going, preflight.check, failed)
        going = self._each(going, self._additions.make, failed)
        wait_for(steps, going, "waiting", lambda swap: swap.wait)
        going = self._each(going, self._read_back, failed)
        if going:
            steps.clock.sleep(seconds_apart())
        for swap in self._each(going, self._finish, failed):
            steps.report_progress(f"swap {swap.id}: done")
        self.roll_back(failed)

    def roll_back(self, swaps: Sequence[Swap]) -> None:
        """Restore the state before some swaps; see `WayBack.roll_back`."""
        self._way_back.roll_back(swaps)

    def _is_going_back(self, swap: Swap) -> bool:
        state, steps = self._steps.state(swap), self._steps
        return state in ("failed", "rolling_back") or (state == "stopped" and bool(steps.latest(swap, "rollback")))

    def _is_stopped(self, swap: Swap) -> bool:
        return self._steps.state(swap) == "stopped" and not self._is_going_back(swap)

    def _each(self, swaps: Sequence[Swap], step: Callable[[Swap], None], failed: list[Swap]) -> list[Swap]:
        """Do a step of each swap; return the swaps where it succeeded, and add the others to `failed`."""
        steps, done = self._steps, []
        for swap in swaps:
            try:
                step(swap)
            except NotRemovedError as error:
                steps.write(swap, "stopped", swap.id, {"reason": error.reason, "code": error.code})
                steps.report_progress(f"swap {swap.id}: stopped: {error.reason}")
            except RefusalError as error:
                steps.write(swap, "failed", swap.id, {"reason": error.reason, "code": error.code})
                steps.report_progress(f"swap {swap.id}: {error.reason}")
                failed.append(swap)
            else:
                done.append(swap)
        return done

    def _read_back(self, swap: Swap) -> None:
        found = {entry.key: str(entry.data.get("as") or entry.key) for entry in self._steps.latest(swap, "created")}
        for made in swap.creates:
            self._steps.read_back(made.url.replace(made.id, found[made.id]), made)

    def _finish(self, swap: Swap) -> None:
        self._read_back(swap)
        self._steps.once(swap, "verified", swap.id)
        for gone in swap.removes:
            self._remove(swap, gone)
        self._steps.write(swap, "done", swap.id)

    def _remove(self, swap: Swap, gone: Held) -> None:
        steps = self._steps
        if steps.has(swap, "removed", gone.id):
            return
        if not steps.has(swap, "remove-begin", gone.id):
            live, role = check_unchanged(steps, gone), old_role(steps, gone)
            if role is not None and not steps.has(swap, "old-role", gone.role):
                steps.write(swap, "old-role", gone.role, {"url": gone.role_url, "role": role})
            steps.write(swap, "remove-begin", gone.id, {"url": gone.url, "properties": kept_properties(live)})
            steps.delete(gone.url)
        elif steps.look(gone.url) is not None:
            # An earlier run noted the deletion but did not do it; if it had, nothing would be left to delete.
            steps.delete(gone.url)
        steps.write(swap, "removed", gone.id)
