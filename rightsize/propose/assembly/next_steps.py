"""Rank the changes of a plan by the excess that they remove per unit of effort and risk, in waves.

The cost of a step is counted in reviews of one change:

    1 for each assignment that changes
  + 2 for each new role that no earlier step makes
  + 1 for each doubling of the people and workloads that it touches
  + 10 times the chance of breaking, and again as much for each doubling

Excess is weighted by risk already. Shares count live excess, each plane for itself: the planes have different units.

What gives the tenant away comes before all waves, whatever its excess: the most power first, then what is unused. An
assignment of this kind that the plan keeps is a step too, as a question to its owner.
"""

from __future__ import annotations

import heapq
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter, itemgetter

from rightsize.analyze.reasons import Unused, sentence
from rightsize.mining.cliques import hang_together
from rightsize.model.plan import AZURE_ROLES, PLANE_NAMES, Plan, Proposal
from rightsize.model.plan_totals import TODAY, Danger, LeftOut, NextStep, NextSteps, Reached, latent_of
from rightsize.model.text import Folded, fold

MOST_WORTH = 5
"""The number of steps of a plane in the wave of those that buy most; what has to go together counts once."""
NOT_WORTH = "not worth a role"
"""The beginning of the reason of an assignment that stays since a new role is not worth it."""

EMERGENCY_ACCESS = "emergency_access"
"""The word for an assignment that stays since its holder is an emergency access account."""

_ROLE, _BREAK = 2, 10
_TRUST = "trust"
_STAYS = "stays "
_PROOFS = frozenset(word.value for word in Unused)
_NOBODY = Reached()
_ONE = Reached(people=1)


def rank_steps(plan: Plan, reached: Mapping[str, Reached] | None = None) -> NextSteps:
    """Return the changes of a plan in the order in which they are best made; ties go by the id of the proposal.

    Args:
        plan: The plan, as it was made or as it was read.
        reached: The people and workloads behind a principal, by folded id; one that is missing counts as one person.
    """
    new = {role.definition.role_definition_id for role in plan.roles}
    by_plane: dict[str, list[Proposal]] = defaultdict(list)
    for proposal in plan.all_proposals:
        by_plane[AZURE_ROLES if proposal.is_of_rbac else proposal.plane].append(proposal)
    dangers = _dangers(plan.all_proposals)
    steps: list[tuple[_Order, Callable[[int], NextStep]]] = []
    removable: dict[str, float] = {}
    for plane in (plane for plane in PLANE_NAMES if plane in by_plane):
        groups = _groups(_changes(by_plane[plane], new, reached or {}, dangers))
        removable[plane] = sum(one.removes for group in groups for one in group.changes)
        wholes = removable[plane], sum(map(_live_before, by_plane[plane]))
        total, made = 0.0, set[str]()
        for wave, group in _in_order(groups):
            for one in group.changes:
                total += one.removes
                makes = tuple(role for role in one.new_roles if role not in made)
                made.update(makes)
                order = (wave, group.danger if wave == TODAY else ())
                steps.append((order, partial(_step, wave, one, group, total, makes, wholes)))
    # Within a wave the planes and their order stay, but what gives the tenant away is one list.
    steps.sort(key=itemgetter(0))
    ranked = (step_at(rank) for rank, (_, step_at) in enumerate(steps, 1))
    return NextSteps(tuple(ranked), tuple(_left_out(plan.proposals)), removable)


_Order = tuple[int, tuple[object, ...]]


def _live_before(one: Proposal) -> float:
    return max(0.0, one.excess_before - latent_of(one.kind, one.evidence).before)


def _dangers(proposals: Sequence[Proposal]) -> dict[str, Danger]:
    """Return by proposal why it gives the tenant away, as the evidence says.

    A duplicate does not, since its twin stays, nor an activation, since the eligible assignment behind it does. Who
    signs in by a federated credential gets the power of its principal.
    """
    found: dict[str, Danger] = {}
    powers: dict[str, Danger] = {}
    for one in sorted(proposals, key=lambda one: one.plane == _TRUST):
        said = one.evidence.get("gives_away")
        if not said or one.kind.needs_container or one.evidence.get("state") == "activated":
            continue
        word = str(one.evidence.get("by_design") or one.reason.partition(":")[0])
        owners = tuple(map(str, said.get("owners") or ()))
        danger = Danger(word == EMERGENCY_ACCESS, int(said["power"]), not _is_unused(one), str(said["what"]), owners)
        for holder in map(fold, one.principal_ids):
            if one.plane == _TRUST and holder in powers:
                most = powers[holder]
                what = f"{danger.what}, and the principal {most.what}"
                danger = replace(danger, power=min(danger.power, most.power), what=what)
            powers[holder] = min(danger, powers.get(holder, danger))
        found[one.id] = danger
    return found


