"""Find the assignments that a plan leaves alone, each with the reason.

There are two kinds of reasons. *Untouched* reasons hold whatever the assignment is needed for, for example its holder
or its age. *Undecided* reasons say that it cannot be narrowed; a proof that it is an orphan or a duplicate overrides
them. `reasons.REASONS` has one sentence for each word.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs, containing, folded, place_of
from rightsize.analyze.principals import PolicyNeed, classify_holders, emergency_accounts, read_policy_needs
from rightsize.analyze.reasons import Unused, Verdict
from rightsize.analyze.verdicts.coverage import COVERED, control_states, described_principals, groups_with_known_members
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.analyze.verdicts.usage import named_use
from rightsize.model.text import fold
from rightsize.propose.core.options import Exclusion, PlanOptions, place_named, related_places, tagged_places
from rightsize.propose.core.scopes import anchor_of, is_below
from rightsize.propose.needs.assignments import KEY, Key
from rightsize.rules.operations import first_party_tenants, recovery_roles

_RECOVERY_MARKS = (
    "/providers/microsoft.recoveryservices/",
    "/providers/microsoft.dataprotection/",
    "/providers/microsoft.datareplication/",
)
_CREATION = "microsoft.authorization/roleassignments/write"
_REMEDIATES = "policy_remediation"

_Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """The assignments that a plan does not narrow.

    Attributes:
        untouched: By assignment, the reason why it is left alone whatever it is needed for.
        undecided: By assignment, the reason why it cannot be narrowed.
    """

    untouched: Mapping[Key, str]
    undecided: Mapping[Key, str]


def find_left_alone(inputs: Inputs, analysis: Analysis, options: PlanOptions, placed: pl.DataFrame) -> LeftAlone:
    """Return the assignments that a plan does not narrow, each with its first reason.

    A reason is a word of `reasons.REASONS`. The words for an exclusion from a file and for the remediation of policies
    may bring a text of their own after a colon.

    Args:
        inputs: The tables.
        analysis: The verdicts.
        options: The options.
        placed: As `assignments.place_uses` returns it.
    """
    rules = _Rules(inputs, analysis, options)
    rows = rules.assignments(placed)
    return LeftAlone(_first_reasons(rows, rules.untouched(rows)), _first_reasons(rows, rules.undecided()))


def _first_reasons(rows: pl.DataFrame, reasons: Iterable[tuple[pl.Expr, pl.Expr]]) -> dict[Key, str]:
    """Return the first reason that holds of each assignment, without those of which none does."""
    first = pl.coalesce(pl.when(holds).then(reason) for reason, holds in reasons)
    found = rows.select(*KEY, reason=first).drop_nulls("reason")
    return {(id_, state): reason for id_, state, reason in found.iter_rows()}


@dataclass(frozen=True, slots=True)
class _Rules:
    inputs: Inputs
    analysis: Analysis
    options: PlanOptions

    @property
    def threshold(self) -> dt.datetime:
        """The time since which created assignments and principals are too young."""
        return self.options.young_from(self.analysis.window)

    def assignments(self, placed: pl.DataFrame) -> pl.DataFrame:
        """Return today's assignments with what is known of their holders, logs and scopes, and of policies behind."""
        principals = self.inputs.principals.select(
            "principal_id", holder_type="principal_type", holder_created_on="created_on"
        )
        found = self.inputs.role_assignments.with_columns(exported_type="principal_type")
        found = found.join(principals, on="principal_id", how="left")
        outside = placed.filter(~pl.col("inside")).select(KEY).unique().with_columns(is_outside=pl.lit(True))
        for beside in (
            classify_holders(self.inputs).select(*KEY, "holder"),
            self._logged_whole(),
            _judge_policy_identities(self.inputs, self.analysis),
            outside,
            self._waiting(placed).with_columns(waits=pl.lit(True)),
        ):
            found = found.join(beside, on=KEY, how="left")
        return found

    def untouched(self, rows: pl.DataFrame) -> Iterator[tuple[pl.Expr, pl.Expr]]:
        """Yield each reason to leave an assignment alone, the first first, and whether it holds."""
        principals, options = self.inputs.principals, self.options
        state, id_ = pl.col("state"), pl.col("role_assignment_id")
        tenant, verdicts = self.analysis.tenant, self.analysis.verdicts
        # Azure shows an active assignment in addition to an activation.
        twins = tenant.assignments.filter("twin")["role_assignment_id"]
        yield pl.lit("activated"), (state == "activated") | ((state == "active") & id_.is_in(twins.implode()))
        yield pl.lit("ended"), (pl.col("end_on") <= self.analysis.window.end).fill_null(False)
        # Two cases can be decided: never activated, and used while the logs show all use of the assignment.
        asleep = verdicts.filter(pl.col("reason") == Unused.NEVER_ACTIVATED.value)["role_assignment_id"].unique()
        used = verdicts.filter((pl.col("verdict") == Verdict.USED) & (pl.col("state") == "eligible"))
        covered = pl.col("a").is_in(self.analysis.covered.implode())
        whole = tenant.assignments.filter(covered)["role_assignment_id"]
        is_awake = id_.is_in(used["role_assignment_id"].unique().implode()) & id_.is_in(whole.implode())
        yield pl.lit("eligible"), (state == "eligible") & ~id_.is_in(asleep.implode()) & ~is_awake
        excluded = self._is_or_holds(options.exclude) | self._has_role(options.exclude)
        for name in options.exclude:
            if name.startswith("/"):
                excluded |= self._is_at_or_below(place_named(name))
        yield pl.lit("excluded"), excluded
        for one in sorted(set(options.exclusions)):
            if one.holds(self.analysis.window):
                yield pl.lit(f"excluded: {one}"), self._is_excluded(one, rows)
        emergency = emergency_accounts(self.inputs, _named(options.emergency_access))
        yield pl.lit("emergency_access"), self._holds(emergency) | _has_id(options.emergency_access)
        first_party = principals.filter(pl.col("owner_tenant_id").is_in(first_party_tenants()))["principal_id"]
        yield pl.lit("first_party"), self._holds(first_party)
        yield pl.col("remediation"), pl.col("remediation").is_not_null()
        identity = folded(pl.col("alternative_names").list.join("\n")).fill_null("")
        marked = pl.any_horizontal(identity.str.contains(mark, literal=True) for mark in _RECOVERY_MARKS)
        is_recovering = pl.col("role_definition_id").is_in(recovery_roles()).fill_null(False)
        # A person with such a role has other work too; a workload with it exists for recovery.
        is_workload = pl.coalesce("holder_type", "exported_type").is_in(["ServicePrincipal", "ManagedIdentity"])
        vaults, workloads = principals.filter(marked), rows.filter(is_recovering & is_workload)
        recovering = pl.concat([vaults["principal_id"], workloads["principal_id"]]).unique()
        yield pl.lit("recovery"), self._holds(recovering) | is_recovering
        yield pl.lit("foreign"), pl.col("holder") == "foreign"
        yield pl.lit("system_managed"), pl.col("created_by").is_in(first_party.implode()).fill_null(False)
        begun = pl.max_horizontal("created_on", "start_on") >= self.threshold
        created = pl.col("created_on").is_null() & self._was_created()
        yield pl.lit("young_assignment"), begun.fill_null(False) | created
        yield pl.lit("young_principal"), (pl.col("holder_created_on") >= self.threshold).fill_null(False)

    def undecided(self) -> Iterator[tuple[pl.Expr, pl.Expr]]:
        """Yield each reason why an assignment cannot be narrowed, the first first, and whether it holds."""
        loaded = self.inputs.role_definitions["role_definition_id"]
        yield pl.lit("role_not_loaded"), ~pl.col("role_definition_id").is_in(loaded.implode()).fill_null(False)
        yield pl.lit("unresolved_principal"), pl.col("holder") == "unresolved"
        conditional = self.inputs.role_permissions.filter(pl.col("condition").is_not_null())["role_definition_id"]
        yield pl.lit("conditional"), pl.col("role_definition_id").is_in(conditional.unique().implode()).fill_null(False)
        known = groups_with_known_members(self.inputs, described_principals(self.inputs))
        is_group = pl.coalesce("holder_type", "exported_type") == "Group"
        stated = folded(pl.col("principal_id")).is_in(known.implode())
        yield pl.lit("unknown_members"), (is_group & ~stated).fill_null(False)
        # Without a creation time, a complete log that does not show the creation proves that it is older.
        unknown = pl.col("created_on").is_null() & ~self._was_created()
        yield pl.lit("unknown_age"), unknown & ~pl.col("logged").fill_null(False)
        yield pl.lit("scope_tree_unknown"), pl.col("is_outside")
        yield pl.lit("waits"), pl.col("waits")

    def _waiting(self, placed: pl.DataFrame) -> pl.DataFrame:
        """Return `(role_assignment_id, state)` of assignments of holders without use at scopes that wait.

        Such a scope has no resource, or is for recovery. It is known to be empty only by complete listings.
        """
        absences = self.analysis.absences
        waiting = absences.waiting.filter(pl.col("why").is_in(["empty", "recovery"]))
        rows = waiting.join(self.analysis.tenant.assignments, on="a").filter(pl.col("state") == "active")
        known = rows.join(absences.hidden.with_columns(why=pl.lit("empty")), on=["place", "why"], how="anti")
        active = active_holders(self.inputs, placed)
        idle = self.inputs.role_assignments.filter(~folded(pl.col("principal_id")).is_in(active.implode()))
        return known.join(idle, on=KEY, how="semi").select(KEY).unique()

    def _is_excluded(self, one: Exclusion, rows: pl.DataFrame) -> pl.Expr:
        if one.kind == "principal":
            return self._is_or_holds((one.name,))
        if one.kind == "role":
            return self._has_role((one.name,))
        if one.kind == "scope":
            return self._is_at_or_below(place_named(one.name))
        tagged = tagged_places(self.inputs, one.name)
        related = related_places(tagged, place_of(rows["scope"]), self.analysis.tenant.tree)
        return place_of(pl.col("scope")).is_in(related.implode())

    def _is_or_holds(self, names: tuple[str, ...]) -> pl.Expr:
        """Return whether the holder has one of the names or ids, or is a group of one that has."""
        return self._holds(self.inputs.principals.filter(_named(names))["principal_id"]) | _has_id(names)

    def _holds(self, protected: pl.Series) -> pl.Expr:
        closure = self.inputs.group_closure
        groups = closure.filter(pl.col("member_id").is_in(protected.implode()))["group_id"]
        holders = pl.concat([protected, groups]).unique()
        return pl.col("principal_id").is_in(holders.implode()).fill_null(False)

    def _has_role(self, names: tuple[str, ...]) -> pl.Expr:
        """Return whether the role has one of the ids or names."""
        wanted = [fold(name) for name in names]
        is_named = folded(pl.col("role_name")).is_in(wanted)
        roles = self.inputs.role_definitions.filter(is_named)["role_definition_id"]
        return (pl.col("role_definition_id").is_in([*wanted, *roles]) | is_named).fill_null(False)

    def _is_at_or_below(self, place: str) -> pl.Expr:
        """Return whether the assignment is at or below a folded scope."""
        below = _scopes_below(place, self.inputs.scopes)
        inside = is_below(place_of(pl.col("scope")), pl.lit(place)) | anchor_of(pl.col("scope")).is_in(below.implode())
        return (inside | pl.lit(place == "/")).fill_null(False)

    def _was_created(self) -> pl.Expr:
        """Return whether the log shows the creation of the assignment since the threshold."""
        created = creations_since(self.inputs.usage_days, self.threshold.date())
        return folded(pl.col("role_assignment_id")).is_in(created.implode())

    def _logged_whole(self) -> pl.DataFrame:
        """Return `(role_assignment_id, state, logged)`: whether a creation since the threshold would be in the log."""
        tenant, window = self.analysis.tenant, self.analysis.window
        states = control_states(self.inputs, window, tenant)
        logged = pl.all_horizontal(pl.col(name).fill_null(COVERED) == COVERED for name in ("below", "groups", "top"))
        covers_grace = self.threshold >= window.start
        return states.join(tenant.assignments.select("a", *KEY), on="a").select(*KEY, logged=logged & covers_grace)


