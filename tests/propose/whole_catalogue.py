"""Build tenants on Azure's whole catalogue: the tables of a loaded store, and use drawn from granted roles."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.model.plan import Plan
from tests.propose.small_tenant import APP, SUB, SmallTenant

TABLES = ("role_definitions", "role_permissions", "role_operations", "operations")
VERBS = ("read", "write", "delete", "action")


def write_catalogue(shared_data: Path, folder: Path) -> None:
    """Load the built-in roles and the operations of Azure into a store, and write the tables that come of it."""
    from rightsize.store.connection import open_store  # noqa: PLC0415  most users of this module find them written
    from rightsize.workflow.data.load import load_paths  # noqa: PLC0415

    db = folder / "store.duckdb"
    files = ("built-in-roles.json", "operations.csv")
    load_paths(db, [shared_data / "catalog" / name for name in files])
    with open_store(db, read_only=True) as store:
        for name in TABLES:
            store.table(name).write_parquet(folder / f"{name}.parquet")


@lru_cache(maxsize=1)
def read_catalogue(folder: Path) -> dict[str, pl.DataFrame]:
    """Return the tables that were written."""
    return {name: pl.read_parquet(folder / f"{name}.parquet") for name in TABLES}


@lru_cache(maxsize=1)
def logged_operations(folder: Path) -> dict[str, list[str]]:
    """Return by role what it grants without a condition that the Activity Log shows, sorted."""
    tables = read_catalogue(folder)
    logged = tables["operations"].filter(
        (pl.col("observable_by") == "activity_log") & (pl.col("is_data_action") == False)  # noqa: E712
    )
    rows = (
        tables["role_operations"]
        .filter((pl.col("plane") == "control") & ~pl.col("conditional"))
        .join(logged.select("operation"), on="operation")
        .sort("role_definition_id", "operation")
    )
    found: dict[str, list[str]] = defaultdict(list)
    for role, operation in rows.select("role_definition_id", "operation").iter_rows():
        found[role].append(operation)
    return dict(found)


@dataclass
class WholeTenant(SmallTenant):
    """A tenant with all built-in roles and operations."""

    folder: Path = field(default=Path(), repr=False)

    def _catalogue(self) -> dict[str, pl.DataFrame]:
        return read_catalogue(self.folder)

    @property
    def role_names(self) -> dict[str, str]:
        """The name of each role by its id, by id."""
        table = read_catalogue(self.folder)["role_definitions"].sort("role_definition_id")
        return dict(table.select("role_definition_id", "role_name").iter_rows())

    def holder(self, number: int, role: str, *, uses: int, scope: str = SUB, **more: Any) -> str:
        """Add a user with a role, who uses some of its logged operations, and return the assignment."""
        user = self.principal(number, **more)
        logged = logged_operations(self.folder).get(role, [])
        draw = random.Random(f"{role} {number}")  # noqa: S311  no secret
        for operation in sorted(draw.sample(logged, min(uses, len(logged)))):
            self.use(user, operation, target_of(operation, f"r{draw.randrange(2)}"), days=draw.randint(2, 9))
        return self.assign(10_000 + number, user, role, scope)


def target_of(operation: str, name: str) -> str:
    """Return a resource on which an operation may be performed, or the subscription for what has no type."""
    provider, *rest = operation.split("/")
    verb = rest[-1].lower()
    types = rest[: -2 if verb == "action" else -1 if verb in VERBS else len(rest)]
    if not types or types[0].lower() in ("locations", "subscriptions"):
        return SUB
    return f"{APP}/providers/{provider}" + "".join(f"/{one}/{name}" for one in types)


def one_holder_each(folder: Path, *, every: int = 1, uses: int = 4) -> WholeTenant:
    """Every built-in role, or every so manyth, is held by one user; a quarter of them used nothing."""
    tenant = WholeTenant(folder=folder)
    for number, role in enumerate(list(tenant.role_names)[::every], start=1):
        tenant.holder(number, role, uses=0 if number % 4 == 0 else uses)
    return tenant


def many_holders(folder: Path, role_name: str, number: int) -> WholeTenant:
    """One role is held by many, each of whom uses other operations: none, a few, or dozens."""
    tenant = WholeTenant(folder=folder)
    (role,) = (id_ for id_, name in tenant.role_names.items() if name == role_name)
    for one in range(1, number + 1):
        tenant.holder(one, role, uses=(0, 1, 2, 3, 5, 8, 30)[one % 7])
    return tenant


def summary_of(plan: Plan) -> dict[str, Any]:
    """Return the sizes and counts of a plan that a person looks at before they are stored."""
    sizes = sorted(
        sum(len(block.actions) + len(block.data_actions) for block in role.definition.permissions)
        for role in plan.roles
    )
    return {
        "kinds": dict(sorted(Counter(one.kind for one in plan.proposals).items())),
        "kept": dict(
            sorted(Counter(one.reason.partition(":")[0] for one in plan.proposals if one.kind == "keep").items())
        ),
        "excess_before": round(sum(one.excess_before for one in plan.proposals)),
        "excess_after": round(sum(one.excess_after for one in plan.proposals)),
        "assignments": sum(len(one.assignments) for one in plan.proposals),
        "new_roles": len(plan.roles),
        "strings": sum(sizes),
        "most_strings": max(sizes, default=0),
        "replayed": plan.replay["allowed"],
    }
