"""Look up principals: their names, whether they exist, and what Azure Policy needs of its identities.

Classify the holder of each assignment as known, foreign, orphan or unresolved, from listings and exports.

An orphan is absent from a complete listing of its kind, or the export that resolves names found none for it. It was not
seen among the deleted items, from which it could come back. It is not a foreign principal, which no listing of this
tenant shows. Any other holder that nothing shows is unresolved.

An identity that deploys or modifies for a policy does so when a resource turns up that does not comply, which may be
months after the last time; its need is what the definitions say. The need is known only where the assignment, its
definition and, for a set, every definition in it are loaded, in the version that the assignment asks for.
Source: Microsoft Learn, "Remediate noncompliant resources with Azure Policy" and "Azure Policy assignment structure".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs, folded, once, place_of
from rightsize.analyze.name_resolution import find_known, resolve_name
from rightsize.model.text import fold
from rightsize.rules.operations import is_emergency_name

NAMED = ("principals", "principal_aliases", "role_assignments", "group_closure")
"""The tables that name principals."""
_NAMES = ("user_principal_name", "app_id", "display_name")


def resolve_principal(inputs: Inputs, name: str) -> str:
    """Return the id of the principal that `name` means, as `resolve_name` finds it.

    Raises:
        InputError: No loaded principal has this name.
        UsageError: Several have it.
    """
    return resolve_name(LoadedNames(inputs), name)


def resolve_known(inputs: Inputs, names: Iterable[str]) -> tuple[str, ...]:
    """Return the ids of the principals with these names, in their order; a name that nothing knows stays as it is.

    Raises:
        UsageError: Several principals have one of the names.
    """
    known = LoadedNames(inputs)
    return tuple(dict.fromkeys(find_known(known, name) or name for name in names))


@dataclass(frozen=True, slots=True)
class LoadedNames:
    """The names of principals in the tables."""

    inputs: Inputs

    def called(self, kind: str, name: str) -> set[str]:
        """Return the ids of the principals that have a name of a kind of `CALLED`."""
        inputs = self.inputs
        if kind == "id":
            return {name} if any((ids == name).any() for ids in _named_ids(inputs)) else set()
        if kind == "alias":
            return set(folded(inputs.principal_aliases.filter(folded(pl.col("alias")) == name)["principal_id"]))
        same = inputs.principals.filter((folded(pl.col(kind)) == name).fill_null(False))
        return set(folded(same["principal_id"]))

    def begun(self, head: str, tail: str) -> set[str]:
        """Return the ids of the principals of which an id or a name begins and ends with these texts."""
        called = pl.col("name").str
        rows = _every_name(self.inputs).filter(called.starts_with(head) & called.ends_with(tail))
        return set(rows["principal_id"].drop_nulls())

    def every(self) -> list[str]:
        """Return all display names, UPNs and other aliases, folded."""
        principals, aliases = self.inputs.principals, self.inputs.principal_aliases["alias"]
        named = pl.concat([principals["display_name"], principals["user_principal_name"], aliases])
        return folded(named.drop_nulls()).unique().sort().to_list()

    def names(self, ids: list[str]) -> Mapping[str, str]:
        """Return the display names of principals by id."""
        called = principal_names(self.inputs).filter(pl.col("principal_id").is_in(ids))
        return dict(called.select("principal_id", "name").iter_rows())


def callings(inputs: Inputs) -> pl.DataFrame:
    """Return `(kind, name, principal_id)`: all that `LoadedNames` finds, folded; `kind` as in `CALLED`."""
    ids = pl.concat([ids.cast(pl.String).alias("name") for ids in _named_ids(inputs)]).unique()
    aliases, principals = inputs.principal_aliases, inputs.principals
    found = [
        pl.DataFrame({"name": ids}).with_columns(principal_id="name", kind=pl.lit("id")),
        aliases.select(
            name=folded(aliases["alias"]), principal_id=folded(aliases["principal_id"]), kind=pl.lit("alias")
        ).unique(),
        *(
            principals.select(name=folded(pl.col(kind)), principal_id=principal_ids(inputs))
            .drop_nulls()
            .unique()
            .with_columns(kind=pl.lit(kind))
            for kind in _NAMES
        ),
        _every_name(inputs).with_columns(kind=pl.lit("beginning")),
    ]
    # Each kind has distinct rows already: to compare the texts of all copies them.
    return pl.concat([one.select("kind", "name", "principal_id").drop_nulls() for one in found])


def _named_ids(inputs: Inputs) -> list[pl.Series]:
    """Return the ids of principals and groups that anything loaded names, folded."""
    return [
        principal_ids(inputs),
        *(
            folded(ids)
            for ids in (
                inputs.role_assignments["principal_id"].unique(),
                inputs.group_closure["member_id"].unique(),
                inputs.group_closure["group_id"].unique(),
                inputs.usage_days["principal_id"].unique(),
                inputs.sign_ins["principal_id"].unique(),
            )
        ),
    ]


@once(*NAMED)
def _every_name(inputs: Inputs) -> pl.DataFrame:
    """Return `(principal_id, name)`, both folded: the ids, aliases and names of all principals."""
    principals, assignments = inputs.principals, inputs.role_assignments
    closure = inputs.group_closure
    named = [principals.select(pl.col("principal_id"), name=column) for column in ("principal_id", *_NAMES)]
    named += [
        inputs.principal_aliases.select("principal_id", name="alias"),
        assignments.select("principal_id", name="principal_id"),
        assignments.select("principal_id", name="principal_name"),
        *(closure.select(principal_id=column, name=column).unique() for column in ("member_id", "group_id")),
    ]
    rows = pl.concat([one.cast(pl.String) for one in named]).drop_nulls()
    return rows.select(folded(pl.col("principal_id")), folded(pl.col("name"))).unique()


def with_role_names(inputs: Inputs, assignments: pl.DataFrame) -> pl.DataFrame:
    """Return assignments with the name of each `role`: of its definition, else of the listing, else its id."""
    definitions = inputs.role_definitions
    roles = definitions.select(role=folded(definitions["role_definition_id"]), defined_name="role_name")
    roles = roles.unique("role", keep="first", maintain_order=True)
    return (
        assignments.join(roles, on="role", how="left", maintain_order="left")
        .with_columns(role_name=pl.coalesce("defined_name", "role_name", "role"))
        .drop("defined_name")
    )


@once("principals")
def principal_ids(inputs: Inputs) -> pl.Series:
    """Return the ids of the table `principals`, folded, row by row."""
    return folded(inputs.principals["principal_id"])


@once("principals", "role_assignments")
def principal_names(inputs: Inputs) -> pl.DataFrame:
    """Return `(principal_id, name, principal_type)`: the readable name of each principal, else its id."""
    listed = inputs.principals.select(
        principal_id=principal_ids(inputs),
        name=pl.coalesce("user_principal_name", "display_name", "principal_id"),
        principal_type="principal_type",
    )
    exported = inputs.role_assignments.select(
        principal_id=folded(inputs.role_assignments["principal_id"]),
        name=pl.when(pl.col("principal_name") != "").then("principal_name"),
        principal_type="principal_type",
    )
    both = pl.concat([listed.with_columns(order=0), exported.with_columns(order=1)]).drop_nulls("principal_id")
    return (
        both.sort("principal_id", "order", "name", "principal_type", nulls_last=True)
        .group_by("principal_id", maintain_order=True)
        .agg(pl.col("name").drop_nulls().first(), pl.col("principal_type").drop_nulls().first())
        .with_columns(name=pl.coalesce("name", "principal_id"))
    )


_LISTINGS = {
    "User": "users",
    "Group": "groups",
    "ServicePrincipal": "servicePrincipals",
    "ManagedIdentity": "servicePrincipals",
}


def able_principals(principals: pl.DataFrame) -> pl.Series:
    """Return the folded ids of the principals that are known to be enabled, and were not deleted."""
    able = principals.filter(pl.col("account_enabled").fill_null(False) & pl.col("deleted_on").is_null())
    return folded(able["principal_id"])


def is_named_for_emergencies() -> pl.Expr:
    """Return whether a row of `principals` has a display name or UPN like that of an emergency access account."""
    names = (folded(pl.col(name)).fill_null("") for name in ("display_name", "user_principal_name"))
    return pl.any_horizontal(is_emergency_name(name) for name in names)


def emergency_accounts(inputs: Inputs, listed: pl.Expr | None = None) -> pl.Series:
    """Return the ids of emergency access accounts: by their names, and all members of a group with such a name.

    The directory or an assignment has the name. `listed` marks further rows of `principals`, which a person lists.
    """
    marked = is_named_for_emergencies() if listed is None else is_named_for_emergencies() | listed
    exported = is_emergency_name(folded(pl.col("principal_name")).fill_null(""))
    of_tables = inputs.principals.filter(marked), inputs.role_assignments.filter(exported)
    found = pl.concat([one["principal_id"] for one in of_tables])
    members = inputs.group_closure.filter(pl.col("group_id").is_in(found.implode()))["member_id"]
    return pl.concat([found, members]).unique()


def classify_holders(inputs: Inputs, ids: pl.Series | None = None) -> pl.DataFrame:
    """Return `(role_assignment_id, state, principal_id, holder)`; with `ids`, only for assignments with these ids.

    `holder` is `known`, `foreign`, `orphan` or `unresolved`.
    """
    facts = _facts(inputs, ids)
    # A name that an export resolved and a listing that lacks it contradict each other, and prove nothing.
    absent = ~pl.col("named") & (pl.col("by_listing") | pl.col("by_export"))
    return facts.select(
        "role_assignment_id",
        "state",
        "principal_id",
        holder=pl.when(pl.col("exists"))
        .then(pl.lit("known"))
        .when(pl.col("foreign"))
        .then(pl.lit("foreign"))
        .when(absent & ~pl.col("deleted"))
        .then(pl.lit("orphan"))
        .when(pl.col("named") & ~pl.col("by_listing") & ~pl.col("deleted"))
        .then(pl.lit("known"))
        .otherwise(pl.lit("unresolved")),
    ).sort("role_assignment_id", "state")


def _facts(inputs: Inputs, ids: pl.Series | None) -> pl.DataFrame:
    principals = inputs.principals.select(
        principal_id=principal_ids(inputs),
        listed=pl.col("listed").fill_null(False),
        deleted=pl.col("deleted_on").is_not_null(),
        known_type="principal_type",
    )
    members = folded(inputs.group_members["member_id"]).unique()
    table = inputs.role_assignments
    # An export without any name resolved none, and proves nothing about holders without a name.
    resolves = bool((table["principal_name"].fill_null("") != "").any())
    named = pl.col("principal_name").fill_null("") != ""
    unknown = pl.col("principal_type") == "Unknown"
    if ids is not None:
        table = table.filter(pl.col("role_assignment_id").is_in(ids.implode()))
    rows = table.with_columns(principal_id=folded(table["principal_id"])).join(
        principals, on="principal_id", how="left"
    )
    deleted = pl.col("deleted").fill_null(False)
    # The assignment keeps the type that its principal once had.
    kind = pl.when(unknown | pl.col("principal_type").is_null()).then("known_type").otherwise("principal_type")
    return rows.select(
        "role_assignment_id",
        "state",
        "principal_id",
        exists=(pl.col("listed").fill_null(False) & ~deleted) | pl.col("principal_id").is_in(members.implode()),
        foreign=pl.col("principal_tenant_id").is_not_null() | (kind == "ForeignGroup").fill_null(False),
        deleted=deleted,
        named=named,
        by_export=unknown.fill_null(False) | (pl.lit(resolves) & (pl.col("principal_name") == "").fill_null(False)),
        by_listing=_absent_from_listing(inputs, kind),
    )


def _absent_from_listing(inputs: Inputs, kind: pl.Expr) -> pl.Expr:
    complete = inputs.listings.filter(pl.col("complete").fill_null(False))["listing"].unique().to_list()
    known = {name: listing in complete for name, listing in _LISTINGS.items()}
    everything = all(listing in complete for listing in _LISTINGS.values())
    return kind.replace_strict(known, default=everything, return_dtype=pl.Boolean).fill_null(everything)


_OF_ASSIGNMENT = "/providers/microsoft.authorization/policyassignments/"


@dataclass(frozen=True, slots=True)
class PolicyNeed:
    """The roles that one policy assignment needs for its identity.

    Attributes:
        policy_assignment_id: Its resource id, folded.
        place: Its folded scope.
        name: Its name for people.
        roles: Folded ids of the roles that its definitions name, each with the definition that does; None where
            something is not loaded.
    """

    policy_assignment_id: str
    place: str
    name: str
    roles: Mapping[str, str] | None


def read_policy_needs(inputs: Inputs) -> dict[str, tuple[PolicyNeed, ...]]:
    """Return, for the folded id of each identity, the needs of the policy assignments that name it.

    An identity whose own description names a policy assignment that is not loaded has a need that is not known.
    """
    definitions = {row["policy_definition_id"]: row for row in inputs.policy_definitions.iter_rows(named=True)}
    found: dict[str, list[PolicyNeed]] = defaultdict(list)
    table = inputs.policy_assignments.with_columns(place=place_of(inputs.policy_assignments["scope"]))
    for row in table.sort("policy_assignment_id").iter_rows(named=True):
        need = PolicyNeed(
            row["policy_assignment_id"],
            row["place"] or "",
            row["display_name"] or row["policy_assignment_id"].rsplit("/", 1)[-1],
            _roles_of(row["policy_definition_id"], row["definition_version"], definitions),
        )
        for principal in row["principal_ids"] or ():
            found[fold(principal)].append(need)
    for principal, own in _described(inputs):
        if own not in {need.policy_assignment_id for need in found[principal]}:
            found[principal].append(PolicyNeed(own, "", own.rsplit("/", 1)[-1], None))
    return {principal: tuple(found[principal]) for principal in sorted(found)}


def _described(inputs: Inputs) -> Iterator[tuple[str, str]]:
    """Yield the identities that the directory describes as those of policy assignments, with these."""
    for principal, names in inputs.principals.select("principal_id", "alternative_names").iter_rows():
        for name in names or ():
            if _OF_ASSIGNMENT in fold(name):
                yield fold(principal), fold(name).strip(" ").rstrip("/")


def _roles_of(
    definition_id: str | None, version: str | None, definitions: Mapping[str, Mapping[str, Any]]
) -> dict[str, str] | None:
    """Return the roles that a definition or a set names, or None where they are not all known."""
    definition = definitions.get(definition_id or "")
    if definition is None or not _is_that_version(version, definition["version"]):
        return None
    if not definition["is_set"]:
        roles = definition["role_definition_ids"]
        return None if roles is None else {fold(role): definition["display_name"] or "" for role in roles}
    found: dict[str, str] = {}
    members = zip(definition["member_ids"] or (), definition["member_versions"] or (), strict=True)
    for member, member_version in members:
        inner = definitions.get(member)
        roles = None if inner is None or inner["is_set"] else _roles_of(member, member_version, definitions)
        if roles is None:
            return None
        found |= roles
    return found


def _is_that_version(wanted: str | None, loaded: str | None) -> bool:
    """Return whether the loaded version has the major version that is asked for, or either is not known."""
    return not wanted or not loaded or wanted.split(".", 1)[0] == loaded.split(".", 1)[0]