def _named(names: tuple[str, ...]) -> pl.Expr:
    """Return whether a principal has one of the ids or user principal names."""
    wanted = [fold(name) for name in names]
    return _has_id(names) | folded(pl.col("user_principal_name")).is_in(wanted).fill_null(False)


def _has_id(names: tuple[str, ...]) -> pl.Expr:
    """Return whether a principal, or the holder, is one of the ids, even if the directory does not list it."""
    return folded(pl.col("principal_id")).is_in([fold(name) for name in names])


def _scopes_below(place: str, scopes: pl.DataFrame) -> pl.Series:
    """Return the folded management groups and subscriptions at or below a folded management group."""
    tree = scopes.filter(pl.col("kind").is_in(["management_group", "subscription"])).select(
        child=place_of(pl.col("scope")), parent=place_of(pl.col("parent_scope"))
    )
    found = pl.Series("child", [place], dtype=pl.String)
    while True:
        more = pl.concat([found, tree.filter(pl.col("parent").is_in(found.implode()))["child"]]).unique().sort()
        if len(more) == len(found):
            return more
        found = more


def active_holders(inputs: Inputs, placed: pl.DataFrame) -> pl.Series:
    """Return the folded principals of which a log shows any use, themselves or through a member.

    `placed` has use under assignments, as `assignments.place_uses` returns it.
    """
    used = inputs.role_assignments.join(placed, on=KEY, how="semi")
    named = [folded(frame["principal_id"].drop_nulls().unique()) for frame in (used, placed)]
    return pl.concat(named).unique().alias("principal_id")


