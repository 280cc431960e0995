"""Carry out the swaps of a bundle, one wave at a time, with a journal line before each step, and roll them back.

A rollback makes again what was removed, waits, reads it back twice, then deletes what was added. What is made again is
what the bundle says was removed, as the journal has it; never anything else.

A swap ends in the plan's state or in the original one, never between: it is done whole, or the part that was done is
undone. A run that is killed continues from its journal; every step may be done twice. An old assignment is removed only
after the wait, when its replacement was read back from Azure twice, some seconds apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from rightsize.change.arm import has_ended
from rightsize.change.bundle import Held, ScheduleRules, Swap, kept_properties
from rightsize.change.journal import Entry
from rightsize.change.preflight import Preflight, PreflightFacts, check_unchanged, old_role
from rightsize.change.rest import RefusalError, ScopeGoneError, SettlingError
from rightsize.change.steps import Additions, NotRemovedError, Steps, grants_the_same, seconds_apart, wait_for
from rightsize.change.vaults import VaultModels
from rightsize.model.errors import AccessError
from rightsize.model.text import fold

_OVER = ("open", "rolled_back", "scope_gone")


class OldGoneError(RefusalError):
    """Another party removed or changed an assignment that a swap was to remove: its replacement has to stay."""

    def __init__(self, held: Held) -> None:
        super().__init__(f"somebody else removed or changed assignment {held.id}", "OldGone")


class WayBack:
    """The rollback of swaps of one bundle."""

    def __init__(self, steps: Steps, additions: Additions) -> None:
        self._steps, self._arm, self._additions = steps, steps.arm, additions
        self._models = VaultModels(steps)

    def roll_back(self, swaps: Sequence[Swap]) -> None:
        """Restore the state before some swaps, for all of them where Azure allows it.

        Raises:
            FaultError: Azure does not answer; call again later to continue.
            RefusalError: Azure refuses a step; the first refusal, raised after the other swaps are done.
        """
        steps = self._steps
        back = [swap for swap in swaps if steps.state(swap) not in _OVER]
        for swap in back:
            if steps.state(swap) != "rolling_back":
                steps.write(swap, "rollback", swap.id)
        refused: list[RefusalError] = []
        back = self._each(back, self._restore_all, refused)
        back = self._each(back, self._models.switch_back, refused)
        old_again = ("restored", "switched-back")
        waiting = [
            swap for swap in back if any(steps.latest(swap, event) for event in old_again) and self._to_undo(swap)
        ]
        wait_for(steps, waiting, "waiting-back", lambda swap: swap.wait_back)
        back = self._each(back, self._read_old, refused)
        if any(self._to_undo(swap) for swap in back):
            steps.clock.sleep(seconds_apart())
        self._each(back, self._finish, refused)
        if refused:
            raise refused[0]

    def _each(self, swaps: Iterable[Swap], step: Callable[[Swap], None], refused: list[RefusalError]) -> list[Swap]:
        """Do a step of each swap, and return the swaps where it succeeded."""
        done = []
        for swap in swaps:
            try:
                step(swap)
            except OldGoneError as error:
                self._steps.write(swap, "stopped", swap.id, {"reason": error.reason, "code": error.code})
                self._steps.report_progress(f"swap {swap.id}: stopped: {error.reason}; its replacement stays")
            except RefusalError as error:
                self._steps.report_progress(f"swap {swap.id}: not rolled back: {error.reason}")
                refused.append(error)
            else:
                done.append(swap)
        return done

    def _restore_all(self, swap: Swap) -> None:
        for entry in self._steps.latest(swap, "remove-begin"):
            gone = self._removed(swap, entry)
            try:
                self._restore(swap, entry, gone)
            except ScopeGoneError as error:
                self._steps.once(swap, "scope-missing", gone.id)
                self._steps.report_progress(f"swap {swap.id}: {error.reason}")

    def _removed(self, swap: Swap, entry: Entry) -> Held:
        """Return the assignment of the bundle whose removal a journal entry notes."""
        for gone in swap.removes:
            live = {**entry.data["properties"], "scope": gone.scope}
            if gone.id == entry.key and gone.url == entry.data["url"] and gone.differs_from(live) is None:
                return gone
        raise RefusalError(f"the journal would restore {entry.key}, which differs from the plan", "NotInPlan")

    def _restore(self, swap: Swap, entry: Entry, gone: Held) -> None:
        steps = self._steps
        if steps.has(swap, "restored", entry.key):
            return
        properties = entry.data["properties"]
        if has_ended(properties, steps.clock.utc()):
            steps.write(swap, "restored", entry.key, {"ended": properties["endDateTime"]})
            return
        live = steps.look(gone.url)
        if live is None or kept_properties(live) != properties:
            self._bring_role_back(swap, gone)
            steps.patiently(lambda: self._put_back(gone.url, properties))
        steps.write(swap, "restored", entry.key)

    def _bring_role_back(self, swap: Swap, gone: Held) -> None:
        """Make the custom role of an assignment again, where it was deleted in the meantime."""
        for entry in self._steps.latest(swap, "old-role"):
            body, known = entry.data["role"], self._steps.bundle.old_roles.get(gone.role)
            if entry.key != gone.role:
                continue
            if known is None or not grants_the_same(known, body) or fold(str(body.get("name"))) != gone.role:
                raise RefusalError(
                    f"the journal would restore role {gone.role}, which differs from the plan", "NotInPlan"
                )
            url = gone.role_url
            if self._steps.patiently(lambda: self._arm.definition(url)) is None:  # noqa: B023
                self._steps.patiently(lambda: self._arm.put_definition(url, body))  # noqa: B023
                self._steps.write(swap, "old-role-back", gone.role)

    def _put_back(self, url: str, properties: Mapping[str, Any]) -> None:
        live = self._steps.look(url)
        if live is not None and kept_properties(live) == properties:
            return
        self._steps.patiently(lambda: self._arm.put_assignment(url, properties))
        live = self._steps.look(url)
        if live is None or kept_properties(live) != properties:
            raise SettlingError(f"Azure does not show {url} as it was")

    def _read_old(self, swap: Swap) -> None:
        """Raise an error where an old assignment is not in Azure, if new ones are to be deleted."""
        steps = self._steps
        self._models.check_back(swap)
        if not self._to_undo(swap):
            return
        over = {entry.key for entry in steps.latest(swap, "restored") if entry.data.get("ended")}
        over |= {entry.key for entry in steps.latest(swap, "scope-missing")}
        restored = {entry.key for entry in steps.latest(swap, "restored")}
        for gone in (one for one in swap.removes if one.id not in over):
            try:
                steps.read_back(gone.url, gone)
            except ScopeGoneError:
                steps.once(swap, "scope-missing", gone.id)
            except RefusalError as error:
                if error.code != "NotSettled" or gone.id in restored or self._ends_by_itself(gone):
                    raise
                raise OldGoneError(gone) from error

    def _ends_by_itself(self, gone: Held) -> bool:
        return has_ended({"endDateTime": gone.until}, self._steps.clock.utc())

    def _to_undo(self, swap: Swap) -> list[Entry]:
        """Return the entries of the assignments that a swap made and that are not deleted yet."""
        steps = self._steps
        begun = [entry for entry in steps.latest(swap, "create-begin") if not entry.data["existed"]]
        return [entry for entry in begun if not steps.has(swap, "deleted", entry.key)]

    def _finish(self, swap: Swap) -> None:
        steps = self._steps
        self._read_old(swap)
        for entry in self._to_undo(swap):
            self._undo(swap, entry)
        for rules in swap.rules:
            self._give_back(swap, rules)
        for entry in steps.latest(swap, "role-begin"):
            if not entry.data["existed"]:
                self._drop_role(swap, entry)
        lost = steps.latest(swap, "scope-missing") or [
            entry for entry in steps.latest(swap, "failed") if entry.data.get("code") == "ScopeGone"
        ]
        steps.write(swap, "scope-gone" if lost else "rolled-back", swap.id)
        steps.report_progress(f"swap {swap.id}: {'its scope is gone' if lost else 'rolled back'}")

    def _undo(self, swap: Swap, entry: Entry) -> None:
        steps = self._steps
        made = next((one for one in swap.creates if one.id == entry.key and one.url == entry.data["url"]), None)
        if made is None:
            raise RefusalError(f"the journal would delete {entry.key}, which the plan does not create", "NotInPlan")
        created = {one.key: one for one in steps.latest(swap, "created")}.get(entry.key)
        if created is None or not created.data.get("as"):
            try:
                if steps.look(made.url) is None:
                    # Azure may show late what it accepted: send the DELETE anyway; finding nothing is fine, too.
                    steps.patiently(lambda: self._arm.delete_assignment(made.url))
                else:
                    steps.delete(made.url)
            except ScopeGoneError as error:
                # It went with its scope.
                steps.report_progress(f"swap {swap.id}: {error.reason}")
        steps.write(swap, "deleted", entry.key)

    def _give_back(self, swap: Swap, rules: ScheduleRules) -> None:
        """Restore the former rules of a role, unless another swap needs the present ones."""
        steps = self._steps
        if steps.has(swap, "rules-back", rules.key):
            return
        if not self._additions.needs(swap, rules):
            begun = (entry for one in steps.bundle.swaps for entry in steps.latest(one, "rules-begin"))
            for before in [entry.data["rules"] for entry in begun if entry.key == rules.key][:1]:
                # Where the scope is gone, its rules are gone, too.
                with suppress(ScopeGoneError):
                    steps.patiently(lambda: self._arm.pim.set_rules(rules.scope, rules.role, before))  # noqa: B023
        steps.write(swap, "rules-back", rules.key)

    def _drop_role(self, swap: Swap, entry: Entry) -> None:
        """Delete a role that the rollout made, unless another swap or another party uses it."""
        steps = self._steps
        if steps.has(swap, "role-dropped", entry.key):
            return
        if entry.key not in swap.roles or not entry.data["url"].endswith(f"/roleDefinitions/{entry.key}"):
            raise RefusalError(
                f"the journal would delete role {entry.key}, which the plan does not create", "NotInPlan"
            )
        users = {one.id for one in steps.bundle.swaps if entry.key in one.roles and one.id != swap.id}
        in_use = any(steps.state(one) in ("begun", "done", "stopped") for one in steps.bundle.swaps if one.id in users)
        if not in_use:
            try:
                steps.patiently(lambda: self._arm.delete_definition(entry.data["url"]))
            except RefusalError as error:
                if fold(error.code) != "roledefinitionhasassignments":
                    raise
            else:
                # Another swap that needs it makes it again, and it still belongs to this rollout.
                steps.existed[entry.key] = False
        steps.write(swap, "role-dropped", entry.key)


class RolloutEngine:
    """The engine that carries out the waves of one bundle, or rolls its swaps back."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._additions = Additions(self._steps)
        self._way_back = WayBack(self._steps, self._additions)
        self._models = VaultModels(self._steps)

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
        self._models.switch(swap)
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
