"""Plan the containment of a suspect principal: narrow or remove its assignments that are abused or dangerous.

An agent identity is contained with its user account, and a blueprint with all its agents; then "its" means theirs.

Two kinds of its own assignments are changed: those that allowed the suspect calls, and those whose roles lead on, by
an escalation or by defeating a layer of defence. Each is reduced to the use outside the suspect time, as an ordinary
plan does it: narrowed, removed, or made eligible. `decide_earlier_calls` says what the calls count that were made
before an assignment existed. Operations that no log can show are not kept, but for the reads of `KeptReads` where a
person asks for them. All other assignments stay, above all those of other principals. An eligible assignment whose
activation rules are not loaded and a running activation stay in the plan, and a group is never changed: `requests`
writes requests that end these, and those for the access that the principal has in the directory and by permissions of
Microsoft Graph.

Such a call went through access that is gone or not known: through an assignment that was removed since, or a group that
no longer has the caller. Today an assignment may allow it that stays, and then nothing has to be done. If only
assignments allow it that the containment changes, it is a need that one of them keeps, as use under an assignment that
is gone counts for its successor. There is one exception: an assignment through which suspect calls went is no
successor, so it keeps no call that was made before it existed or after it ended. Those calls are reported.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, replace

import polars as pl

from rightsize.analyze.inputs import Inputs, folded, place_of
from rightsize.analyze.reach.escalation import rules_of_roles
from rightsize.analyze.reach.layers import harmful
from rightsize.analyze.reasons import OutOfCoverage, Unexplained, Verdict
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.verdicts.attribution import attribute
from rightsize.analyze.verdicts.judge import Analysis, with_used
from rightsize.analyze.verdicts.usage import use_by
from rightsize.guard import still_allowed
from rightsize.model.options import MAX, Reads, Unobservable
from rightsize.model.plan import Plan
from rightsize.propose.core.fingerprint import POLICY_NEEDS
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.drafts.drafts import StayingInput
from rightsize.propose.drafts.keep_rules import LeftAlone
from rightsize.propose.drafts.reading import AssignmentEvidence, read_plan_settings, read_tenant
from rightsize.propose.drafts.reasons import keep_reason
from rightsize.propose.needs.assignments import Key, Subject
from rightsize.propose.needs.needs import NeedReader
from rightsize.propose.needs.profiles import Profile
from rightsize.propose.pipeline import plan_from_reading
from rightsize.rbac.assignments import OWNER

_NO_ROLE_ALLOWED = (Unexplained.OTHER_ACCESS.value, Unexplained.NOT_MAPPED.value)
_TIMES = ("created_on", "start_on", "end_on")


def decide_earlier_calls(
    analysis: Analysis, principals: Collection[str], contained: Collection[Key], suspect: Collection[Key]
) -> tuple[Analysis, pl.DataFrame]:
    """Credit the calls that contained assignments have to keep, and list those that are forgone.

    Args:
        analysis: The verdicts.
        principals: The folded ids of the contained principals.
        contained: The assignments that may change.
        suspect: Those of them through which suspect calls went.

    Returns:
        The analysis, in which contained assignments are credited with the calls that they keep; and the calls that only
        suspect assignments allow today, which did not exist then: `operation, scope, role_assignment_id, last_seen`,
        the time of the last one in UTC; sorted.
    """
    tenant = analysis.tenant
    held, keys = tenant.assignments, ["role_assignment_id", "state"]
    contained_keys, suspect_keys = (
        pl.DataFrame(sorted(some), schema=dict.fromkeys(keys, pl.String), orient="row") for some in (contained, suspect)
    )
    # What ends some day allows the call for less long than an assignment without an end.
    lasting = ~pl.col("twin") & pl.col("end_on").is_null() & (pl.col("state") != "activated")
    stays = held.join(contained_keys, on=keys, how="anti").filter(lasting)
    changed = held.join(contained_keys, on=keys, how="semi")
    successors = _ageless(changed.join(suspect_keys, on=keys, how="anti"))
    left = _uncredited(analysis, principals)
    left = left.join(_credit(left, tenant, _ageless(stays)), on="u", how="anti")
    kept = _credit(left, tenant, pl.concat([changed.join(suspect_keys, on=keys, how="semi"), successors]))
    forgone = _credit(left.join(kept, on="u", how="anti"), tenant, _ageless(changed))
    named = forgone.join(left, on="u").join(held.select("a", "role_assignment_id"), on="a")
    where = ("operation", "scope", "role_assignment_id")
    return (
        with_used(analysis, kept) if kept.height else analysis,
        named.group_by(where).agg(pl.col("last_seen").max()).sort(where),
    )


def _uncredited(analysis: Analysis, principals: Collection[str]) -> pl.DataFrame:
    """Return the calls that count and go to no assignment that reaches their caller, without the named evidence."""
    tenant = analysis.tenant
    mine = analysis.usage.filter(
        pl.col("principal_id").is_in(list(principals)) & (pl.col("events") > 0) & ~pl.col("quarantined")
    )
    reached = (
        analysis.credited.join(mine.select("u", "principal_id"), on="u")
        .join(tenant.assignments.select("a", holder="principal_id"), on="a")
        .join(tenant.may_reach, on=["principal_id", "holder"], how="semi")
    )
    verdicts = analysis.verdicts.filter(
        (pl.col("verdict") == Verdict.UNEXPLAINED.value) & pl.col("reason").is_in(_NO_ROLE_ALLOWED)
    )
    otherwise = verdicts.select(
        "principal_id", "plane", name=folded(pl.col("operation")), place=place_of(pl.col("scope"))
    )
    left = mine.join(reached, on="u", how="anti").join(otherwise, on=otherwise.columns, how="anti")
    return left.with_columns(evidence=pl.lit(None, dtype=pl.String))


def _ageless(assignments: pl.DataFrame) -> pl.DataFrame:
    return assignments.with_columns(pl.lit(None, dtype=assignments.schema[name]).alias(name) for name in _TIMES)


def _credit(calls: pl.DataFrame, tenant: Tenant, assignments: pl.DataFrame) -> pl.DataFrame:
    """Return `(u, a, reason)` of the calls that some of the given assignments allow."""
    asked = replace(tenant, assignments=assignments.select(tenant.assignments.columns))
    nothing = pl.DataFrame(schema={"id": pl.String, "eligibility": pl.String})
    return attribute(calls, asked, pl.Series("principal_id", [], dtype=pl.String), nothing).used


# Reasons to leave an assignment unchanged that also hold for a suspect principal: they are reported, and people decide.
_STAYS = ("excluded", "emergency_access", "first_party", "policy_remediation", "recovery", "foreign", "system_managed",
          "activated")  # fmt: skip
_ENDS = "activated"
_BEYOND = "beyond_containment"
_REMOVED = "no log shows a use of it outside the suspect time"


@dataclass(frozen=True, slots=True)
class Containment:
    """A plan that contains principals, with the reason for each assignment.

    Attributes:
        plan: An ordinary plan with only the assignments that it changes.
        contained: Those assignments, as (id, state).
        why: For each of them `suspect`, `leads_on`, or both.
        stays: Assignments that should be changed and are not, each with the reason.
        groups: Groups through which the principals reach assignments, and which no plan changes.
        by_request: Those of `stays` that a request to Privileged Identity Management can end.
        places: For each of `stays` the name of its role, and its scope.
        reads: The reads that `keep_reads` keeps, or would keep.
        forgone: Calls outside the suspect time that no longer count as needs, as `decide_earlier_calls` returns them.
        allowed: The suspect calls that some access still allows afterwards, as `still_allowed.find_still_allowed` has
            them.
    """

    plan: Plan
    contained: tuple[Key, ...]
    why: Mapping[Key, tuple[str, ...]]
    stays: Mapping[Key, str]
    groups: tuple[str, ...]
    by_request: tuple[Key, ...]
    places: Mapping[Key, tuple[str, str]]
    reads: still_allowed.KeptReads
    forgone: pl.DataFrame
    allowed: tuple[still_allowed.StillAllowed, ...] = ()


def contain(
    inputs: Inputs,
    analysis: Analysis,
    principals: Collection[str],
    options: PlanOptions,
    *,
    content_hash: str,
    suspect: Collection[Key] = (),
    keep_reads: bool = False,
) -> Containment:
    """Return the containment of principals, proved like any plan.

    Args:
        inputs: The tables, without the calls of the principals in the suspect time.
        analysis: The verdicts from these tables.
        principals: Their folded ids.
        options: The options: exclusions, emergency access accounts, and the window. The number of roles is `max`.
        content_hash: Hash of the stored content that the plan is made from.
        suspect: Assignments that allowed suspect calls, besides those that the analysis names.
        keep_reads: Keep the unlogged reads that the kept operations need.

    Raises:
        InternalError: A proof or the replay failed.
    """
    reads = Reads.SIBLING if keep_reads else Reads.NONE
    # A suspect keeps nothing for want of a role that is worth its place.
    chosen = replace(options, reads=reads, unobservable=Unobservable.DROP, roles=MAX)
    reading = read_tenant(inputs, analysis)
    settings = read_plan_settings(reading, chosen)
    untouched = settings.left_alone.untouched
    own = {subject.key: subject for subject in reading.today.subjects if subject.principal_id in principals}
    why = _reasons(own, analysis, {*suspect, *_quarantined(analysis)})
    stays = {key: untouched[key] for key in why if untouched.get(key, "").partition(":")[0] in _STAYS}
    contained = tuple(sorted(key for key in why if key not in stays))
    through = [key for key in contained if "suspect" in why[key]]
    credited, forgone = decide_earlier_calls(analysis, principals, contained, through)
    if credited is not analysis:
        reading = replace(read_tenant(inputs, credited, reading.today), analysis=analysis)
    kept = still_allowed.keepable_reads(reading.today.book.index)
    near = _near(reading.today.subjects, principals, analysis.tenant)
    left_alone = _left_alone(near, settings.left_alone, set(contained))
    evidence = _bare_evidence(reading.evidence, set(contained), kept if keep_reads else 0)
    confined = replace(reading, evidence=evidence)
    theirs = replace(inputs, usage_days=use_by(inputs.usage_days, principals))
    spared = still_allowed.read_never_spare(analysis, reading.today.book.index, theirs, principals)
    decided = frozenset(one.key for one in near)
    confining = replace(settings, left_alone=left_alone, never_spare=spared, decided=decided)
    plan = plan_from_reading(confined, confining, content_hash)
    refused = {one.assignment: one.reason for one in plan.proposals if one.kind.keeps and one.assignment in contained}
    changed = tuple(key for key in contained if key not in refused)
    # Azure lists a running activation a second time, as an active assignment.
    twins = {(key[0], "active") for key in why if key[1] == "activated"}
    left = {key for key in why if key not in changed} - twins
    reader = NeedReader(reading.today.book, replace(chosen, reads=Reads.SIBLING), reading.checks)
    with_reads = _bare_evidence(reading.evidence, set(changed), kept)
    staying = StayingInput(near, left_alone, with_reads, reader)
    priced = still_allowed.price_kept_reads(staying, analysis.tenant, changed, inputs.resources, is_kept=keep_reads)
    ours = _only(plan, set(changed), _own_readings(plan, inputs, analysis, principals))
    return Containment(
        plan=ours,
        contained=changed,
        why={key: why[key] for key in changed},
        stays={key: keep_reason(stays[key]) if key in stays else refused[key] for key in sorted(left)},
        groups=_holders(analysis, principals),
        by_request=tuple(sorted(key for key in left if key[1] != "active" and stays.get(key, _ENDS) == _ENDS)),
        places={
            key: (plan.names.get(own[key].role_definition_id, own[key].role_definition_id), own[key].scope)
            for key in sorted(left)
        },
        reads=priced,
        forgone=forgone.filter(pl.col("role_assignment_id").is_in([id_ for id_, _ in changed])),
        allowed=still_allowed.find_still_allowed(theirs, reading.today, analysis.tenant, principals, ours, left),
    )


def _quarantined(analysis: Analysis) -> set[Key]:
    held = analysis.verdicts.filter(pl.col("reason") == OutOfCoverage.QUARANTINED.value)
    return set(held.select("role_assignment_id", "state").drop_nulls().iter_rows())


def _reasons(own: Mapping[Key, Subject], analysis: Analysis, suspect: Collection[Key]) -> dict[Key, tuple[str, ...]]:
    """Return the reasons to change each assignment; assignments without a reason are left out."""
    tenant = analysis.tenant
    leading = set(rules_of_roles(tenant.grants)["role"])
    leading |= set(tenant.grants.join(harmful(tenant.operations), on=["name", "plane"])["role"])
    found = {
        key: ("suspect",) * (key in suspect) + ("leads_on",) * (subject.role_definition_id in leading)
        for key, subject in sorted(own.items())
    }
    return {key: words for key, words in found.items() if words}


def _near(subjects: Iterable[Subject], principals: Collection[str], tenant: Tenant) -> list[Subject]:
    """Return the assignments that bear on what becomes of those of principals.

    They are their own and those of their groups, which may grant a part of the same needs, and every Owner: of them a
    subscription keeps one who can act.
    """
    reach, holder, person = tenant.may_reach, pl.col("holder"), pl.col("principal_id")
    people = {*principals, *reach.filter(holder.is_in(list(principals)))["principal_id"]}
    holders = people | {*reach.filter(person.is_in(list(people)))["holder"]}
    return [one for one in subjects if one.principal_id in holders or one.role_definition_id == OWNER]


def _left_alone(subjects: Iterable[Subject], today: LeftAlone, contained: Set[Key]) -> LeftAlone:
    """Return what is left alone where only the contained assignments are open to change."""
    others = [subject.key for subject in subjects if subject.key not in contained]
    return LeftAlone(
        {key: today.untouched.get(key, _BEYOND) for key in others},
        {key: word for key, word in today.undecided.items() if key not in contained or word in _HOLDING},
    )


_HOLDING = ("conditional", "scope_tree_unknown", "role_not_loaded")
"""Reasons why an assignment cannot be narrowed even if only its used operations are to stay."""


def _bare_evidence(evidence: AssignmentEvidence, contained: Set[Key], reads: int) -> AssignmentEvidence:
    """Return the evidence by which only used operations of contained assignments stay, and their linked checks.

    `reads` are the unlogged reads that may stay where an option keeps them. An assignment without a profile has no
    known use.
    """
    bare = {
        key: _bare(evidence.profiles.get(key, Profile()), reads, is_used=bool(evidence.uses.get(key)))
        for key in contained
    }
    return replace(evidence, profiles={**evidence.profiles, **bare})


def _bare(profile: Profile, reads: int, *, is_used: bool) -> Profile:
    whole = profile.reads | profile.linked | profile.hidden | profile.open | profile.unused
    linked, seen = (profile.linked, profile.reads & reads) if is_used else (0, 0)
    return Profile(reads=seen, linked=linked, unused=whole & ~(linked | seen), reasons=profile.reasons)


def _own_readings(
    plan: Plan, inputs: Inputs, analysis: Analysis, principals: Collection[str]
) -> dict[str, dict[str, str]]:
    """Return only the hashes of the plan that concern the principals, so that other changes do not make it stale."""
    holders = {*principals, *_holders(analysis, principals)}
    held = inputs.role_assignments.filter(folded(pl.col("principal_id")).is_in(list(holders)))
    roles: set[str] = {given.role for one in plan.proposals for given in one.assignments if one.kind.changes}
    wanted = {
        "role_assignments": set(folded(held["role_assignment_id"])),
        "eligible_assignments": set(folded(held["role_assignment_id"])),
        "role_definitions": roles | set(folded(held["role_definition_id"].drop_nulls())),
        "group_members": holders,
        POLICY_NEEDS: set(principals),
    }
    return {
        word: {id_: mark for id_, mark in read.items() if word not in wanted or id_ in wanted[word]}
        for word, read in plan.rests_on.items()
    }


def _only(plan: Plan, changed: Collection[Key], rests_on: Mapping[str, Mapping[str, str]]) -> Plan:
    """Return the plan with only the proposals that change the given assignments, and the new roles that they assign."""
    ours = tuple(
        replace(one, reason=_REMOVED) if one.kind.removes and one.kind.may_break else one
        for one in plan.proposals
        if one.assignment in changed and one.kind.changes
    )
    assigned = {given.role for one in ours for given in one.assignments}
    roles = tuple(role for role in plan.roles if role.definition.role_definition_id in assigned)
    return replace(plan, proposals=ours, roles=roles, advice=(), curve=(), rests_on=rests_on)


def _holders(analysis: Analysis, principals: Collection[str]) -> tuple[str, ...]:
    """Return the groups through which principals hold assignments, sorted."""
    membership = analysis.tenant.membership.filter(pl.col("principal_id").is_in(list(principals)))
    held = set(folded(analysis.tenant.assignments["principal_id"]))
    return tuple(sorted((set(membership["holder"]) - set(principals)) & held))
