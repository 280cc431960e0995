"""What becomes of the permissions of one application: which stay, which go, and which narrower one comes instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rightsize.analyze.graph.cases import OUT_OF_COVERAGE, GraphCase, GraphMap, GraphNeed
from rightsize.analyze.graph.judge import GraphVerdicts
from rightsize.analyze.reasons import OutOfCoverage, UnobservableReason, Verdict
from rightsize.model.plan import Proof
from rightsize.propose.graph.cover import cheapest_cover
from rightsize.propose.graph.narrower import first_beyond, lies_within
from rightsize.rules.graph import is_general


@dataclass(frozen=True, slots=True)
class GraphChoice:
    """What a case comes to.

    Attributes:
        stays: Permissions held today that stay, each with why: a reason of the verdict, or one of the plan's own.
        goes: Permissions held today that go, each with the narrower ones that come instead, if any.
        duplicates: Permissions of a user's own grant that the tenant-wide one gives anyway.
        comes: Permissions that are not held today.
        proof: That every need is met afterwards, and nothing is granted that was not.
        allowed: Requests that are explained today and stay allowed.
        unknown: Requests that nothing explains today.
    """

    stays: Mapping[str, str]
    goes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    duplicates: frozenset[str] = frozenset()
    comes: frozenset[str] = frozenset()
    proof: Proof = field(default_factory=lambda: Proof(used_subset=True, granted_superset=True))
    allowed: int = 0
    unknown: int = 0

    @property
    def after(self) -> frozenset[str]:
        """What is held afterwards."""
        return frozenset(self.stays) | self.comes


def choose(
    case: GraphCase,
    judgements: Mapping[str, GraphVerdicts],
    graph: GraphMap,
    *,
    leave: Mapping[str, str],
    drops_unobservable: bool,
    is_covered: bool,
    beyond: frozenset[str] = frozenset(),
) -> GraphChoice:
    """Choose the cheapest permissions that meet every need.

    Args:
        case: The case.
        judgements: The verdict on each of its permissions.
        graph: The map.
        leave: Permissions that are left alone, each with the reason.
        drops_unobservable: Whether what no log could show goes.
        is_covered: Whether the log speaks of the whole window; else nothing changes.
        beyond: What the tenant-wide grant holds afterwards, for a grant of one user.
    """
    allowed, unknown = len(set(case.requests) - set(case.unexplained)), len(case.unexplained)
    if not is_covered:
        reasons = {one: found.reason for one, found in judgements.items()}
        return GraphChoice(reasons, allowed=allowed, unknown=unknown)
    stays = {
        permission: _why_kept(reason, judgements[permission])
        for permission, (reason, _) in case.kept.items()
        if reason in OUT_OF_COVERAGE or not drops_unobservable
    }
    stays |= {permission: found.reason for permission, found in judgements.items() if _stays(found, drops_unobservable)}
    stays |= leave
    duplicates = frozenset(case.held) & beyond - frozenset(leave)
    for one in duplicates:
        stays.pop(one, None)
    options = [_options(need, case, graph) for need in _weighed(case.needs, drops_unobservable)]
    costs = {one: _cost(one, case, graph) for option in options for one in option}
    chosen = cheapest_cover(options, costs, frozenset(stays) | beyond)
    for permission in sorted(chosen & frozenset(case.held)):
        stays.setdefault(permission, judgements[permission].reason)
    comes = chosen - frozenset(case.held) - beyond
    goes = {
        permission: _instead(permission, case, comes)
        for permission in sorted(case.held)
        if permission not in stays and permission not in duplicates
    }
    after = frozenset(stays) | comes | beyond
    return GraphChoice(
        stays=dict(sorted(stays.items())),
        goes=goes,
        duplicates=duplicates,
        comes=comes,
        proof=_prove(case, after, comes, graph),
        allowed=allowed,
        unknown=unknown,
    )


def _why_kept(reason: str, found: GraphVerdicts) -> str:
    """Return why a permission stays whatever the needs; of a used one only what is true of it."""
    is_used = found.verdict is Verdict.USED
    return (
        found.reason if is_used and reason in (OutOfCoverage.QUARANTINED, UnobservableReason.SIGN_IN_SCOPE) else reason
    )


def _stays(found: GraphVerdicts, drops_unobservable: bool) -> bool:
    if found.verdict is Verdict.UNOBSERVABLE:
        # What only fills in what others return is weighed with them: the cheapest that does so stays.
        return not drops_unobservable and found.reason != "correlated"
    return found.verdict is Verdict.OUT_OF_COVERAGE


def _weighed(needs: tuple[GraphNeed, ...], drops_unobservable: bool) -> list[GraphNeed]:
    return [need for need in needs if need.why != "correlated" or not drops_unobservable]


def _options(need: GraphNeed, case: GraphCase, graph: GraphMap) -> frozenset[str]:
    held = frozenset(case.held) | case.beyond
    narrower = {
        one
        for one in need.others
        if is_general(one)
        and (case.key[1], one) in graph.ids
        and graph.level(one, case.key[1]) <= max(graph.level(other, case.key[1]) for other in need.held)
        and lies_within(one, held, case.key[1], graph)
    }
    return need.held | narrower


def _cost(permission: str, case: GraphCase, graph: GraphMap) -> int:
    """What is held costs what it gives; what is not costs a little more, so that nothing is swapped for nothing."""
    privilege = graph.privilege(permission, case.key[1])
    return 2 * privilege + (0 if permission in case.held or permission in case.beyond else 1)


def _instead(permission: str, case: GraphCase, comes: frozenset[str]) -> tuple[str, ...]:
    """Return the new permissions that meet needs which one that goes met."""
    met = [need for need in case.needs if permission in need.held]
    return tuple(sorted({one for need in met for one in need.others & comes}))


def _prove(case: GraphCase, after: frozenset[str], comes: frozenset[str], graph: GraphMap) -> Proof:
    """Ask again, from what is held afterwards alone: is every need met, and does all of it lie within what was held?"""
    access = case.key[1]
    unmet = [need for need in case.needs if need.why != "correlated" and not (need.held | need.others) & after]
    held = frozenset(case.held) | case.beyond
    wider = [witness for one in sorted(comes) if (witness := first_beyond(one, held, access, graph)) is not None]
    witness = unmet[0].operations[0] if unmet else wider[0] if wider else None
    return Proof(used_subset=not unmet, granted_superset=not wider, witness=witness)
