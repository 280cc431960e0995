"""Choose the Graph permissions of one application: those that stay, those that go, and narrower ones instead.

A narrower permission may replace a broader one if it lies within the held ones. There are two proofs. By the map: the
held permissions allow every request that it allows. By its name: `X.Read…` reads what `X.ReadWrite…` of the same words
reads and writes, and that one is held or lies within the held ones by the map. One that is enough for every request
that was seen, and yet allows others that the map does not list for the broad one, is advice.
Source: Microsoft Learn, "Overview of Microsoft Graph permissions", naming pattern {resource}.{operation}.{constraint}.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from rightsize.analyze.graph.cases import OUT_OF_COVERAGE, CaseKey, GraphCase, GraphMap, GraphNeed
from rightsize.analyze.graph.judge import GraphAnalysis, GraphVerdicts
from rightsize.analyze.graph.permissions import Pair
from rightsize.analyze.reasons import SHOWN, OutOfCoverage, UnobservableReason, Verdict
from rightsize.model.plan import Advice, Proof
from rightsize.propose.graph.cover import cheapest_cover
from rightsize.rules.graph import alternatives, is_general, partial_kind, writing_twin


@dataclass(frozen=True, slots=True)
class GraphChoice:
    """The permissions of one case after the plan.

    Attributes:
        stays: Permissions held today that stay, each with a reason of the verdict or of the plan.
        goes: Permissions held today that are removed, each with the narrower ones that replace it, if any.
        duplicates: Permissions of a user's own grant that the tenant-wide grant gives as well.
        comes: New permissions that are not held today.
        proof: The proof that every need is met after the plan, and no new access is granted.
        allowed: Number of requests that are explained today and stay allowed.
    """

    stays: Mapping[str, str]
    goes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    duplicates: frozenset[str] = frozenset()
    comes: frozenset[str] = frozenset()
    proof: Proof = field(default_factory=lambda: Proof(used_subset=True, granted_superset=True))
    allowed: int = 0

    @property
    def after(self) -> frozenset[str]:
        """The permissions that are held after the plan."""
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
    """Return the cheapest permissions that meet every need of a case.

    Args:
        case: The case.
        judgements: The verdict on each of its permissions.
        graph: The permission map.
        leave: Permissions that are not changed, each with the reason.
        drops_unobservable: Whether permissions are removed whose use no log can show.
        is_covered: Whether the log covers enough of the window; if not, nothing changes.
        beyond: The permissions of the tenant-wide grant after the plan, for a grant of one user.
    """
    # What agents asked for is counted in their own cases.
    allowed = len(set(case.requests) - set(case.unexplained) - set(case.agents))
    if not is_covered:
        reasons = {one: found.reason for one, found in judgements.items()}
        return GraphChoice(reasons, allowed=allowed)
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
    )


def _why_kept(reason: str, found: GraphVerdicts) -> str:
    """Return the reason why a permission is kept; a used one gets its verdict's reason where `reason` is untrue."""
    is_used = found.verdict is Verdict.USED
    return (
        found.reason if is_used and reason in (OutOfCoverage.QUARANTINED, UnobservableReason.SIGN_IN_SCOPE) else reason
    )


def _stays(found: GraphVerdicts, drops_unobservable: bool) -> bool:
    if found.verdict is Verdict.UNOBSERVABLE:
        # Permissions that only add details to the results of others are needs of the cover: the cheapest stays.
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
    """Return twice the privilege of a permission, plus 1 if it is not held, so that no swap is made without gain."""
    privilege = graph.privilege(permission, case.key[1])
    return 2 * privilege + (0 if permission in case.held or permission in case.beyond else 1)


def _instead(permission: str, case: GraphCase, comes: frozenset[str]) -> tuple[str, ...]:
    """Return the new permissions that meet the needs which a removed permission met."""
    met = [need for need in case.needs if permission in need.held]
    return tuple(sorted({one for need in met for one in need.others & comes}))


def unmet(needs: Iterable[GraphNeed], after: frozenset[str] | set[str]) -> list[GraphNeed]:
    """Return the needs that no permission of `after` meets; a correlated one only adds details to results."""
    return [need for need in needs if need.why != "correlated" and not (need.held | need.others) & after]


def _prove(case: GraphCase, after: frozenset[str], comes: frozenset[str], graph: GraphMap) -> Proof:
    """Return the proof, from the permissions after the plan: every need is met, and none exceeds those held before."""
    access, held = case.key[1], frozenset(case.held) | case.beyond
    missing = [need.operations[0] for need in unmet(case.needs, after)]
    wider = [
        _first(requests_beyond(one, held, access, graph))
        for one in sorted(comes)
        if not lies_within(one, held, access, graph)
    ]
    return Proof(used_subset=not missing, granted_superset=not wider, witness=next(iter([*missing, *wider]), None))


def lies_within(permission: str, held: Collection[str], access: str, graph: GraphMap) -> bool:
    """Return whether the held permissions allow every request that a permission allows."""
    if not requests_beyond(permission, held, access, graph):
        return True
    writing = writing_twin(permission)
    return writing is not None and (writing in held or not requests_beyond(writing, held, access, graph))


def requests_beyond(permission: str, held: Collection[str], access: str, graph: GraphMap) -> set[Pair]:
    """Return the requests that a permission allows and, by the map, no held permission allows in whole."""
    allows = graph.by_access[access].allows
    left = set(allows.get(permission, set()))
    for one in held:
        # A permission that allows only a part of a request does not prove that the whole request is allowed.
        if is_general(one):
            left -= {pair for pair in allows.get(one, set()) if partial_kind(one, *pair) is None}
    return left if permission in allows else {("?", "?")}


def _first(requests: set[Pair]) -> str:
    """Return the first request by its path."""
    method, path = min(requests, key=lambda pair: (pair[1], pair[0]))
    return f"{method} {path}"


def graph_advice(
    analysis: GraphAnalysis, choices: Mapping[CaseKey, GraphChoice], names: Mapping[str, str]
) -> Iterator[Advice]:
    """Yield what a person may decide: chosen resources, and narrower permissions that add something."""
    for key, choice in choices.items():
        name = names.get(key[0], key[0])
        for permission in choice.after:
            for one in alternatives(permission, key[1]):
                text = f"{permission} ({key[1]}) reaches everything; {one.instead} reaches {one.only}"
                yield Advice(name, text)
        if analysis.state in SHOWN:
            yield from (Advice(name, text) for text in _narrower(analysis, analysis.cases[key], choice))


def _narrower(analysis: GraphAnalysis, case: GraphCase, choice: GraphChoice) -> Iterator[str]:
    """Yield a sentence for each used permission that stays although a narrower one meets all its needs."""
    access, graph = case.key[1], analysis.graph
    for permission, found in analysis.judgements[case.key].items():
        if found.verdict is not Verdict.USED or choice.stays.get(permission) != found.reason:
            continue
        needs = [need for need in case.needs if need.held & choice.after == {permission}]
        enough = frozenset.intersection(*(need.others for need in needs)) if needs else frozenset()
        known = [
            (graph.privilege(one, access), one) for one in enough if is_general(one) and (access, one) in graph.ids
        ]
        less, one = min(known, default=(0, ""))
        added: set[Pair] = requests_beyond(one, choice.after, access, graph) if one else set()
        if added and less < graph.privilege(permission, access):
            yield (
                f"{permission} ({access}): {one} allows every request that was seen; it would also allow {len(added)} "
                f"that today's permissions are not documented for, such as {_first(added)}"
            )
