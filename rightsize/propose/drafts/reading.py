"""Read once from the tables and the verdicts what a plan is made from, and what its options set apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

import polars as pl

from rightsize.analyze.duplicates import find_duplicates
from rightsize.analyze.findings import seldom_at_work
from rightsize.analyze.inputs import Inputs, empty, place_of
from rightsize.analyze.principals import classify_holders
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.analyze.verdicts.usage import read_role_requests
from rightsize.mining.bitsets import union
from rightsize.model.progress import step
from rightsize.model.text import Folded
from rightsize.propose.core.operation_sets import index_operations, read_reach, read_scale
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.core.role_catalog import RoleBook, open_role_book
from rightsize.propose.core.role_patterns import AzureLimits
from rightsize.propose.drafts.keep_rules import LeftAlone, find_left_alone
from rightsize.propose.needs import assignments
from rightsize.propose.needs.delegation import read_delegations
from rightsize.propose.needs.holders import AccessWeights, read_eligibility, read_groups
from rightsize.propose.needs.linked_checks import CheckEvidence, read_check_evidence
from rightsize.propose.needs.privileged import Privilege, RiskyChanges, read_privilege, risky_changes
from rightsize.propose.needs.profiles import Part, Profile, read_parts, read_profiles
from rightsize.propose.needs.unlogged import Touched

_PLACED = (*assignments.KEY, "principal_id", "plane", "name", "bit", "place", "target", "inside", "earlier", "declared")
"""The columns of single uses that are still needed after they are summed: a tenant has millions of uses."""


@dataclass(frozen=True, slots=True)
class TodaysAccess:
    """The assignments and roles of today.

    Attributes:
        subjects: The assignments, sorted by id and state.
        orphans: Assignments whose holder is proved to be deleted.
        containers: For each assignment that other assignments contain, those other assignments.
        spelling: Folded scope to the scope as it is spelled.
        custom_roles: The number of custom roles of the tenant.
    """

    subjects: tuple[assignments.Subject, ...]
    book: RoleBook
    orphans: frozenset[assignments.Key]
    containers: Mapping[assignments.Key, Sequence[assignments.Key]]
    spelling: Mapping[Folded, str]
    custom_roles: int


@dataclass(frozen=True, slots=True)
class ObservedUse:
    """The use that the logs show, in columns.

    Attributes:
        placed: Use with the scope at which it has to be granted: the columns `_PLACED` of `assignments.place_uses`.
        rows: The use of the window, summed for the evidence.
        earlier_rows: Use before the window that still counts, summed in the same way.
        declared_rows: What code declares and nobody used, in the same way.
        requests: The role and principal type that each call to assign a role asked for.
    """

    placed: pl.DataFrame
    rows: assignments.UseRows
    earlier_rows: assignments.UseRows
    declared_rows: assignments.UseRows
    requests: pl.DataFrame


@dataclass(frozen=True, slots=True)
class AssignmentEvidence:
    """What the logs and listings say of each assignment, as sets of operations.

    Attributes:
        profiles: The verdicts on its unused operations.
        uses: Its use, by the folded scope at which it has to be granted.
        quarantined: The operations that calls in quarantine used under it, by such a scope.
    """

    profiles: Mapping[assignments.Key, Profile]
    uses: Mapping[assignments.Key, Mapping[Folded, assignments.Use]]
    quarantined: Mapping[assignments.Key, Mapping[Folded, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TenantReading:
    """The data of one analysis that its plans share, whatever their options.

    No stage that decides takes it: `propose.pipeline` gives each what it needs.

    Attributes:
        inputs: The tables.
        analysis: The verdicts.
        today: Today's assignments and roles.
        use: The use, in columns.
        parts: The assignments that can be decided in parts, since the subscriptions below them differ in coverage.
        checks: The evidence on linked checks that no rule pairs with a write.
    """

    inputs: Inputs
    analysis: Analysis
    today: TodaysAccess
    use: ObservedUse
    evidence: AssignmentEvidence
    parts: Mapping[assignments.Key, Part]
    checks: CheckEvidence
    weights: AccessWeights
    risky: RiskyChanges


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """The options of one plan and what they set apart.

    Attributes:
        options: The options that the person chose.
        limits: Azure's limits.
        left_alone: The assignments that are not narrowed.
        privilege: The operations that get roles of their own, and the rules on who may become eligible.
        never_spare: The operations that no existing role may grant beyond a need.
        decided: The assignments that get a draft; None for all. All others stay.
    """

    options: PlanOptions
    limits: AzureLimits
    left_alone: LeftAlone
    privilege: Privilege
    never_spare: int = 0
    decided: Set[assignments.Key] | None = None


def with_needed_calls(analysis: Analysis, options: PlanOptions) -> Analysis:
    """Return an analysis with only those calls of the window that the reading of a plan needs.

    The option `standing_hours` needs all of them, to know when people work; without it, those in quarantine suffice.
    """
    return analysis if options.standing_hours else _quarantined_only(analysis)


def without_single_uses(reading: TenantReading) -> TenantReading:
    """Return a reading without the single uses, which are most of its memory; calls in quarantine stay."""
    inputs = replace(reading.inputs, usage_days=empty("usage_days"))
    return replace(reading, inputs=inputs, analysis=_quarantined_only(reading.analysis))


def _quarantined_only(analysis: Analysis) -> Analysis:
    return replace(analysis, usage=analysis.usage.filter("quarantined"), credited=analysis.credited.clear())


def read_tenant(inputs: Inputs, analysis: Analysis, today: TodaysAccess | None = None) -> TenantReading:
    """Return what a plan is made from, read from the tables and the verdicts.

    `today` is the access of today, where another reading of the same tables has it already.
    """
    step("gathering use by assignment")
    tenant = analysis.tenant
    today = _read_today(inputs, analysis) if today is None else today
    index = today.book.index
    lifetimes = assignments.lifetimes_of(inputs, analysis)
    placed = assignments.place_uses(inputs, analysis, lifetimes, index)
    before = placed.filter(pl.col("earlier") & ~pl.col("declared"))
    risky = risky_changes(tenant.operations, index)
    secrets = risky["secret"]
    checks = read_check_evidence(inputs, tenant.operations, index)
    others = union(risky.values()) & ~secrets
    touched = Touched(placed, inputs, analysis, today.book, others, secrets, checks.on_endpoints)
    uses, profiles = assignments.read_uses(placed), read_profiles(analysis, touched, index)
    groups = read_groups(inputs, tenant, analysis.window, placed, union(risky.values()))
    return TenantReading(
        inputs=inputs,
        analysis=analysis,
        today=today,
        use=ObservedUse(
            placed.select(_PLACED),
            assignments.UseRows.of(placed.filter(~pl.col("earlier")), inputs.role_assignments),
            assignments.UseRows.of(before, inputs.role_assignments, analysis.window.end.date()),
            assignments.UseRows.of(placed.filter("declared"), inputs.role_assignments),
            read_role_requests(inputs, analysis.window.remembered),
        ),
        evidence=AssignmentEvidence(profiles, uses, assignments.read_quarantined(inputs, analysis, lifetimes, index)),
        parts=read_parts(analysis, today.subjects, uses, touched, index),
        checks=checks,
        weights=AccessWeights(read_scale(tenant.operations, index), read_reach(inputs.scopes, tenant.tree), groups),
        risky=risky,
    )


def _read_today(inputs: Inputs, analysis: Analysis) -> TodaysAccess:
    """Return today's access, with the orphaned and duplicate assignments that the analysis proves."""
    index = index_operations(analysis.tenant.operations, inputs.role_operations)
    orphans = classify_holders(inputs).filter(pl.col("holder") == "orphan")
    containers: dict[assignments.Key, list[assignments.Key]] = {}
    for id_, state, other in find_duplicates(analysis.tenant).iter_rows():
        containers.setdefault((id_, state), []).append((other, "active"))
    # The table of scopes has the spelling, else today's assignments.
    spelled = [
        table.select(place=place_of(pl.col("scope")), text="scope").unique().sort("text", descending=True)
        for table in (inputs.role_assignments, inputs.scopes)
    ]
    return TodaysAccess(
        subjects=tuple(assignments.read_subjects(inputs)),
        book=open_role_book(inputs, index),
        orphans=frozenset(orphans.select(assignments.KEY).iter_rows()),
        containers=containers,
        spelling=dict(pl.concat(spelled).iter_rows()),
        custom_roles=inputs.role_definitions.filter(pl.col("role_type") == "CustomRole").height,
    )


