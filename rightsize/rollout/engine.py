"""Does what a bundle says, swap by swap, with the way back written down before each step.

A swap ends in the plan's state or in the original one, never between: it is done whole, or what was done of it is
undone. A run that is killed goes on where its journal stands; every step may be done twice.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Literal, TypeVar

from rightsize.azure.throttle import Clock
from rightsize.model.role_forms import hash_of_role, read_role_definitions
from rightsize.rbac.text import fold
from rightsize.rollout.arm import Arm
from rightsize.rollout.bundle import Bundle, Held, Rules, Swap, kept_properties
from rightsize.rollout.journal import Entry, Journal
from rightsize.rollout.pim import has_ended, same_rules
from rightsize.rollout.rest import RefusalError, SettlingError

State = Literal["open", "begun", "failed", "done", "rolling_back", "rolled_back"]
_TRIES = 12
_NO_ROOM = "roleassignmentlimitexceeded"
_ENDS: Mapping[str, State] = {
    "done": "done",
    "failed": "failed",
    "rollback": "rolling_back",
    "rolled-back": "rolled_back",
}
T = TypeVar("T")


def state_of(entries: Iterable[Entry]) -> State:
    """Return the state that the entries of a swap leave it in."""
    state: State = "open"
    for entry in entries:
        state = _ENDS.get(entry.event, "begun" if state == "open" else state)
    return state


class Engine:
    """Carries out one bundle."""

    def __init__(
        self, bundle: Bundle, arm: Arm, journal: Journal, clock: Clock, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self._bundle, self._arm, self._journal, self._clock, self._tell = bundle, arm, journal, clock, tell
        self._existed = {
            entry.key: bool(entry.data["existed"]) for entry in journal.entries if entry.event == "role-begin"
        }

    def apply(self, wave: int, *, own: Collection[str] = ()) -> None:
        """Bring a wave into Azure: make everything that comes, wait once, read it back, then remove what goes.

        Args:
            wave: Its number.
            own: Principals whose access whoever runs this has: none of it is removed.

        Raises:
            FaultError: Azure does not answer; the same call goes on later.
        """
        swaps = [swap for swap in self._bundle.swaps if swap.wave == wave]
        for swap in swaps:
            if self._state(swap) in ("failed", "rolling_back"):
                self.roll_back(swap)
        going = [swap for swap in swaps if self._state(swap) in ("open", "begun")]
        locked = self._locks(going)
        going = [swap for swap in going if self._guarded(swap, lambda s: self._prepare(s, own, locked))]
        self._wait(going)
        for swap in going:
            if self._guarded(swap, self._finish):
                self._write(swap, "done", swap.id)
                self._tell(f"swap {swap.id}: done")

    def roll_back(self, swap: Swap) -> None:
        """Bring a swap back to what was there before it.

        Raises:
            FaultError: Azure does not answer; the same call goes on later.
            RefusalError: Azure does not take something back.
        """
        if self._state(swap) in ("open", "rolled_back"):
            return
        if self._state(swap) != "rolling_back":
            self._write(swap, "rollback", swap.id)
        for entry in self._latest(swap, "remove-begin"):
            self._restore(swap, entry)
        self._undo_all(swap)
        for rules in swap.rules:
            self._give_back(swap, rules)
        for entry in self._latest(swap, "role-begin"):
            if not entry.data["existed"]:
                self._drop_role(swap, entry)
        self._write(swap, "rolled-back", swap.id)
        self._tell(f"swap {swap.id}: rolled back")

    def _guarded(self, swap: Swap, step: Callable[[Swap], None]) -> bool:
        try:
            step(swap)
        except RefusalError as error:
            self._write(swap, "failed", swap.id, {"reason": error.reason, "code": error.code})
            self._tell(f"swap {swap.id}: {error.reason}")
            self.roll_back(swap)
            return False
        return True

    def _prepare(self, swap: Swap, own: Collection[str], locked: Collection[str]) -> None:
        mine = sorted({fold(one.principal_id) for one in swap.removes} & set(map(fold, own)))
        if mine:
            raise RefusalError(f"it would take away access of whoever runs this: {mine[0]}", "OwnAccess")
        for one in (*swap.creates, *swap.removes):
            for lock in locked:
                if fold(one.scope) == lock or fold(one.scope).startswith(f"{lock}/"):
                    raise RefusalError(f"a lock at {lock} keeps assignments at {one.scope} as they are", "ScopeLocked")
        for gone in swap.removes:
            if not self._has(swap, "remove-begin", gone.id):
                self._check_unchanged(gone)
        for role in swap.roles:
            self._make_role(swap, role)
        for rules in swap.rules:
            self._carry_over(swap, rules)
        for made in swap.creates:
            self._create(swap, made)

    def _locks(self, swaps: Iterable[Swap]) -> set[str]:
        places = {_subscription(one.scope) for swap in swaps for one in (*swap.creates, *swap.removes)}
        found: set[str] = set()
        for place in sorted(places - {""}):
            found.update(self._patiently(lambda place=place: self._arm.locks(place)))  # type: ignore[misc]
        return found

    def _check_unchanged(self, gone: Held) -> dict[str, Any]:
        live = self._look(gone.url)
        difference = "it is gone" if live is None else gone.differs_from(live)
        if live is None or difference is not None:
            what = difference if live is None else f"its {difference} is another"
            raise RefusalError(f"assignment {gone.id} was changed by somebody else: {what}", "Changed")
        if gone.state == "eligible" and self._patiently(lambda: self._arm.pim.is_activated(gone.url)):
            raise RefusalError(f"assignment {gone.id} is activated, and in use, at the moment", "Activated")
        return live

    def _make_role(self, swap: Swap, role: str) -> None:
        body = self._bundle.roles[role]
        place = str(body["properties"]["assignableScopes"][0]).rstrip("/")
        url = f"{place}/providers/Microsoft.Authorization/roleDefinitions/{role}"
        if self._has(swap, "role-made", role):
            return
        live = self._patiently(lambda: self._arm.definition(url))
        if live is not None and not _same_role(body, live):
            raise RefusalError(f"role {role} is there already, and is another", "RoleChanged")
        if not self._has(swap, "role-begin", role):
            # A role that an earlier swap of this rollout made is ours, though it is there.
            existed = self._existed.setdefault(role, live is not None)
            self._write(swap, "role-begin", role, {"existed": existed, "url": url})
        if live is None:
            self._patiently(lambda: self._arm.put_definition(url, body))
        self._once(swap, "role-made", role)

    def _carry_over(self, swap: Swap, rules: Rules) -> None:
        """Give a role the rules of the one that it replaces, before anybody holds it."""
        if self._has(swap, "rules-set", rules.key):
            return
        wanted = self._patiently(lambda: self._arm.pim.rules(rules.of_scope, rules.of_role))
        for other in (one for one in swap.rules if one.key == rules.key and one != rules):
            others = self._patiently(lambda place=other: self._arm.pim.rules(place.of_scope, place.of_role))  # type: ignore[misc]
            if not same_rules(wanted, others):
                said = f"role {rules.role} at {rules.scope} replaces roles of different rules"
                raise RefusalError(said, "RulesDiffer")
        if not self._has(swap, "rules-begin", rules.key):
            found = self._patiently(lambda: self._arm.pim.rules(rules.scope, rules.role))
            if same_rules(found, wanted):
                self._write(swap, "rules-set", rules.key)
                return
            # Rules are everybody's who holds the role there.
            if self._needs(swap, rules) or self._patiently(lambda: self._arm.pim.holders(rules.scope, rules.role)):
                said = f"role {rules.role} at {rules.scope} has other rules than the one it replaces, and other holders"
                raise RefusalError(said, "RulesShared")
            self._write(swap, "rules-begin", rules.key, {"rules": found})
        self._patiently(lambda: self._arm.pim.set_rules(rules.scope, rules.role, wanted))
        self._write(swap, "rules-set", rules.key)

    def _give_back(self, swap: Swap, rules: Rules) -> None:
        """Give a role its own rules back, unless another swap needs those that it has."""
        if self._has(swap, "rules-back", rules.key):
            return
        if not self._needs(swap, rules):
            begun = (entry for one in self._bundle.swaps for entry in self._latest(one, "rules-begin"))
            for before in [entry.data["rules"] for entry in begun if entry.key == rules.key][:1]:
                self._patiently(lambda: self._arm.pim.set_rules(rules.scope, rules.role, before))  # noqa: B023
        self._write(swap, "rules-back", rules.key)

    def _needs(self, swap: Swap, rules: Rules) -> bool:
        """Return whether another swap has had rules set on the same role at the same place, and is not taken back."""
        others = (one for one in self._bundle.swaps if one.id != swap.id and self._has(one, "rules-set", rules.key))
        return any(self._state(one) in ("begun", "done") for one in others)

    def _create(self, swap: Swap, made: Held) -> None:
        if self._has(swap, "created", made.id):
            return
        if not self._has(swap, "create-begin", made.id):
            live = self._look(made.url)
            if live is not None and made.differs_from(live) not in (None, "description"):
                raise RefusalError(f"assignment {made.id} is there already, and is another", "Changed")
            self._write(swap, "create-begin", made.id, {"existed": live is not None, "url": made.url})
        if any(entry.key == made.id and entry.data["existed"] for entry in self._latest(swap, "create-begin")):
            self._write(swap, "created", made.id)
            return
        found = {}
        try:
            self._patiently(lambda: self._arm.put_assignment(made.url, made.properties()))
        except RefusalError as error:
            if fold(error.code) != "roleassignmentexists":
                raise
            other = self._patiently(lambda: self._arm.same_assignment(made))
            if other is None:
                raise
            found = {"as": other}
        self._write(swap, "created", made.id, found)

    def _wait(self, swaps: Iterable[Swap]) -> None:
        until = None
        for swap in swaps:
            if not self._has(swap, "waiting", swap.id):
                moment = self._clock.utc() + dt.timedelta(seconds=swap.wait)
                self._write(swap, "waiting", swap.id, {"until": moment.isoformat()})
            (entry,) = self._latest(swap, "waiting")
            until = max(filter(None, (until, dt.datetime.fromisoformat(entry.data["until"]))))
        if until is not None and (left := (until - self._clock.utc()).total_seconds()) > 0:
            self._tell(f"waiting {left:,.0f} s until Azure knows everywhere what is new")
            self._clock.sleep(left)

    def _finish(self, swap: Swap) -> None:
        elsewhere = {entry.key: str(entry.data.get("as") or entry.key) for entry in self._latest(swap, "created")}
        for made in swap.creates:
            url = made.url.replace(made.id, elsewhere[made.id])
            self._patiently(lambda url=url, made=made: self._read_back(url, made))  # type: ignore[misc]
        self._once(swap, "verified", swap.id)
        for gone in swap.removes:
            self._remove(swap, gone)

    def _read_back(self, url: str, made: Held) -> None:
        live = self._arm.assignment(url)
        if live is None or made.differs_from(live) not in (None, "description"):
            raise SettlingError(f"assignment {made.id} does not read back as it was made")

    def _remove(self, swap: Swap, gone: Held) -> None:
        if self._has(swap, "removed", gone.id):
            return
        if not self._has(swap, "remove-begin", gone.id):
            live = self._check_unchanged(gone)
            self._write(swap, "remove-begin", gone.id, {"url": gone.url, "properties": kept_properties(live)})
        self._patiently(lambda: self._delete(gone.url))
        self._write(swap, "removed", gone.id)

    def _delete(self, url: str) -> None:
        self._patiently(lambda: self._arm.delete(url))
        if self._look(url) is not None:
            raise SettlingError(f"{url} is still there")

    def _restore(self, swap: Swap, entry: Entry) -> None:
        if self._has(swap, "restored", entry.key):
            return
        properties, url = entry.data["properties"], entry.data["url"]
        if has_ended(properties, self._clock.utc()):
            self._write(swap, "restored", entry.key, {"ended": properties["endDateTime"]})
            return
        try:
            self._patiently(lambda: self._put_back(url, properties))
        except RefusalError as error:
            if fold(error.code) != _NO_ROOM:
                raise
            # Azure is full: what came has to go first.
            self._undo_all(swap)
            self._patiently(lambda: self._put_back(url, properties))
        self._write(swap, "restored", entry.key)

    def _put_back(self, url: str, properties: Mapping[str, Any]) -> None:
        live = self._look(url)
        if live is not None and kept_properties(live) == properties:
            return
        self._patiently(lambda: self._arm.put_assignment(url, properties))
        live = self._look(url)
        if live is None or kept_properties(live) != properties:
            raise SettlingError(f"{url} does not read back as it was")

    def _undo_all(self, swap: Swap) -> None:
        for entry in self._latest(swap, "create-begin"):
            if not entry.data["existed"]:
                self._undo(swap, entry)

    def _undo(self, swap: Swap, entry: Entry) -> None:
        if self._has(swap, "deleted", entry.key):
            return
        created = {one.key: one for one in self._latest(swap, "created")}.get(entry.key)
        if created is None or not created.data.get("as"):
            self._patiently(lambda: self._delete(entry.data["url"]))
        self._write(swap, "deleted", entry.key)

    def _drop_role(self, swap: Swap, entry: Entry) -> None:
        """Delete a role that came with the rollout, unless another swap or anybody else uses it."""
        if self._has(swap, "role-dropped", entry.key):
            return
        users = {one.id for one in self._bundle.swaps if entry.key in one.roles and one.id != swap.id}
        in_use = any(self._state(one) in ("begun", "done") for one in self._bundle.swaps if one.id in users)
        if not in_use:
            try:
                self._patiently(lambda: self._arm.delete(entry.data["url"]))
            except RefusalError as error:
                if fold(error.code) != "roledefinitionhasassignments":
                    raise
            else:
                # Another swap that needs it makes it anew, and it is still ours.
                self._existed[entry.key] = False
        self._write(swap, "role-dropped", entry.key)

    def _look(self, url: str) -> dict[str, Any] | None:
        return self._patiently(lambda: self._arm.assignment(url))

    def _patiently(self, step: Callable[[], T]) -> T:
        for _ in range(_TRIES - 1):
            try:
                return step()
            except SettlingError as error:
                self._clock.sleep(error.seconds)
        try:
            return step()
        except SettlingError as error:
            raise RefusalError(str(error), "NotSettled") from error

    def _state(self, swap: Swap) -> State:
        return state_of(self._journal.of(swap.id))

    def _latest(self, swap: Swap, event: str) -> list[Entry]:
        return [entry for entry in self._journal.of(swap.id) if entry.event == event]

    def _has(self, swap: Swap, event: str, key: str) -> bool:
        return any(entry.key == key for entry in self._latest(swap, event))

    def _once(self, swap: Swap, event: str, key: str) -> None:
        if not self._has(swap, event, key):
            self._write(swap, event, key)

    def _write(self, swap: Swap, event: str, key: str, data: dict[str, Any] | None = None) -> None:
        self._journal.write(swap.id, event, key, self._clock.utc().isoformat(timespec="seconds"), data)


def _same_role(body: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
    ours, theirs = read_role_definitions(dict(body))[0], read_role_definitions(dict(live))[0]
    return hash_of_role(ours) == hash_of_role(theirs)


def _subscription(scope: str) -> str:
    parts = scope.split("/")
    return "/".join(parts[:3]) if fold(scope).startswith("/subscriptions/") else ""
