"""Report for each swap the later refusals that its removed assignments would have allowed, or that it is closed.

Days without a refusal close only what a covered log would have shown; docs/decisions/0012-swaps-are-whole.md says why.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rightsize.change.bundle import Held, Swap, VaultSwitch
from rightsize.change.journal import Entry
from rightsize.change.steps import State, state_of
from rightsize.model.nouns import PermissionBlock
from rightsize.model.text import fold
from rightsize.rbac.algebra import grants, grants_alike
from rightsize.rbac.permissions import Reading
from rightsize.rbac.scopes import is_within, parse_scope
from rightsize.rules.vaults import operations_by_permission

Watch = Literal[
    "open", "begun", "failed", "stopped", "rolling_back", "rolled_back", "scope_gone",
    "watching", "tripped", "blind", "closed",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refusal:
    """Refused calls of one day: principal, operation, scope, plane, number, and the time of the last one."""

    principal_id: str
    operation: str
    scope: str
    plane: str
    calls: int
    last_seen: dt.datetime


@dataclass(frozen=True, slots=True)
class SeenUse:
    """The facts from the store about the time after the swaps.

    Attributes:
        refusals: Refused calls.
        covered: Days that the Activity Log covers, by folded subscription or `/`, and the logs of vaults by vault.
        members: Members of each group, nested ones included.
        roles: Permission blocks of each role, the plan's included.
        tree: Parent of each folded management group and subscription.
        today: The day up to which soak days are counted.
    """

    refusals: Sequence[Refusal]
    covered: Mapping[str, frozenset[dt.date]]
    members: Mapping[str, frozenset[str]]
    roles: Mapping[str, Sequence[PermissionBlock]]
    tree: Mapping[str, str]
    today: dt.date


@dataclass(frozen=True, slots=True)
class SwapStatus:
    """The status of a swap.

    Attributes:
        state: Not done, `watching`, `tripped`, `blind` (what no log shows is still open), or `closed`.
        since: The time it was done.
        covered_days: Days since then that a log covers at all scopes where something was removed.
        refusals: Refused calls that the removed assignments would have allowed: together the smallest add-back.
        reason: Why it failed, where it did.
    """

    swap: str
    wave: int
    state: Watch
    since: dt.datetime | None
    covered_days: int
    refusals: tuple[Refusal, ...]
    reason: str | None = None


def standing_of(swap: Swap, entries: Sequence[Entry], seen: SeenUse, *, watch_days: int, soak_days: int) -> SwapStatus:
    """Return the status of a swap.

    Args:
        swap: The swap.
        entries: Its entries in the journal.
        seen: The facts from the store since then.
        watch_days: Covered days without a refusal that close the operations that a log would show.
        soak_days: Days after which the operations that no log shows are closed, too.
    """
    state: State = state_of(entries)
    since = next((dt.datetime.fromisoformat(one.at) for one in entries if one.event == "done"), None)
    reason = next((str(one.data.get("reason")) for one in entries if one.event in ("failed", "stopped")), None)
    if state != "done" or since is None:
        return SwapStatus(swap.id, swap.wave, state if state != "done" else "begun", since, 0, (), reason)
    refused = tuple(one for one in seen.refusals if _tripped(swap, one, since, seen))
    days = _covered_days(swap, since.date(), seen)
    confirmed = any(one.event == "confirmed" for one in entries)
    is_blind = swap.blind > 0 or any(_has_data(gone, seen) for gone in swap.removes)
    watch: Watch = "closed"
    if refused:
        watch = "tripped"
    elif days < watch_days:
        watch = "watching"
    elif is_blind and not confirmed and (seen.today - since.date()).days < soak_days:
        watch = "blind"
    return SwapStatus(swap.id, swap.wave, watch, since, days, refused, reason)


def _tripped(swap: Swap, refusal: Refusal, since: dt.datetime, seen: SeenUse) -> bool:
    if refusal.last_seen.replace(tzinfo=dt.UTC) < since:
        return False
    made = [one for one in swap.creates if _allows(one, refusal, seen)]
    if any(_allowed_before(one, refusal, seen) for one in swap.switches):
        return not made
    return any(
        not any(_allows_alike(one, gone, refusal, seen) for one in made)
        for gone in swap.removes
        if _allows(gone, refusal, seen)
    )


def _allowed_before(switch: VaultSwitch, refusal: Refusal, seen: SeenUse) -> bool:
    """Return whether an access policy of a switched vault allowed a call that is refused now."""
    if refusal.plane != "data" or not is_within(parse_scope(refusal.scope), parse_scope(switch.vault), seen.tree):
        return False
    who, name = fold(refusal.principal_id), fold(refusal.operation)
    allowed = operations_by_permission()
    return any(
        name in allowed.get((kind, word), ())
        for held in switch.policies
        if who == held.principal_id or who in seen.members.get(held.principal_id, frozenset())
        for kind, _, word in (text.partition(" ") for text in held.permissions)
    )


def _allows_alike(made: Held, gone: Held, refusal: Refusal, seen: SeenUse) -> bool:
    """Return whether a new assignment certainly allows a refused call, or allows it whenever the removed one did."""
    new, old = seen.roles.get(made.role, ()), seen.roles.get(gone.role, ())
    return grants(new, refusal.operation, refusal.plane, Reading.LEAST) != "no" or grants_alike(
        new, old, refusal.operation, refusal.plane
    )


def _allows(held: Held, refusal: Refusal, seen: SeenUse) -> bool:
    who = fold(refusal.principal_id)
    if who != fold(held.principal_id) and who not in seen.members.get(fold(held.principal_id), frozenset()):
        return False
    if not is_within(parse_scope(refusal.scope), parse_scope(held.scope), seen.tree):
        return False
    return grants(seen.roles.get(held.role, ()), refusal.operation, refusal.plane) != "no"


def _has_data(gone: Held, seen: SeenUse) -> bool:
    return any(block.data_actions for block in seen.roles.get(gone.role, ()))


def _covered_days(swap: Swap, day: dt.date, seen: SeenUse) -> int:
    """Return the number of days after `day` that a log covers for every scope where something was removed."""
    places = {place for gone in swap.removes for place in _logs_of(fold(gone.scope), seen.tree)}
    # What a vault refuses stands in its own log.
    places |= {fold(one.vault) for one in swap.switches}
    whole = seen.covered.get("/", frozenset())
    whole = frozenset() if swap.switches else whole
    days = [seen.covered.get(place, frozenset()) | whole for place in sorted(places)]
    return min((sum(one > day for one in found) for found in days), default=0)


def _logs_of(scope: str, tree: Mapping[str, str]) -> set[str]:
    """Return the scopes whose logs hold a scope's calls: its subscription, or itself and all below it."""
    parts = scope.split("/")
    if parts[1:2] == ["subscriptions"]:
        return {"/".join(parts[:3])}
    found = {scope}
    while more := {child for child, parent in tree.items() if fold(parent) in found} - found:
        found |= more
    return found


def add_back(status: SwapStatus) -> list[dict[str, Any]]:
    """Return the access that a tripped swap lacks: each refused principal, operation, scope and plane once."""
    calls: Counter[tuple[str, str, str, str]] = Counter()
    for one in status.refusals:
        calls[one.principal_id, one.operation, one.scope, one.plane] += one.calls
    return [
        {"principal_id": who, "operation": operation, "scope": scope, "plane": plane, "calls": calls[key]}
        for key in sorted(calls)
        for who, operation, scope, plane in (key,)
    ]
