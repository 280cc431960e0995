"""Sum up a new role for its reviewer: its job, who gets it, what they did, what stays and what goes, and why.

The summary is numbers and ids. `render.role_summary` writes it for each output, so that all of them say the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from rightsize.analyze.reasons import Choice, UnobservableReason, sentence
from rightsize.model.nouns import RoleDefinition
from rightsize.model.plan import Proposal
from rightsize.propose.assembly.assemble import left_of
from rightsize.propose.assembly.job_tables import name_jobs
from rightsize.propose.assembly.role_uses import RoleUses
from rightsize.propose.core.bitsets import OperationIndex
from rightsize.propose.core.role_catalog import RoleBook
from rightsize.propose.jobs.jobs import Job, Jobs
from rightsize.propose.needs.drafts import Draft
from rightsize.propose.needs.needs import USED, USED_BEFORE
from rightsize.rbac.text import Folded

_MOST_SERVICES, _MOST_USED, _MOST_HOLDERS = 10, 5, 50
_BLIND = (*UnobservableReason, *Choice)


@dataclass(frozen=True, slots=True)
class Services:
    """The operations of each service, as sets by the name of its resource provider."""

    masks: Mapping[str, int]

    @classmethod
    def of(cls, index: OperationIndex) -> Services:
        """Group the operations of an index."""
        bits: dict[str, list[int]] = defaultdict(list)
        spelled: dict[str, str] = {}
        for bit, (_, name) in enumerate(index.names):
            service = name.split("/", 1)[0]
            bits[spelled.setdefault(service.lower(), service)].append(bit)
        return cls({service: index.mask_of_bits(found) for service, found in sorted(bits.items())})

    def rows(self, sets: Mapping[str, int]) -> list[dict[str, Any]]:
        """Return a row for each service that any of the sets has operations of, with the number in each set."""
        whole = reduce(or_, sets.values(), 0)
        return [
            {"service": service, **{name: (mask & found).bit_count() for name, found in sets.items()}}
            for service, mask in self.masks.items()
            if mask & whole
        ]


def summarise_roles(
    definitions: Mapping[Folded, RoleDefinition],
    uses: Mapping[Folded, RoleUses],
    evidence: Mapping[Folded, Mapping[str, Any]],
    proposals: Sequence[Proposal],
    book: RoleBook,
    jobs: Jobs,
) -> dict[Folded, dict[str, Any]]:
    """Return the summary of each new role, by its id.

    Args:
        definitions: The new roles, by id.
        uses: By id, what each role is assigned for.
        evidence: By id, the evidence of each role.
        proposals: The proposals of the plan.
        book: The roles of today.
        jobs: The jobs of the tenant.
    """
    assigning: dict[Folded, list[Proposal]] = defaultdict(list)
    for proposal in proposals:
        for id_ in sorted({one.role for one in proposal.assignments} & definitions.keys()):
            assigning[id_].append(proposal)
    services = Services.of(book.index)
    names = name_jobs(jobs)
    return {
        id_: _job_of(uses[id_], jobs)
        | {"job_name": names.get(uses[id_].job)}
        | _holders(id_, assigning[id_])
        | _uses(evidence[id_]["actions"])
        | _removals(assigning[id_])
        | {"only_here": _only_here(uses[id_].drafts, book)}
        | _by_service(services, role, uses[id_].drafts, book)
        for id_, role in definitions.items()
    }


def _job_of(uses: RoleUses, jobs: Jobs) -> dict[str, Any]:
    """Return the job of a role, whether it is an add-on, and who else does that job without getting the role."""
    job = next((one for one in jobs.found if one.key == uses.job), None)
    found: dict[str, Any] = {"job": uses.job or None, "is_add_on": uses.is_add_on, "others": [], "more_others": 0}
    if job is None:
        return found
    given = {one.principal_id for one in uses.placements}
    through = {one.subject.principal_id for one in uses.drafts}
    others = sorted(one for one in job.workers if one not in given and not _works_through(one, through, job, jobs))
    return found | {"others": others[:_MOST_HOLDERS], "more_others": len(others[_MOST_HOLDERS:])}


def _works_through(worker: Folded, holders: Set[Folded], job: Job, jobs: Jobs) -> bool:
    """Return whether a worker did its part of a job through one of some holders, that is, through its group."""
    done = jobs.work.of_worker.get(worker, 0) & job.changes
    through = jobs.work.through.get(worker, {})
    return any(done and not done & ~through.get(holder, 0) for holder in holders)


def _only_here(drafts: Sequence[Draft], book: RoleBook) -> list[dict[str, Any]]:
    """Return what each holder loses that no other holder of the role loses, most first; for one holder nothing."""
    gone: dict[Folded, int] = defaultdict(int)
    for draft in drafts:
        known = book.roles.get(draft.subject.role_definition_id)
        granted = known.granted if known else 0
        gone[draft.subject.principal_id] |= granted & ~left_of(draft, granted, book)
    once = twice = 0
    for mask in gone.values():
        twice |= once & mask
        once |= mask
    rows: list[dict[str, Any]] = [
        {
            "principal_id": id_,
            "operations": own.bit_count(),
            "for_example": next(iter(book.index.members(own & ~book.index.reads or own)))[1],
        }
        for id_, mask in gone.items()
        if len(gone) > 1 and (own := mask & ~twice)
    ]
    return sorted(rows, key=lambda one: (-one["operations"], one["principal_id"]))[:_MOST_USED]


def _bound_of(proposal: Proposal) -> float:
    """Return the upper bound of the chance that a proposal breaks something."""
    return float((proposal.evidence.get("break_probability") or {}).get("bound", proposal.break_probability_30d))


def _holders(role_id: str, proposals: Sequence[Proposal]) -> dict[str, Any]:
    """Return who gets the role, and today's assignment that it replaces: `of` is its holder, often the same."""
    rows = []
    for one in proposals:
        places: dict[str, set[str]] = defaultdict(set)
        for place in one.assignments:
            if place.role == role_id:
                places[place.principal_id].add(place.scope)
        today = {"of": one.principal_ids[0], **{name: one.evidence[name] for name in ("role", "scope", "state")}}
        rows += [{"principal_id": id_, "scopes": sorted(found), **today} for id_, found in sorted(places.items())]
    return {
        "holders": rows[:_MOST_HOLDERS],
        "more_holders": len(rows[_MOST_HOLDERS:]),
        "assignments": len(proposals),
        "breaks": max((one.break_probability_30d for one in proposals), default=0.0),
        "breaks_bound": max((_bound_of(one) for one in proposals), default=0.0),
    }


