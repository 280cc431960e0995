"""The steps that all parts of a rollout share: ask with patience, write a line, read back, delete."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar

from rightsize.azure.exchange import Clock
from rightsize.model.nouns import PermissionBlock
from rightsize.model.role_forms import read_role_definitions
from rightsize.rbac.text import fold
from rightsize.rollout.arm import Arm
from rightsize.rollout.bundle import Bundle, Held, Swap
from rightsize.rollout.journal import Entry, Journal
from rightsize.rollout.rest import RefusalError, SettlingError
from rightsize.rules.tables import rows_of

State = Literal["open", "begun", "failed", "done", "stopped", "rolling_back", "rolled_back", "scope_gone"]
_TRIES = 12
_ENDS: Mapping[str, State] = {
    "done": "done",
    "failed": "failed",
    "stopped": "stopped",
    "rollback": "rolling_back",
    "rolled-back": "rolled_back",
    "scope-gone": "scope_gone",
}
T = TypeVar("T")


class NotRemovedError(RefusalError):
    """Azure had nothing to delete, though it showed the assignment just before: another party is changing it."""

    def __init__(self, url: str) -> None:
        super().__init__(f"Azure showed {url}, but found nothing to delete: somebody else changed it", "NotRemoved")


def state_of(entries: Iterable[Entry]) -> State:
    """Return the state of a swap after its journal entries."""
    state: State = "open"
    for entry in entries:
        state = _ENDS.get(entry.event, "begun" if state == "open" else state)
    return state


def seconds_apart() -> float:
    """Return the seconds between the two reads of a new assignment (rules/propagation.csv)."""
    return next(float(row["seconds"]) for row in rows_of("propagation") if row["kind"] == "read_again")


def grants_the_same(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Return whether two role definitions in ARM's form have the same permission blocks."""
    return _blocks(ours) == _blocks(theirs)


class Steps:
    """The steps on one bundle, with access to Azure and the journal."""

    def __init__(
        self,
        bundle: Bundle,
        arm: Arm,
        journal: Journal,
        clock: Clock,
        report_progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.bundle, self.arm, self.journal, self.clock, self.report_progress = (
            bundle,
            arm,
            journal,
            clock,
            report_progress,
        )
        self.existed = {
            entry.key: bool(entry.data["existed"]) for entry in journal.entries if entry.event == "role-begin"
        }
        """Whether a role of the plan was there before the rollout; by role."""

    def state(self, swap: Swap) -> State:
        """Return the state of a swap."""
        return state_of(self.journal.of(swap.id))

    def latest(self, swap: Swap, event: str) -> list[Entry]:
        """Return the entries of one kind for a swap, the oldest first."""
        return [entry for entry in self.journal.of(swap.id) if entry.event == event]

    def has(self, swap: Swap, event: str, key: str) -> bool:
        """Return whether a swap has an entry of this kind and key."""
        return any(entry.key == key for entry in self.latest(swap, event))

    def once(self, swap: Swap, event: str, key: str) -> None:
        """Write an entry unless it already exists."""
        if not self.has(swap, event, key):
            self.write(swap, event, key)

    def write(self, swap: Swap, event: str, key: str, data: dict[str, Any] | None = None) -> None:
        """Write an entry."""
        self.journal.write(swap.id, event, key, self.clock.utc().isoformat(timespec="seconds"), data)

    def patiently(self, step: Callable[[], T]) -> T:
        """Do a step, and repeat it until Azure has settled; raise RefusalError where Azure does not settle."""
        for _ in range(_TRIES - 1):
            try:
                return step()
            except SettlingError as error:
                self.clock.sleep(error.seconds)
        try:
            return step()
        except SettlingError as error:
            raise RefusalError(str(error), "NotSettled") from error

    def look(self, url: str) -> dict[str, Any] | None:
        """Return the present properties of an assignment in Azure, or None where it is gone."""
        live = self.patiently(lambda: self.arm.assignment(url))
        if live is None:
            for check in self.arm.scope_checks(url):
                self.patiently(check)
        return live

    def read_back(self, url: str, held: Held) -> None:
        """Raise an error where an assignment is not in Azure as it was made; the description may differ."""

        def step() -> None:
            live = self.look(url)
            if live is None or held.differs_from(live) not in (None, "description"):
                raise SettlingError(f"Azure does not show assignment {held.id} as it was made")

        self.patiently(step)

    def delete(self, url: str) -> None:
        """Delete an assignment that Azure shows, and check that it is gone.

        Raises:
            NotRemovedError: Azure had nothing to delete.
        """
        did, lost = False, self.arm.lost

        def step() -> None:
            nonlocal did
            removed = self.patiently(lambda: self.arm.delete_assignment(url))
            # An earlier try whose answer was lost may have deleted it.
            if not removed and not did and self.arm.lost == lost:
                raise NotRemovedError(url)
            did = True
            if self.look(url) is not None:
                raise SettlingError(f"Azure still shows {url} after its deletion")

        self.patiently(step)


def _blocks(role: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    (read,) = read_role_definitions(dict(role))
    return sorted((_block(block) for block in read.permissions), key=str)


def _block(block: PermissionBlock) -> tuple[Any, ...]:
    kinds = (block.actions, block.not_actions, block.data_actions, block.not_data_actions)
    return (*(tuple(sorted({fold(text.strip()) for text in kind})) for kind in kinds), block.condition or "")
