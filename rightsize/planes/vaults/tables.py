"""Read the vaults that access policies decide, with their holders, the use of their data, and who writes policies.

Only the AuditEvent log of a vault shows what its policies let through; `vault_use_days` has it.
The switch of a vault to roles wakes up the role assignments with data actions of vaults.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs, empty, folded, place_of
from rightsize.analyze.listings import parents_of
from rightsize.analyze.principals import classify_holders
from rightsize.analyze.vaults import Vault, VaultPolicy, read_vaults
from rightsize.analyze.verdicts.coverage import open_groups
from rightsize.analyze.verdicts.resource_logs import RESOURCE
from rightsize.analyze.verdicts.usage import named_use
from rightsize.analyze.window import Window, choose_window
from rightsize.model.options import WindowOptions
from rightsize.model.role_forms import permissions_from_json
from rightsize.rbac.permissions import is_granted, read_permissions
from rightsize.rbac.scopes import lineage, parse_scope
from rightsize.rules.vaults import VAULT, is_metadata_read, spellings, without_permission

LOG = "key_vault_log"
WRITES = ("microsoft.keyvault/vaults/write", "microsoft.keyvault/vaults/accesspolicies/write")
"""The calls to Resource Manager that may change the policies of a vault, or its model."""
_DESCRIBED = (
    "principals", "principal_aliases", "group_members", "group_closure", "listings", "resources",
    "diagnostic_settings", "usage_days",
)  # fmt: skip


@dataclass(frozen=True)
class VaultTables:
    """The tables that judge access policies.

    Attributes:
        vaults: All vaults by scope.
        use: `vault_use_days` of vaults with policies, folded, with `vault`; without what needs no permission.
        members: `(principal_id, holder)`: each member of a group.
        inputs: The tables about principals, listings, resources and logs; its assignments are the policies.
        holders: For each policy whether its holder is `known`, `foreign`, `orphan` or `unresolved`, by grant.
        roles: The table `role_definitions`.
        assignments: The table `role_assignments`.
        tree: The folded scope above each subscription and management group.
        coverage: The days that the logs of vaults cover: `resource`, `day`.
    """

    vaults: Mapping[str, Vault]
    use: pl.DataFrame
    members: pl.DataFrame
    inputs: Inputs
    holders: Mapping[str, str]
    roles: pl.DataFrame
    assignments: pl.DataFrame
    tree: Mapping[str, str]
    coverage: pl.DataFrame

    @classmethod
    def read(cls, table_of: Callable[[str], pl.DataFrame]) -> VaultTables:
        """Read the tables, each got through `table_of`; without vaults that policies decide only these are read."""
        vaults = read_vaults(table_of("vaults"), table_of("vault_policies"))
        if not any(one.by_policies for one in vaults.values()):
            vaults, table_of = {}, empty
        policies = [policy for vault in vaults.values() if vault.by_policies for policy in vault.policies]
        held = pl.DataFrame(
            [(one.grant, "active", one.principal_id) for one in policies],
            schema=dict.fromkeys(("role_assignment_id", "state", "principal_id"), pl.String),
            orient="row",
        )
        coverage = table_of("coverage").filter((pl.col("source") == LOG) & (pl.col("state") != "missing"))
        described = {name: table_of(name) for name in _DESCRIBED}
        inputs = Inputs.of(**described, coverage=coverage, role_assignments=held)
        closure = inputs.group_closure
        return cls(
            vaults=vaults,
            use=_use(table_of("vault_use_days"), vaults),
            members=closure.select(principal_id=folded(closure["member_id"]), holder=folded(closure["group_id"])),
            inputs=inputs,
            holders=dict(classify_holders(inputs).select("role_assignment_id", "holder").iter_rows()),
            roles=table_of("role_definitions"),
            assignments=table_of("role_assignments"),
            tree=parents_of(table_of("scopes")),
            coverage=coverage.select("day", resource=place_of(coverage["scope"])),
        )

    @property
    def is_empty(self) -> bool:
        """Return whether no vault is loaded that access policies decide."""
        return not self.vaults

    @cached_property
    def policies(self) -> tuple[VaultPolicy, ...]:
        """Return the policies that decide something, in the order of vaults and grants."""
        return tuple(one for vault in self.vaults.values() if vault.by_policies for one in vault.policies)

    @cached_property
    def open_groups(self) -> frozenset[str]:
        """Return the holders that may be groups with members whom no complete listing shows."""
        return frozenset(open_groups(self.inputs))

    @cached_property
    def people(self) -> Mapping[str, Mapping[str, object]]:
        """Return the rows of the table `principals` by folded id."""
        rows = self.inputs.principals.with_columns(id=folded(self.inputs.principals["principal_id"]))
        wanted = rows.filter(pl.col("id").is_in([one.principal_id for one in self.policies]))
        return {str(row["id"]): row for row in wanted.iter_rows(named=True)}

    @cached_property
    def writers(self) -> pl.DataFrame:
        """Return `(vault, principal_id, day)`: who may have changed the policies or the model of a vault, and when."""
        rows = named_use(self.inputs.usage_days, WRITES)
        rows = rows.filter(pl.col("succeeded") + pl.col("started") > 0)
        placed = rows.select("principal_id", "day", vault=folded(rows["scope"]).str.extract(RESOURCE, 1))
        return placed.drop_nulls("vault").unique().sort("vault", "day", "principal_id", nulls_last=True)


def _use(rows: pl.DataFrame, vaults: Mapping[str, Vault]) -> pl.DataFrame:
    wanted = [scope for scope, vault in vaults.items() if vault.by_policies]
    rows = rows.select(
        "day", "events", "suspect", "first_seen", "last_seen",
        principal_id=folded(rows["principal_id"]), app_id=folded(rows["app_id"]), operation=folded(rows["operation"]),
        scope=folded(rows["scope"]),
    )  # fmt: skip
    placed = rows.with_columns(vault=pl.col("scope").str.extract(RESOURCE, 1))
    silent = pl.col("operation").is_in(list(without_permission())) | pl.col("operation").str.ends_with(
        "eventgridnotification"
    )
    return placed.filter(pl.col("vault").is_in(wanted) & ~silent)


def vault_window(tables: VaultTables, asked: WindowOptions) -> Window:
    """Return the window; without `as_of` it ends with the newest day of the logs of vaults."""
    log = tables.coverage.select("day").unique()
    newest = max((day for day in (log["day"].max(), tables.use["day"].max()) if isinstance(day, dt.date)), default=None)
    as_of = asked.as_of
    if as_of is None and newest is not None:
        as_of = newest + dt.timedelta(days=1)
    rows = log.with_columns(source=pl.lit(LOG), scope=pl.lit("/"), state=pl.lit("observed"))
    return choose_window(Inputs.of(coverage=rows), as_of, *asked.span)


def known_vaults(tables: VaultTables) -> pl.DataFrame:
    """Return `(resource, kind, created)` of the vaults that policies decide."""
    listed = tables.inputs.resources
    made = dict(zip(place_of(listed["scope"]), listed.select(pl.col("created_on").dt.date()).to_series(), strict=True))
    rows = [(scope, VAULT, made.get(scope)) for scope, vault in tables.vaults.items() if vault.by_policies]
    return pl.DataFrame(rows, schema={"resource": pl.String, "kind": pl.String, "created": pl.Date}, orient="row")


_SHOWN = ("role_assignment_id", "principal_id", "scope", "state", "role")


def data_assignments(tables: VaultTables) -> list[dict[str, Any]]:
    """Return the assignments of roles with data actions of vaults beyond reads of metadata.

    Each has its folded `place`, and its folded `operations`.
    """
    roles = tables.roles.with_columns(role=folded(tables.roles["role_definition_id"]))
    described = {row["role"]: row for row in roles.select("role", "role_name", "permissions").iter_rows(named=True)}
    rows = tables.assignments.with_columns(
        place=folded(tables.assignments["scope"]).str.strip_suffix("/"),
        role=folded(tables.assignments["role_definition_id"]),
    ).filter(pl.col("state") != "activated")
    has: dict[str, frozenset[str]] = {}
    for role in rows["role"].drop_nulls().unique():
        blocks = read_permissions(permissions_from_json(described[role]["permissions"])) if role in described else None
        read = blocks.of_plane("data") if blocks is not None else ()
        has[role] = frozenset(one for one in spellings() if is_granted(read, one))
    return [
        {name: row[name] for name in ("role_assignment_id", "principal_id", "scope", "state", "place")}
        | {"role": described[row["role"]]["role_name"] or row["role"], "operations": has[row["role"]]}
        for row in rows.sort("role_assignment_id", "state").iter_rows(named=True)
        if any(not is_metadata_read(one) for one in has.get(row["role"], ()))
    ]


def at_vault(vault: Vault, held: Iterable[Mapping[str, Any]], tables: VaultTables) -> list[Mapping[str, Any]]:
    """Return the assignments that count in a vault, or at a part of it, once roles decide there."""
    above = {place.rstrip("/") for place in lineage(parse_scope(vault.scope), tables.tree)}
    return [row for row in held if row["place"] in above or row["place"].startswith(f"{vault.scope}/")]


def woken(vault: Vault, held: Iterable[Mapping[str, Any]], tables: VaultTables) -> list[dict[str, Any]]:
    """Return the role assignments whose data actions count in a vault only after its switch, for people."""
    return [
        {name: row[name] for name in _SHOWN} | {"operations": len(row["operations"])}
        for row in at_vault(vault, held, tables)
    ]


def is_allowed(held: Sequence[Mapping[str, Any]], who: Collection[str], operation: str, scope: str) -> bool:
    """Return whether one of the assignments at a vault allows an operation at a scope in it to one of some holders."""
    return any(
        row["state"] == "active"
        and row["principal_id"].lower() in who
        and operation in row["operations"]
        and f"{scope}/".startswith(f"{row['place']}/")
        for row in held
    )