def creations_since(usage_days: pl.DataFrame, day: dt.date) -> pl.Series:
    """Return the folded ids of the assignments whose creation the log shows on the given day or later."""
    made = named_use(usage_days, [_CREATION])
    uses = made.filter((pl.col("day") >= day) & (pl.col("succeeded") + pl.col("started") > 0))
    ids = uses.select(id=place_of(pl.col("scope")).str.extract(r"/roleassignments/([^/]+)$"))["id"]
    return ids.drop_nulls().unique()


def _judge_policy_identities(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    """Return `(role_assignment_id, state, remediation)` of assignments kept for policies, with the reason as a text.

    A managed identity of Azure Policy needs the roles that its policies name. An assignment can be given up only under
    two conditions: all needs of the identity's policies are known, and the identity holds each of these roles at the
    scope of the policy or above. Otherwise it may remediate by another of its roles, and keeps all assignments.
    Assignments with use stay as well, and those of a group with such a member.
    """
    needs = read_policy_needs(inputs)
    groups = inputs.group_closure.filter(folded(pl.col("member_id")).is_in(list(needs)))["group_id"]
    rows = inputs.role_assignments.select(
        *KEY,
        holder=folded(pl.col("principal_id")),
        role=folded(pl.col("role_definition_id")),
        place=place_of(pl.col("scope")),
        is_group=folded(pl.col("principal_id")).is_in(folded(groups).implode()),
    ).filter(pl.col("holder").is_in(list(needs)) | pl.col("is_group"))
    used = analysis.verdicts.filter(pl.col("verdict") == Verdict.USED).select(KEY).unique()
    rows = rows.join(used.with_columns(is_used=pl.lit(True)), on=KEY, how="left")
    held: dict[str, list[_Row]] = defaultdict(list)
    for row in rows.filter(~pl.col("is_group")).iter_rows(named=True):
        held[row["holder"]].append(row)
    names = dict(inputs.role_definitions.select(folded(pl.col("role_definition_id")), "role_name").iter_rows())
    asked = sorted({need.place for own in needs.values() for need in own})
    above = containing(pl.Series("place", asked, dtype=pl.String), rows["place"].unique().sort(), analysis.tenant.tree)
    found = [(id_, state, _REMEDIATES) for id_, state in rows.filter("is_group").select(KEY).iter_rows()]
    for holder, own in sorted(held.items()):
        for one, said in _kept_for_policies(own, needs[holder], names, set(above.iter_rows())):
            reason = f"{_REMEDIATES}: {said}" if said else _REMEDIATES
            found.append((one["role_assignment_id"], one["state"], reason))
    return pl.DataFrame(found, schema=dict.fromkeys((*KEY, "remediation"), pl.String), orient="row")


def _kept_for_policies(
    held: Sequence[_Row], needs: Sequence[PolicyNeed], names: Mapping[str, str | None], above: Set[tuple[str, str]]
) -> Iterator[tuple[_Row, str | None]]:
    """Yield the assignments that an identity keeps, each with the reason.

    Args:
        held: Its assignments.
        needs: What its policies need.
        names: The names of roles.
        above: Pairs of places, of which the second is at or above the first.
    """
    if any(need.roles is None for need in needs):
        yield from ((row, None) for row in held)
        return
    named = {role: (need, by) for need in reversed(needs) for role, by in (need.roles or {}).items()}
    active = [(row["role"], row["place"]) for row in held if row["state"] == "active"]
    lacking = (
        (need, role)
        for need in needs
        for role in need.roles or ()
        if not any(one == role and (need.place, place) in above for one, place in active)
    )
    first = next(lacking, None)
    for row in held:
        if row["role"] in named:
            need, by = named[row["role"]]
            yield row, f"its holder remediates for the policy {need.name}, whose definition {by} names the role"
        elif first is not None:
            need, role = first
            what = names.get(role) or role
            yield row, f"the policy {need.name} names the role {what}, which its holder does not have there"
        elif row["is_used"]:
            yield row, "its holder remediates for policies, and the role was used although none of them names it"