def _is_unused(one: Proposal) -> bool:
    """Return whether no log shows a use; of what no log could show, it is not known."""
    permissions = one.evidence.get("permissions")
    if permissions:
        return all(said.get("verdict") == "unused" for said in permissions)
    return not one.evidence.get("used") and not one.evidence.get("used_before")


@dataclass(frozen=True, slots=True)
class _Change:
    """All that a plan does to one assignment."""

    plane: str
    proposals: tuple[Proposal, ...]
    new_roles: tuple[str, ...]
    reached: Reached
    removes: float
    latent: float
    danger: Danger | None

    @property
    def main(self) -> Proposal:
        return self.proposals[0]

    @property
    def chance(self) -> float:
        return max(one.break_probability_30d for one in self.proposals)

    @property
    def wave(self) -> int:
        """Return the earliest wave that it may go in; 4 stands for waves 3 and 4."""
        if self.danger is not None:
            return TODAY
        if not any(one.kind.may_break for one in self.proposals):
            return 1
        return 2 if all(map(_is_proved_unused, self.proposals)) else 4


@dataclass(frozen=True, slots=True)
class _Group:
    """Changes that have to go together."""

    changes: tuple[_Change, ...]
    wave: int
    removes: float
    fixed_cost: float
    new_roles: frozenset[str]

    @property
    def danger(self) -> tuple[object, ...]:
        """Return the order of what gives the tenant away: by its most power, then what is unused, changes first."""
        most = min(one.danger for one in self.changes if one.danger is not None)
        main = self.changes[0].main
        return most.is_emergency, most.power, most.is_used, main.kind.keeps, main.id

    def value(self, made: set[str]) -> float:
        """Return the excess that it removes per unit of cost, where some new roles are made already."""
        return self.removes / (self.fixed_cost + _ROLE * len(self.new_roles - made))


def _is_proved_unused(one: Proposal) -> bool:
    """Return whether a proposal only removes, and evidence says of every removed operation that nobody used it."""
    if not (one.kind.removes and one.kind.may_break) or not one.proof.holds:
        return False
    if one.plane == "graph":
        found = one.evidence.get("permissions") or ()
        return bool(found) and all(said.get("verdict") == "unused" for said in found)
    evidence = one.evidence
    words = {word for word, number in (evidence.get("removed") or {}).items() if number}
    kept = sum((evidence.get("kept_unseen") or {}).values())
    removed = sum((evidence.get("removed") or {}).values())
    # What nothing is said of is undecided.
    return bool(words) and words <= _PROOFS and not kept and removed >= evidence.get("granted", 0)


def _changes(
    proposals: Sequence[Proposal],
    new: set[Folded],
    reached: Mapping[str, Reached],
    dangers: Mapping[str, Danger],
) -> dict[str, _Change]:
    """Return the change of each assignment of a plane, by its folded id; what stays and is a danger is one of none."""
    parts: dict[str, list[Proposal]] = defaultdict(list)
    for one in proposals:
        if one.kind.changes:
            parts[fold(one.replaces[0])].append(one)
        elif one.id in dangers:
            parts[f"{_STAYS}{one.id}"].append(one)
    found: dict[str, _Change] = {}
    for key, together in sorted(parts.items()):
        # The first has the excess of today, the others become eligible.
        together.sort(key=lambda one: (-one.excess_before, one.id))
        live = latent = 0.0
        for one in together:
            absent = latent_of(one.kind, one.evidence)
            latent += absent.before - absent.after
            live += max(0.0, one.excess_before - absent.before) - max(0.0, one.excess_after - absent.after)
        main = together[0]
        plane = AZURE_ROLES if main.is_of_rbac else main.plane
        roles = sorted({made.role for one in together for made in one.assignments} & new)
        touched = _sum(main.principal_ids, reached) if main.kind.has_holder else _NOBODY
        danger = min((dangers[one.id] for one in together if one.id in dangers), default=None)
        found[key] = _Change(plane, tuple(together), tuple(roles), touched, max(0.0, live), max(0.0, latent), danger)
    return found


def _sum(principals: Iterable[str], reached: Mapping[str, Reached]) -> Reached:
    found = [reached.get(fold(id_), _ONE) for id_ in principals]
    return Reached(sum(one.people for one in found), sum(one.workloads for one in found))


def _groups(changes: Mapping[str, _Change]) -> list[_Group]:
    """Return the groups of changes of a plane that have to go together, by the evidence of the proposals."""
    groups = hang_together({key: tuple(_relies_on(change)) for key, change in changes.items()})
    return [_group([changes[key] for key in keys]) for keys in groups]


def _relies_on(change: _Change) -> Iterator[str]:
    """Yield the assignments whose own change grants a part of what stays; what cannot break needs what is there."""
    for one in change.proposals if any(one.kind.may_break for one in change.proposals) else ():
        for name in ("rests_on", "together_with"):
            yield from map(fold, one.evidence.get(name) or ())


