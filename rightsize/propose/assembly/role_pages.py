"""Name and describe the new roles of a plan, and sum up each for its reviewer: who gets it, what stays and goes.

A summary is numbers and ids. `render.role_summary` writes it for each output, so that all of them say the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from rightsize.analyze.reasons import Choice, UnobservableReason, sentence
from rightsize.mining.bitsets import mask_of, union
from rightsize.model.nouns import RoleDefinition
from rightsize.model.plan import Proposal
from rightsize.model.text import Folded, is_read
from rightsize.propose.assembly.assemble import gone_of, left_of
from rightsize.propose.assembly.plan_proof import RoleUses
from rightsize.propose.assembly.purposes import OperationKey, RoleUse, name_jobs, name_purposes
from rightsize.propose.core.operation_sets import OperationIndex
from rightsize.propose.core.role_catalog import RoleBook
from rightsize.propose.core.role_patterns import strings_of
from rightsize.propose.drafts.drafts import Draft
from rightsize.propose.drafts.reading import TenantReading
from rightsize.propose.jobs import Job, Jobs
from rightsize.propose.needs.needs import USED, USED_BEFORE
from rightsize.propose.needs.privileged import RiskyChanges
from rightsize.propose.selection.role_names import NewRoles, PlaceNames, fitted, named_roles, role_names
from rightsize.rules.role_names import READER, RoleWords, words_of

_LONGEST = 1_000
"""The most characters of a description: an older limit of Azure is 1,024, today's is 2,048."""
_MORE = ", and what its other actions say"
_MOST_SERVICES, _MOST_USED, _MOST_HOLDERS = 10, 5, 50
_BLIND = (*UnobservableReason, *Choice)


def give_texts(
    new: NewRoles, uses: Mapping[Folded, RoleUses], reading: TenantReading, previous: Iterable[RoleDefinition]
) -> NewRoles:
    """Return the new roles with their names, file names and descriptions.

    Args:
        new: The roles.
        uses: By id, what each role is assigned for.
        reading: The tenant.
        previous: The roles of an earlier plan, which keep their names.
    """
    book, places = reading.today.book, PlaceNames.of(reading.inputs, reading.today.spelling)
    read = {id_: _use_of(role, uses[id_], reading.risky, book) for id_, role in new.definitions.items()}
    purposes = name_purposes(read)
    wanted = {
        id_: role_names(
            purposes[id_],
            places.of_role(
                (one.place for one in uses[id_].placements), (one.principal_id for one in uses[id_].placements)
            ),
        )
        for id_ in new.definitions
    }
    taken = [role.role_name for role in book.roles.values()]
    named = named_roles(new, wanted, taken, {one.role_definition_id: one.role_name for one in previous})
    words = words_of(sorted({key for one in read.values() for key in one.strings}))
    return replace(
        named,
        definitions={
            id_: replace(role, description=_describe(read[id_], uses[id_], named.slugs[id_], words))
            for id_, role in named.definitions.items()
        },
    )


def _use_of(role: RoleDefinition, uses: RoleUses, changes: RiskyChanges, book: RoleBook) -> RoleUse:
    """Return what a role holds, what of it was used (in the window, or else before it), and what is risky."""
    strings, index = tuple(strings_of(role.permissions[0])), book.index
    patterns = [one for one in strings if "*" in one.text]
    granted = union((index.mask(one.key for one in strings if "*" not in one.text), *map(book.part_mask, patterns)))
    risky = {key: kind for kind, mask in changes.items() for key in index.members(mask & granted)}
    texts = tuple((one.plane, one.text) for one in strings)
    seen = uses.seen.used or uses.seen.earlier
    # Words are told apart by capital letters, which folded keys have lost.
    used = {*index.members(index.mask(seen)), *(key for key in seen if key not in index.bits)}
    return RoleUse(texts, frozenset(used), risky)


