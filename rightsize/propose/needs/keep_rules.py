"""Find the assignments that a plan leaves alone, each with the reason.

There are two kinds of reasons. *Untouched* reasons hold whatever the assignment is needed for, for example its holder
or its age. *Undecided* reasons say that it cannot be narrowed; a proof that it is an orphan or a duplicate overrides
them. `REASONS` has one sentence for each word.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.coverage import COVERED, control_states, described_principals, groups_with_known_members
from rightsize.analyze.holders import classify_holders
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.reasons import Unused, Verdict
from rightsize.analyze.text import folded, place_of
from rightsize.analyze.verdicts import Analysis
from rightsize.analyze.window import Window
from rightsize.propose.core.exclusions import Exclusion, place_named, related_places, tagged_places
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.core.scopes import anchor_of, is_below
from rightsize.propose.needs.by_design import BY_DESIGN
from rightsize.propose.needs.policy_identities import judge_policy_identities
from rightsize.rbac.text import fold
from rightsize.rules.operations import first_party_tenants, is_emergency_name, recovery_roles

REASONS = {word: stays.sentence for word, stays in BY_DESIGN.items()} | {
    "ended": "it ended within or before the window",
    "activation_rules_unknown": "its activation settings are not loaded, so they cannot be carried over",
    "young_assignment": "it was created within the window or the grace period",
    "young_principal": "its holder was created within the window or the grace period",
    "unknown_age": "its age is not known: it has no creation time, and no complete log shows its creation",
    "unresolved_principal": "no loaded listing has its holder, and nothing proves that the holder was deleted",
    "role_not_loaded": "its role definition is not loaded",
    "unknown_members": "no complete listing has the members of the group",
    "scope_tree_unknown": "the scopes below its management group are not known",
    "beyond_containment": "the containment of its holder does not need a change of it",
    "waits": "nothing exists at its scope yet, or it is for recovery, and its holder used nothing: ask its owner "
    "whether it waits for something",
    "unknown_provider": "its role names a resource provider that the catalogue does not have",
}

EXCLUDED = "excluded_by_file"
"""The flag of an assignment that a file excludes; the plan shows `excluded` and the entry."""

_SAID = {EXCLUDED: ("excluded", "exclusion"), "policy_remediation": ("policy_remediation", "remediation")}
"""For some flags: the word that the plan shows, and the column with the text after it."""

_UNTOUCHED = (
    "activated",
    "ended",
    "eligible",
    "excluded",
    EXCLUDED,
    "emergency_access",
    "first_party",
    "policy_remediation",
    "recovery",
    "foreign",
    "system_managed",
    "young_assignment",
    "young_principal",
)
_UNDECIDED = (
    "role_not_loaded",
    "unresolved_principal",
    "conditional",
    "unknown_members",
    "unknown_age",
)

_RECOVERY_MARKS = (
    "/providers/microsoft.recoveryservices/",
    "/providers/microsoft.dataprotection/",
    "/providers/microsoft.datareplication/",
)
_CREATION = "microsoft.authorization/roleassignments/write"


@dataclass(frozen=True, slots=True)
class _Facts:
    inputs: Inputs
    analysis: Analysis
    options: PlanOptions

    @property
    def window(self) -> Window:
        """The observation window."""
        return self.analysis.window

    @property
    def threshold(self) -> dt.datetime:
        """The time since which created assignments and principals are too young."""
        return self.options.young_from(self.window)


def find_keeps(inputs: Inputs, analysis: Analysis, options: PlanOptions) -> pl.DataFrame:
    """Return `(role_assignment_id, state, untouched, undecided)`: the first reason of each kind, null for none.

    The word for an exclusion from a file is followed by the entry, and `policy_remediation` by its clause, if known.
    """
    facts = _Facts(inputs, analysis, options)
    flags = _assignments(facts)
    for add in (_protected, _ages, _memberships, _roles):
        flags = add(flags, facts)
    return flags.select(
        "role_assignment_id",
        "state",
        untouched=pl.coalesce(
            pl.when(pl.col(word)).then(
                pl.coalesce(pl.concat_str(pl.lit(f"{_SAID[word][0]}: "), _SAID[word][1]), pl.lit(word))
                if word in _SAID
                else pl.lit(word)
            )
            for word in _UNTOUCHED
        ),
        undecided=pl.coalesce(pl.when(pl.col(word)).then(pl.lit(word)) for word in _UNDECIDED),
    ).sort("role_assignment_id", "state")


def _is_dormant(facts: _Facts) -> pl.Expr:
    """Return whether a row is an eligible assignment that was certainly never activated."""
    verdicts = facts.analysis.verdicts
    asleep = verdicts.filter(pl.col("reason") == Unused.NEVER_ACTIVATED.value)["role_assignment_id"].unique()
    return (pl.col("state") == "eligible") & pl.col("role_assignment_id").is_in(asleep.implode())


def _assignments(facts: _Facts) -> pl.DataFrame:
    principals = facts.inputs.principals.select(
        "principal_id",
        "display_name",
        "user_principal_name",
        "owner_tenant_id",
        "alternative_names",
        holder_type=pl.col("principal_type"),
        holder_created_on=pl.col("created_on"),
    )
    assignments = facts.inputs.role_assignments.with_columns(exported_type=pl.col("principal_type"))
    holders = classify_holders(facts.inputs).select("role_assignment_id", "state", "holder")
    known = assignments.join(principals, on="principal_id", how="left")
    return known.join(holders, on=["role_assignment_id", "state"], how="left").with_columns(
        activated=(pl.col("state") == "activated") | _is_twin(facts),
        # Two cases can be decided: never activated, and used while the logs show all use of the assignment.
        eligible=(pl.col("state") == "eligible") & ~_is_dormant(facts) & ~_is_awake(facts),
        foreign=pl.col("holder") == "foreign",
        ended=(pl.col("end_on") <= facts.window.end).fill_null(False),
        unresolved_principal=pl.col("holder") == "unresolved",
    )


def _is_awake(facts: _Facts) -> pl.Expr:
    """Return whether a row is an eligible assignment with use, for which the logs would have shown all use."""
    analysis = facts.analysis
    whole = analysis.tenant.assignments.filter(pl.col("a").is_in(analysis.covered.implode()))["role_assignment_id"]
    seen = analysis.verdicts.filter((pl.col("verdict") == Verdict.USED) & (pl.col("state") == "eligible"))
    used = pl.col("role_assignment_id").is_in(seen["role_assignment_id"].unique().implode())
    return (pl.col("state") == "eligible") & used & pl.col("role_assignment_id").is_in(whole.implode())


def _is_twin(facts: _Facts) -> pl.Expr:
    """Return whether a row is the active assignment that Azure shows in addition to an activation."""
    twins = facts.analysis.tenant.assignments.filter("twin")["role_assignment_id"]
    return (pl.col("state") == "active") & pl.col("role_assignment_id").is_in(twins.implode())


def _protected(flags: pl.DataFrame, facts: _Facts) -> pl.DataFrame:
    """Flag assignments left alone because of their holder, direct or as a group member, or by exclusion."""
    principals = facts.inputs.principals
    first_party = principals.filter(pl.col("owner_tenant_id").is_in(first_party_tenants()))["principal_id"]
    identity = folded(pl.col("alternative_names").list.join("\n")).fill_null("")
    is_recovering = pl.col("role_definition_id").is_in(recovery_roles()).fill_null(False)
    # A person with such a role has other work too; a workload with it exists for recovery.
    is_workload = pl.coalesce("holder_type", "exported_type").is_in(["ServicePrincipal", "ManagedIdentity"])
    vaults = principals.filter(_has_any(identity, _RECOVERY_MARKS))["principal_id"]
    recovery = pl.concat([vaults, flags.filter(is_recovering & is_workload)["principal_id"]]).unique()
    named_so = is_emergency_name(folded(pl.col("display_name")).fill_null("")) | is_emergency_name(
        folded(pl.col("user_principal_name")).fill_null("")
    )
    listed_so = _named(facts.options.emergency_access)
    found = principals.filter(named_so | listed_so)["principal_id"]
    # If a group has such a name or is listed, its members count as emergency access accounts, whatever their names.
    members = facts.inputs.group_closure.filter(pl.col("group_id").is_in(found.implode()))["member_id"]
    emergency = pl.concat([found, members]).unique()
    excluded = principals.filter(_named(facts.options.exclude))["principal_id"]
    flagged = flags.with_columns(
        first_party=_holds(first_party, facts),
        recovery=_holds(recovery, facts) | is_recovering,
        emergency_access=_holds(emergency, facts) | _holder_is(facts.options.emergency_access),
        excluded=_holds(excluded, facts) | _holder_is(facts.options.exclude) | _is_excluded_place_or_role(facts),
        exclusion=_exclusion(flags, facts),
        system_managed=pl.col("created_by").is_in(first_party.implode()).fill_null(False),
    )
    remediating = judge_policy_identities(facts.inputs, facts.analysis)
    return flagged.join(remediating, on=["role_assignment_id", "state"], how="left").with_columns(
        pl.col("exclusion").is_not_null().alias(EXCLUDED)
    )


def _exclusion(flags: pl.DataFrame, facts: _Facts) -> pl.Expr:
    """Return as text the first exclusion from a file that applies to an assignment, or null."""
    said = [
        pl.when(_is_excluded(one, flags, facts)).then(pl.lit(str(one)))
        for one in sorted(set(facts.options.exclusions))
        if one.holds(facts.window)
    ]
    return pl.coalesce(*said, pl.lit(None, dtype=pl.String))


def _is_excluded(one: Exclusion, flags: pl.DataFrame, facts: _Facts) -> pl.Expr:
    if one.kind == "principal":
        named = facts.inputs.principals.filter(_named((one.name,)))["principal_id"]
        return _holds(named, facts) | _holder_is((one.name,))
    if one.kind == "role":
        return _has_role((one.name,), facts)
    if one.kind == "scope":
        return _is_at_or_below(place_named(one.name), facts)
    places = place_of(flags["scope"])
    related = related_places(tagged_places(facts.inputs, one.name), places, facts.analysis.tenant.tree)
    return place_of(pl.col("scope")).is_in(related.implode())


def _has_any(text: pl.Expr, marks: tuple[str, ...]) -> pl.Expr:
    return pl.any_horizontal(text.str.contains(mark, literal=True) for mark in marks)


def _named(names: tuple[str, ...]) -> pl.Expr:
    wanted = [fold(name) for name in names]
    return folded(pl.col("principal_id")).is_in(wanted) | folded(pl.col("user_principal_name")).is_in(wanted).fill_null(
        False
    )


def _holder_is(names: tuple[str, ...]) -> pl.Expr:
    """Return whether the holder is one of the ids, even if the directory does not list it."""
    return folded(pl.col("principal_id")).is_in([fold(name) for name in names])


def _holds(protected: pl.Series, facts: _Facts) -> pl.Expr:
    groups = facts.inputs.group_closure.filter(pl.col("member_id").is_in(protected.implode()))["group_id"]
    holders = pl.concat([protected, groups]).unique()
    return pl.col("principal_id").is_in(holders.implode()).fill_null(False)


def _is_excluded_place_or_role(facts: _Facts) -> pl.Expr:
    places = [place_named(name) for name in facts.options.exclude if name.startswith("/")]
    return pl.any_horizontal(
        _has_role(facts.options.exclude, facts), *(_is_at_or_below(place, facts) for place in places)
    )


def _has_role(names: tuple[str, ...], facts: _Facts) -> pl.Expr:
    """Return whether the role has one of the ids or names."""
    wanted = [fold(name) for name in names]
    definitions = facts.inputs.role_definitions
    roles = definitions.filter(folded(pl.col("role_name")).is_in(wanted))["role_definition_id"]
    named = pl.col("role_definition_id").is_in([*wanted, *roles]) | folded(pl.col("role_name")).is_in(wanted)
    return named.fill_null(False)


def _is_at_or_below(place: str, facts: _Facts) -> pl.Expr:
    """Return whether the assignment is at or below a folded scope."""
    below = scopes_below(place, facts.inputs.scopes)
    inside = is_below(place_of(pl.col("scope")), pl.lit(place)) | anchor_of(pl.col("scope")).is_in(below.implode())
    return (inside | pl.lit(place == "/")).fill_null(False)


def scopes_below(place: str, scopes: pl.DataFrame) -> pl.Series:
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


def _ages(flags: pl.DataFrame, facts: _Facts) -> pl.DataFrame:
    """Flag assignments and holders that are too young, and assignments of unknown age.

    The age counts from the creation, or from the start time if that is later. If no export has the creation time, a
    complete Activity Log of the subscription that does not show the creation proves that the assignment is older than
    the window.
    """
    created = creations_since(facts.inputs.usage_days, facts.threshold.date())
    unknown = pl.col("created_on").is_null()
    seen = folded(pl.col("role_assignment_id")).is_in(created.implode())
    covered = _logged_whole(facts)
    return flags.join(covered, on=["role_assignment_id", "state"], how="left").with_columns(
        young_assignment=(
            (pl.max_horizontal("created_on", "start_on") >= facts.threshold).fill_null(False) | (unknown & seen)
        ),
        young_principal=(pl.col("holder_created_on") >= facts.threshold).fill_null(False),
        unknown_age=unknown & ~seen & ~pl.col("logged").fill_null(False),
    )


def creations_since(usage_days: pl.DataFrame, day: dt.date) -> pl.Series:
    """Return the folded ids of the assignments whose creation the log shows on the given day or later."""
    uses = usage_days.filter(
        (pl.col("day") >= day)
        & (folded(pl.col("operation")) == _CREATION)
        & (pl.col("succeeded") + pl.col("started") > 0)
    )
    return (
        uses.select(id=place_of(pl.col("scope")).str.extract(r"/roleassignments/([^/]+)$"))["id"].drop_nulls().unique()
    )


def _logged_whole(facts: _Facts) -> pl.DataFrame:
    """Return `(role_assignment_id, state, logged)`: whether a creation since the threshold would have been logged."""
    tenant = facts.analysis.tenant
    states = control_states(facts.inputs, facts.window, tenant)
    covers_grace = facts.threshold >= facts.window.start
    logged = pl.all_horizontal(pl.col(name).fill_null(COVERED) == COVERED for name in ("below", "groups", "top"))
    return states.join(tenant.assignments.select("a", "role_assignment_id", "state"), on="a").select(
        "role_assignment_id", "state", logged=logged & covers_grace
    )


def _memberships(flags: pl.DataFrame, facts: _Facts) -> pl.DataFrame:
    """Flag groups for which no complete listing of their direct and nested members is loaded."""
    known = groups_with_known_members(facts.inputs, described_principals(facts.inputs))
    is_group = pl.coalesce("holder_type", "exported_type") == "Group"
    stated = folded(pl.col("principal_id")).is_in(known.implode())
    return flags.with_columns(unknown_members=(is_group & ~stated).fill_null(False))


def _roles(flags: pl.DataFrame, facts: _Facts) -> pl.DataFrame:
    loaded = facts.inputs.role_definitions["role_definition_id"]
    conditional = facts.inputs.role_permissions.filter(pl.col("condition").is_not_null())["role_definition_id"]
    return flags.with_columns(
        role_not_loaded=~pl.col("role_definition_id").is_in(loaded.implode()).fill_null(False),
        conditional=pl.col("role_definition_id").is_in(conditional.unique().implode()).fill_null(False),
    )