def _group(changes: Sequence[_Change]) -> _Group:
    ordered = sorted(changes, key=lambda one: (one.danger is None, -one.removes, one.main.id))
    cost = 0.0
    for one in ordered:
        # The exponent of the next lower power of two, as a number without rounding.
        doublings = max(one.reached.all.bit_length() - 1, 0)
        cost += 1 + doublings + _BREAK * one.chance * (1 + doublings)
    waves = [one.wave for one in ordered]
    return _Group(
        tuple(ordered),
        TODAY if TODAY in waves else max(waves),
        sum(one.removes for one in ordered),
        cost,
        frozenset(role for one in ordered for role in one.new_roles),
    )


def _in_order(groups: Sequence[_Group]) -> Iterator[tuple[int, _Group]]:
    """Yield groups, the best first within their wave, each with its wave; a role is paid for by its first step."""
    made: set[str] = set()
    for group in sorted((one for one in groups if one.wave == TODAY), key=attrgetter("danger")):
        made |= group.new_roles
        yield TODAY, group
    for wave in (1, 2):
        for group in _best_first([one for one in groups if one.wave == wave], made):
            yield wave, group
    for number, group in enumerate(_best_first([one for one in groups if one.wave > 2], made)):
        # What removes nothing buys nothing, however few steps there are.
        yield (3 if number < MOST_WORTH and group.removes else 4), group


def _best_first(groups: Sequence[_Group], made: set[str]) -> Iterator[_Group]:
    """Yield groups by value, which grows when another one makes a role that both need; `made` gets all roles."""
    needing: dict[str, list[int]] = defaultdict(list)
    for number, group in enumerate(groups):
        for role in group.new_roles:
            needing[role].append(number)
    heap: list[tuple[float, float, str, int]] = []

    def offer(number: int) -> None:
        group = groups[number]
        heapq.heappush(heap, (-group.value(made), -group.removes, group.changes[0].main.id, number))

    for number in range(len(groups)):
        offer(number)
    done: set[int] = set()
    while heap:
        *_, number = heapq.heappop(heap)
        # A group is offered again with a higher value, so its last offer comes first.
        if number in done:
            continue
        done.add(number)
        yield groups[number]
        fresh = groups[number].new_roles - made
        made |= fresh
        for other in sorted({one for role in fresh for one in needing[role]} - done):
            offer(other)


def _step(
    wave: int,
    change: _Change,
    group: _Group,
    total: float,
    makes: tuple[str, ...],
    wholes: tuple[float, float],
    rank: int,
) -> NextStep:
    """Return the step of a change; `wholes` is what goes of the live excess of its plane, and all."""
    main, (whole, every) = change.main, wholes
    beside = sorted(one.id for other in group.changes if other is not change for one in other.proposals)
    becomes = dict.fromkeys(made.role for one in change.proposals for made in one.assignments)
    bounds = [(one.evidence.get("break_probability") or {}).get("bound") for one in change.proposals]
    return NextStep(
        rank=rank,
        wave=wave,
        plane=change.plane,
        proposal=main.id,
        also=tuple(one.id for one in change.proposals[1:]),
        together_with=tuple(beside),
        principal_id=main.principal_ids[0],
        role=str(main.evidence["role"]),
        scope=str(main.evidence["scope"]),
        kind=main.kind,
        becomes=main.comes_beyond or tuple(becomes),
        removes=change.removes,
        latent=change.latent,
        share=change.removes / whole if whole else 0.0,
        total=min(1.0, total / whole) if whole else 0.0,
        new_roles=change.new_roles,
        makes_roles=makes,
        reached=change.reached,
        chance=change.chance,
        bound=max((float(one) for one in bounds if one is not None), default=None),
        reason=_reason(main),
        grant=main.replaces[0],
        state=str(main.evidence.get("state") or "active"),
        of_all=change.removes / every if every else 0.0,
        total_of_all=total / every if every else 0.0,
        danger=change.danger,
    )


def _reason(one: Proposal) -> str:
    """Return the first clause of the reason of a proposal, a word of the rules as its sentence."""
    first = one.reason.partition("; ")[0]
    word, _, more = first.partition(": ")
    if more and re.fullmatch("[a-z_]+", word):
        return f"{word.replace('_', ' ')}: {more}"
    return sentence(first)


def _left_out(proposals: Iterable[Proposal]) -> Iterator[LeftOut]:
    """Yield the assignments that stay since a new role is not worth it, the largest live excess first."""
    found = [one for one in proposals if one.kind.keeps and one.reason.startswith(NOT_WORTH)]
    rows = [
        LeftOut(
            one.id,
            one.principal_ids[0],
            str(one.evidence["role"]),
            str(one.evidence["scope"]),
            max(0.0, one.excess_before - latent_of(one.kind, one.evidence).before),
            one.reason.removeprefix(NOT_WORTH).lstrip(": "),
        )
        for one in found
    ]
    yield from sorted(rows, key=lambda row: (-row.excess, row.proposal))