def read_plan_settings(reading: TenantReading, options: PlanOptions, limits: AzureLimits | None = None) -> PlanSettings:
    """Return the options of a plan with the assignments and operations that they set apart.

    Args:
        reading: The reading, with its single uses.
        options: The options.
        limits: Azure's limits; None means the limits of the public cloud.
    """
    inputs, analysis, today, use = reading.inputs, reading.analysis, reading.today, reading.use
    hours = options.standing_hours
    seldom = seldom_at_work(inputs, analysis, hours).iter_rows(named=True) if hours else ()
    needed = {(row["role_assignment_id"], row["state"]): row["hours_needed"] for row in seldom}
    privilege = replace(
        read_privilege(analysis, today.book.index, use.rows, needed),
        eligibility=read_eligibility(inputs),
        delegations=read_delegations(use.placed, use.requests, today.subjects, today.book),
    )
    left_alone = find_left_alone(inputs, analysis, options, use.placed)
    return PlanSettings(options, limits or AzureLimits(), left_alone, privilege)


def with_options(reading: TenantReading, settings: PlanSettings, options: PlanOptions) -> PlanSettings:
    """Return the settings for other options, without reading again what no option changes."""
    if options.standing_hours != settings.options.standing_hours:
        return read_plan_settings(reading, options, settings.limits)
    left_alone = find_left_alone(reading.inputs, reading.analysis, options, reading.use.placed)
    return replace(settings, options=options, left_alone=left_alone)
