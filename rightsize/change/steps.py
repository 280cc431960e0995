"""Make what a swap adds (roles, PIM rules, assignments), and wait once until Azure has spread it.

The wait is resumed from the journal.

The steps that all parts of a rollout share: ask with patience, write a line, read back, delete.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from rightsize.azure.exchange import Clock
from rightsize.change.arm import Arm, same_rules
from rightsize.change.bundle import Bundle, Held, ScheduleRules, Swap
from rightsize.change.journal import Entry, Journal
from rightsize.change.rest import RefusalError, SettlingError
from rightsize.model.nouns import PermissionBlock
from rightsize.model.role_forms import hash_of_role, read_role_definitions
from rightsize.model.text import fold
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


@dataclass(slots=True)
class Steps:
    """The steps on one bundle, with access to Azure and the journal.

    Attributes:
        existed: Whether a role of the plan was there before the rollout; by role.
    """

    bundle: Bundle
    arm: Arm
    journal: Journal
    clock: Clock
    report_progress: Callable[[str], None] = lambda _: None
    existed: dict[str, bool] = field(init=False)

    def __post_init__(self) -> None:
        begun = [entry for entry in self.journal.entries if entry.event == "role-begin"]
        self.existed = {entry.key: bool(entry.data["existed"]) for entry in begun}

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


def wait_for(steps: Steps, swaps: Iterable[Swap], event: str, seconds: Callable[[Swap], int]) -> None:
    """Wait until every swap has waited long enough; a resumed run waits only the rest.

    Args:
        steps: The rollout.
        swaps: The swaps.
        event: The kind of journal entry that holds the end of the wait, written before the wait begins.
        seconds: Returns the seconds that a swap waits.
    """
    until = None
    for swap in swaps:
        if not steps.has(swap, event, swap.id):
            moment = steps.clock.utc() + dt.timedelta(seconds=seconds(swap))
            steps.write(swap, event, swap.id, {"until": moment.isoformat()})
        entry = steps.latest(swap, event)[-1]
        until = max(filter(None, (until, dt.datetime.fromisoformat(entry.data["until"]))))
    if until is not None and (left := (until - steps.clock.utc()).total_seconds()) > 0:
        steps.report_progress(f"waiting {left:,.0f} s until the changes reach all of Azure")
        steps.clock.sleep(left)


class Additions:
    """Makes the roles, rules and assignments that a swap adds; repeatable. Every method raises RefusalError."""

    def __init__(self, steps: Steps) -> None:
        self._steps, self._arm = steps, steps.arm

    def make(self, swap: Swap) -> None:
        """Make roles, then rules, then assignments."""
        for role in swap.roles:
            self._make_role(swap, role)
        for rules in swap.rules:
            self._carry_over(swap, rules)
        for made in swap.creates:
            self._create(swap, made)

    def needs(self, swap: Swap, rules: ScheduleRules) -> bool:
        """Return whether another swap, not rolled back, has set rules on the same role at the same scope."""
        steps = self._steps
        others = (one for one in steps.bundle.swaps if one.id != swap.id and steps.has(one, "rules-set", rules.key))
        return any(steps.state(one) in ("begun", "done", "stopped") for one in others)

    def _make_role(self, swap: Swap, role: str) -> None:
        steps = self._steps
        body = steps.bundle.roles[role]
        place = str(body["properties"]["assignableScopes"][0]).rstrip("/")
        url = f"{place}/providers/Microsoft.Authorization/roleDefinitions/{role}"
        if steps.has(swap, "role-made", role):
            return
        live = steps.patiently(lambda: self._arm.definition(url))
        if live is not None and _grants(live) != _grants(body):
            raise RefusalError(f"role {role} already exists and differs from the plan", "RoleChanged")
        if not steps.has(swap, "role-begin", role):
            # An existing role that an earlier swap of this rollout made is ours.
            existed = steps.existed.setdefault(role, live is not None)
            steps.write(swap, "role-begin", role, {"existed": existed, "url": url})
        if live is None:
            steps.patiently(lambda: self._arm.put_definition(url, body))
        steps.once(swap, "role-made", role)

    def _carry_over(self, swap: Swap, rules: ScheduleRules) -> None:
        """Set on a role the PIM rules of the role that it replaces, before anybody holds it."""
        steps, pim = self._steps, self._arm.pim
        if steps.has(swap, "rules-set", rules.key):
            return
        wanted = steps.patiently(lambda: pim.rules(rules.of_scope, rules.of_role))
        for other in (one for one in swap.rules if one.key == rules.key and one != rules):
            others = steps.patiently(lambda place=other: pim.rules(place.of_scope, place.of_role))  # type: ignore[misc]
            if not same_rules(wanted, others):
                said = f"role {rules.role} at {rules.scope} replaces roles whose PIM rules differ"
                raise RefusalError(said, "RulesDiffer")
        if not steps.has(swap, "rules-begin", rules.key):
            found = steps.patiently(lambda: pim.rules(rules.scope, rules.role))
            if same_rules(found, wanted):
                steps.write(swap, "rules-set", rules.key)
                return
            # Rules apply to every holder of the role at that scope.
            if self.needs(swap, rules) or steps.patiently(lambda: pim.holders(rules.scope, rules.role)):
                said = (
                    f"role {rules.role} at {rules.scope} has other holders and other PIM rules than the replaced role"
                )
                raise RefusalError(said, "RulesShared")
            steps.write(swap, "rules-begin", rules.key, {"rules": found})
        steps.patiently(lambda: pim.set_rules(rules.scope, rules.role, wanted))
        steps.write(swap, "rules-set", rules.key)

    def _create(self, swap: Swap, made: Held) -> None:
        steps = self._steps
        if steps.has(swap, "created", made.id):
            return
        if not steps.has(swap, "create-begin", made.id):
            live = steps.look(made.url)
            if live is not None and made.differs_from(live) not in (None, "description"):
                raise RefusalError(f"assignment {made.id} already exists and differs from the plan", "Changed")
            if live is not None:
                self._check_stays(made, made.id)
            steps.write(swap, "create-begin", made.id, {"existed": live is not None, "url": made.url})
        if any(entry.key == made.id and entry.data["existed"] for entry in steps.latest(swap, "create-begin")):
            steps.write(swap, "created", made.id)
            return
        found = {}
        try:
            steps.patiently(lambda: self._arm.put_assignment(made.url, made.properties()))
        except RefusalError as error:
            if fold(error.code) != "roleassignmentexists":
                raise
            other = steps.patiently(lambda: self._arm.same_assignment(made))
            if other is None:
                raise
            self._check_stays(made, other)
            found = {"as": other}
        steps.write(swap, "created", made.id, found)

    def _check_stays(self, made: Held, found: str) -> None:
        """Raise RefusalError where an existing assignment that would replace ours is to be removed, or ends."""
        going = {fold(gone.id) for one in self._steps.bundle.swaps for gone in one.removes}
        if fold(found) in going:
            raise RefusalError(f"assignment {found} grants the same, but this rollout removes it", "SameAsGoing")
        if not made.is_managed and self._steps.patiently(lambda: self._arm.pim.ends(made.scope, made.role, made)):
            raise RefusalError(f"assignment {found} grants the same, but ends by itself: it is an activation", "Ends")


def _grants(role: object) -> str:
    """Return the hash of what a role grants and where: an earlier plan may have named or described it otherwise."""
    read = read_role_definitions(dict(role))[0]  # type: ignore[call-overload]
    return hash_of_role(replace(read, role_name="", description=""))
