"""Read once the data that all steps of a plan share: assignments, uses, roles, weights, groups and options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from rightsize.analyze.duplicates import find_duplicates
from rightsize.analyze.holders import classify_holders
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.pim_findings import seldom_at_work
from rightsize.analyze.reasons import UnobservableReason
from rightsize.analyze.role_requests import read_role_requests
from rightsize.analyze.text import folded, place_of
from rightsize.analyze.verdicts import Analysis
from rightsize.model.progress import step
from rightsize.propose.core.azure_limits import AzureLimits
from rightsize.propose.core.bitsets import OperationIndex, index_operations
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.core.role_catalog import RoleBook, open_role_book
from rightsize.propose.core.weights import Reach, Scale, read_reach, read_scale
from rightsize.propose.needs.assignments import place_uses, read_profiles, read_subjects, read_uses
from rightsize.propose.needs.delegation import read_delegations
from rightsize.propose.needs.drafts import Key, Subject
from rightsize.propose.needs.eligibility import read_eligibility
from rightsize.propose.needs.groups import Groups, read_groups
from rightsize.propose.needs.keep_rules import find_keeps
from rightsize.propose.needs.linked_checks import CheckEvidence
from rightsize.propose.needs.needs import NeedReader, Profile, Use
from rightsize.propose.needs.parts import Part, read_parts
from rightsize.propose.needs.peers import read_peer_uses
from rightsize.propose.needs.privileged import Privilege, read_privilege
from rightsize.propose.needs.touched_types import with_untouched
from rightsize.propose.needs.unruled_checks import read_check_evidence, with_untargeted
from rightsize.propose.needs.use_rows import UseRows
from rightsize.rbac.text import Folded

_PLACED = (
    "role_assignment_id",
    "state",
    "principal_id",
    "plane",
    "name",
    "bit",
    "place",
    "target",
    "inside",
    "earlier",
)
"""The columns of single uses that are still needed after they are summed: a tenant has millions of uses."""


@dataclass(frozen=True, slots=True)
class Findings:
    """The orphaned and duplicate assignments that the analysis proved.

    Attributes:
        orphans: Assignments whose holder is proved to be deleted.
        containers: For each assignment that other assignments contain, those other assignments.
    """

    orphans: frozenset[Key] = frozenset()
    containers: Mapping[Key, Sequence[Key]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlanContext:
    """The shared data of one plan.

    Attributes:
        inputs: The tables.
        analysis: The verdicts.
        findings: Orphans and duplicates.
        options: The options that the person chose.
        limits: Azure's limits.
        book: The roles.
        subjects: Today's assignments.
        untouched: By assignment, the reason why it is left alone whatever it is needed for.
        undecided: By assignment, the reason why it cannot be narrowed.
        profiles: By assignment, the verdicts on its unused operations.
        placed: Use with the scope at which it has to be granted: the columns `_PLACED` of `assignments.place_uses`.
        uses: The same use, as sets.
        rows: The use of the window, summed for the evidence.
        earlier_rows: Use before the window that still counts, summed in the same way.
        scale: The weights of operations.
        reach: The reach of scopes.
        spelling: Folded scope to the scope as it is spelled.
        elsewhere: Operations that run on a service's own endpoint.
        groups: The members of the groups that hold assignments.
        privilege: The operations that get roles of their own, and the rules on who may become eligible.
        requests: The role and principal type that each call to assign a role asked for.
        check_evidence: The evidence on linked checks that no rule pairs with a write.
        peer_uses: By assignment and scope, the operations that only peers of the holder used.
        divisible: The assignments that can be decided in parts, since the subscriptions below them differ in coverage.
    """

    inputs: Inputs
    analysis: Analysis
    findings: Findings
    options: PlanOptions
    limits: AzureLimits
    book: RoleBook
    subjects: tuple[Subject, ...]
    untouched: Mapping[Key, str]
    undecided: Mapping[Key, str]
    profiles: Mapping[Key, Profile]
    placed: pl.DataFrame
    uses: Mapping[Key, Mapping[Folded, Use]]
    rows: UseRows
    earlier_rows: UseRows
    scale: Scale
    reach: Reach
    spelling: Mapping[Folded, str]
    elsewhere: int
    groups: Groups
    privilege: Privilege
    requests: pl.DataFrame
    check_evidence: CheckEvidence
    peer_uses: Mapping[Key, Mapping[Folded, int]]
    divisible: Mapping[Key, Part]

    def need_reader(self) -> NeedReader:
        """Return a reader of needs by the options."""
        return NeedReader(self.book, self.options, self.elsewhere, self.check_evidence)

    @property
    def parts(self) -> dict[Key, Part]:
        """The assignments of which enough more goes if they are decided in parts."""
        found = {}
        for subject in self.subjects:
            part = self.divisible.get(subject.key)
            role = self.book.roles.get(subject.role_definition_id)
            whole = self.profiles.get(subject.key)
            if part is None or role is None or whole is None:
                continue
            used = len(part.outside(self.uses.get(subject.key, {}), self.analysis.tenant.tree).keys() - {subject.place})
            if part.is_worth(whole, role, subject.place, self.options, self.scale, self.reach, used):
                found[subject.key] = part
        return found


def read_findings(inputs: Inputs, analysis: Analysis) -> Findings:
    """Return the orphaned and duplicate assignments that the analysis proves."""
    holders = classify_holders(inputs).filter(pl.col("holder") == "orphan")
    containers: dict[Key, list[Key]] = {}
    for id_, state, other in find_duplicates(analysis.tenant).iter_rows():
        containers.setdefault((id_, state), []).append((other, "active"))
    return Findings(frozenset(holders.select("role_assignment_id", "state").iter_rows()), containers)


def with_needed_calls(analysis: Analysis, options: PlanOptions) -> Analysis:
    """Return an analysis with only those calls of the window that `prepare` reads.

    The option `standing_hours` needs all of them, to know when people work; without it, those in quarantine suffice.
    """
    return analysis if options.standing_hours else quarantined_only(analysis)


def quarantined_only(analysis: Analysis) -> Analysis:
    """Return an analysis of whose calls only those in quarantine are left."""
    return replace(analysis, usage=analysis.usage.filter("quarantined"), credited=analysis.credited.clear())


def prepare(
    inputs: Inputs, analysis: Analysis, findings: Findings, options: PlanOptions, limits: AzureLimits
) -> PlanContext:
    """Return the shared data of a plan, read from the tables and the verdicts."""
    step("gathering use by assignment")
    tenant = analysis.tenant
    index = index_operations(tenant.operations, inputs.role_operations)
    placed = place_uses(inputs, analysis, tenant, index)
    untouched, undecided = _left_alone(inputs, analysis, placed, options)
    rows = UseRows.of(placed.filter(~pl.col("earlier")), inputs.role_assignments)
    earlier = placed.filter("earlier")
    subjects = tuple(read_subjects(inputs))
    book = open_role_book(inputs, index)
    requests = read_role_requests(inputs, analysis.window.remembered)
    return PlanContext(
        inputs=inputs,
        analysis=analysis,
        findings=findings,
        options=options,
        limits=limits,
        book=book,
        subjects=subjects,
        untouched=untouched,
        undecided=undecided,
        profiles=with_untargeted(
            with_untouched(read_profiles(analysis, index), placed, inputs, analysis, index), analysis, index
        ),
        placed=placed.select(_PLACED),
        uses=read_uses(placed, index),
        rows=rows,
        earlier_rows=UseRows.of(earlier, inputs.role_assignments, analysis.window.end.date()),
        scale=read_scale(tenant.operations, index),
        reach=read_reach(inputs.scopes, tenant.tree),
        spelling=_spelling(inputs),
        elsewhere=_on_own_endpoints(tenant.operations, index),
        groups=read_groups(inputs, tenant, analysis.window, placed, index),
        privilege=read_privilege(
            tenant.operations,
            index,
            rows,
            analysis.window.days,
            read_eligibility(inputs),
            _seldom(inputs, analysis, options),
            read_delegations(placed, requests, subjects, book),
        ),
        requests=requests,
        check_evidence=read_check_evidence(inputs),
        peer_uses=read_peer_uses(placed, inputs, book, tenant.operations),
        divisible=read_parts(analysis, subjects, placed, inputs, index),
    )


def with_options(context: PlanContext, options: PlanOptions) -> PlanContext:
    """Return the context of the same tables for other options, without reading again what no option changes."""
    if options.standing_hours != context.options.standing_hours:
        return prepare(context.inputs, context.analysis, context.findings, options, context.limits)
    untouched, undecided = _left_alone(context.inputs, context.analysis, context.placed, options)
    return replace(context, options=options, untouched=untouched, undecided=undecided)


def _left_alone(
    inputs: Inputs, analysis: Analysis, placed: pl.DataFrame, options: PlanOptions
) -> tuple[dict[Key, str], dict[Key, str]]:
    """Return the reasons why assignments are left alone, and the reasons why others cannot be narrowed."""
    keeps = find_keeps(inputs, analysis, options)
    outside = placed.filter(~pl.col("inside")).select("role_assignment_id", "state").unique()
    undecided = dict.fromkeys(outside.iter_rows(), "scope_tree_unknown")
    waits = dict.fromkeys(_waiting(inputs, analysis, placed), "waits")
    return _words(keeps, "untouched"), waits | undecided | _words(keeps, "undecided")


def _waiting(inputs: Inputs, analysis: Analysis, placed: pl.DataFrame) -> Iterator[Key]:
    """Yield the assignments of holders without use at scopes that wait: without a resource, or for recovery.

    A scope is known to be empty only by complete listings.
    """
    absences = analysis.absences
    hidden = absences.hidden.with_columns(why=pl.lit("empty"))
    rows = absences.waiting.filter(pl.col("why").is_in(["empty", "recovery"])).join(analysis.tenant.assignments, on="a")
    waiting = rows.join(hidden, on=["place", "why"], how="anti")
    held = inputs.role_assignments.select("role_assignment_id", "state", holder=folded(pl.col("principal_id")))
    idle = held.filter(~pl.col("holder").is_in(active_holders(inputs, placed).implode()))
    keys = waiting.join(idle, on=["role_assignment_id", "state"], how="semi").filter(pl.col("state") == "active")
    yield from keys.select("role_assignment_id", "state").iter_rows()


def active_holders(inputs: Inputs, placed: pl.DataFrame) -> pl.Series:
    """Return the folded principals of which a log shows any use, themselves or through a member.

    `placed` has use under assignments, as `assignments.place_uses` returns it.
    """
    key = ["role_assignment_id", "state"]
    used = inputs.role_assignments.join(placed.select(key).unique(), on=key, how="semi")
    named = [folded(frame["principal_id"].drop_nulls().unique()) for frame in (used, placed)]
    return pl.concat(named).unique().alias("principal_id")


def _words(keeps: pl.DataFrame, column: str) -> dict[Key, str]:
    rows = keeps.filter(pl.col(column).is_not_null()).select("role_assignment_id", "state", column)
    return {(id_, state): word for id_, state, word in rows.iter_rows()}


def _on_own_endpoints(operations: pl.DataFrame, index: OperationIndex) -> int:
    rows = operations.filter(pl.col("reason") == UnobservableReason.DATA_ENDPOINT).select("plane", "name")
    return index.mask(rows.iter_rows())


def _spelling(inputs: Inputs) -> dict[Folded, str]:
    """Return the spelling of each folded scope: from the table of scopes, else from today's assignments."""
    named = inputs.role_assignments.select("scope").unique().sort("scope", descending=True)
    listed = inputs.scopes.select("scope").sort("scope", descending=True)
    return dict(pl.concat([named, listed]).select(place_of(pl.col("scope")), text="scope").iter_rows())


def _seldom(inputs: Inputs, analysis: Analysis, options: PlanOptions) -> dict[Key, dict[str, Any]]:
    """Return the assignments used fewer hours a month than `standing_hours`; none if that option is 0."""
    if not options.standing_hours:
        return {}
    rows = seldom_at_work(inputs, analysis, options.standing_hours)
    return {(row["role_assignment_id"], row["state"]): row for row in rows.iter_rows(named=True)}