def _describe(read: RoleUse, uses: RoleUses, file_name: str, words: Mapping[OperationKey, RoleWords]) -> str:
    """Return the description of a role, as plain text that fits Azure's limit; nothing in it changes by itself."""
    end = f" By rightsize; the reason for each action is in evidence/{file_name}.json."
    text = f"{_kind_of(uses)} {_work_of(read.strings, words)}"
    room = _LONGEST - len(end) - 1
    if len(text) > room:
        text = text[: room - len(_MORE)].rpartition("),")[0] + ")" + _MORE
    return fitted(text, room) + "." + end


def _kind_of(uses: RoleUses) -> str:
    if uses.is_add_on:
        return "An add-on, only for those who did this:"
    return "For those who do the same job:" if uses.job else "For work beside the jobs of others:"


def _work_of(strings: Iterable[OperationKey], words: Mapping[OperationKey, RoleWords]) -> str:
    """Return what a role changes, by resource: `VM (restart, write), Disk (delete)`; or what it reads."""
    ordered = sorted(set(strings))
    changes = [key for key in ordered if words[key].agent != READER and not is_read(key[1])]
    found: dict[str, set[str]] = defaultdict(set)
    for key in changes or ordered:
        last = key[1].rsplit("/", 1)[-1]
        verb = words[key].verb.lower() if last.lower() == "action" else last.lower()
        found[words[key].thing].add({"*": "everything"}.get(verb, verb) or "act")
    return ", ".join(f"{thing} ({', '.join(sorted(verbs))})" for thing, verbs in sorted(found.items()))


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
    services = _services(book.index)
    return {
        id_: _job_of(uses[id_], jobs)
        | {"job_name": name_jobs(jobs).get(uses[id_].job)}
        | _holders(id_, assigning[id_])
        | _uses(evidence[id_]["actions"])
        | _removals(assigning[id_])
        | {"only_here": _only_here(uses[id_].drafts, book)}
        | _by_service(services, role, uses[id_].drafts, book)
        for id_, role in definitions.items()
    }


def _job_of(uses: RoleUses, jobs: Jobs) -> dict[str, Any]:
    """Return the job of a role, whether it is an add-on, and who else does that job without getting the role."""
    job = jobs.named(uses.job)
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
        gone[draft.subject.principal_id] |= gone_of(draft, book)
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
        example = {"for_example": one["action"]} | ({"with": one["with"]} if "with" in one else {})
        found = kept.setdefault(why, {"why": why, "meaning": meaning, "actions": 0, **example})
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


def _services(index: OperationIndex) -> dict[str, int]:
    """Return the operations of each service, as sets by the name of its resource provider."""
    bits: dict[str, list[int]] = defaultdict(list)
    spelled: dict[str, str] = {}
    for bit, (_, name) in enumerate(index.names):
        service = name.split("/", 1)[0]
        bits[spelled.setdefault(service.lower(), service)].append(bit)
    return {service: mask_of(found) for service, found in sorted(bits.items())}


def _by_service(
    services: Mapping[str, int], role: RoleDefinition, drafts: Sequence[Draft], book: RoleBook
) -> dict[str, Any]:
    """Return today's access beside what stays, by service: those that the role concerns, then those that lose most."""
    sets = {
        "today": union(book.granted(draft.subject.role_definition_id) for draft in drafts),
        "stays": union(left_of(draft, book) for draft in drafts),
        "here": book.index.granted_by(role.permissions),
        "used": union(draft.needs.why.get(USED, 0) for draft in drafts if draft.needs),
    }
    whole = union(sets.values())
    rows: list[dict[str, Any]] = [
        {"service": service, **{name: (mask & found).bit_count() for name, found in sets.items()}}
        for service, mask in services.items()
        if mask & whole
    ]
    rows.sort(key=lambda row: (not row["here"], -row["used"], row["stays"] - row["today"], row["service"]))
    shown, others = rows[:_MOST_SERVICES], rows[_MOST_SERVICES:]
    return {
        "services": shown,
        "other_services": {"services": len(others), **{name: sum(row[name] for row in others) for name in sets}},
    }