def _uses(actions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what was used, most first, and what is kept without use in the window, by reason."""
    used = sorted(_used(actions), key=lambda one: (-one["days"], -one["events"], one["action"]))
    kept: dict[str, dict[str, Any]] = {}
    for one in actions:
        if one["why"] == USED or any(part["why"] == USED for part in one.get("stands_for", ())):
            continue
        why = one["why"].split(" ")[0]
        meaning = "it was used before the window" if why == USED_BEFORE else (one.get("meaning") or [why])[0]
        found = kept.setdefault(why, {"why": why, "meaning": meaning, "actions": 0, "for_example": one["action"]})
        found["actions"] += 1
    keys = ("action", "events", "days", "last_seen")
    return {
        "actions": len(actions),
        "used": len(used),
        "events": sum(one["events"] for one in used),
        "most_used": [{key: one[key] for key in keys} for one in used[:_MOST_USED]],
        "kept_unseen": sorted(kept.values(), key=lambda one: (-one["actions"], one["why"])),
    }


def _used(actions: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for one in actions:
        if one["why"] == USED:
            yield one
        yield from (part for part in one.get("stands_for", ()) if part["why"] == USED)


def _removals(proposals: Sequence[Proposal]) -> dict[str, Any]:
    """Return the removed operations by reason: the fewest and most of one assignment, and how many no log shows."""
    counts = [one.evidence.get("removed", {}) for one in proposals]
    reasons = sorted({reason for found in counts for reason in found})
    rows = [
        {
            "why": reason,
            "meaning": sentence(reason),
            "least": min(found.get(reason, 0) for found in counts),
            "most": max(found.get(reason, 0) for found in counts),
        }
        for reason in reasons
    ]
    return {
        "removed": sorted(rows, key=lambda one: (-one["most"], one["why"])),
        "blind": max((sum(found.get(reason, 0) for reason in _BLIND) for found in counts), default=0),
    }


def _by_service(services: Services, role: RoleDefinition, drafts: Sequence[Draft], book: RoleBook) -> dict[str, Any]:
    """Return today's access beside what stays, by service: those that the role concerns, then those that lose most."""
    index = book.index
    today = stays = used = 0
    for draft in drafts:
        known = book.roles.get(draft.subject.role_definition_id)
        granted = known.granted if known else 0
        today |= granted
        stays |= left_of(draft, granted, book)
        used |= draft.needs.why.get(USED, 0) if draft.needs else 0
    here = index.granted_by(role.permissions)
    rows = services.rows({"today": today, "stays": stays, "here": here, "used": used})
    rows.sort(key=lambda row: (not row["here"], -row["used"], row["stays"] - row["today"], row["service"]))
    shown, others = rows[:_MOST_SERVICES], rows[_MOST_SERVICES:]
    names = ("today", "stays", "here", "used")
    return {
        "services": shown,
        "other_services": {"services": len(others), **{name: sum(row[name] for row in others) for name in names}},
    }
