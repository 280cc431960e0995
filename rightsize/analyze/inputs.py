"""What an analysis reads: one frame a table, with the columns and types that `model` declares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

import polars as pl

from rightsize.model.schema import ColumnType
from rightsize.model.tables import table

Found = TypeVar("Found")

_POLARS_TYPES: dict[ColumnType, pl.DataType] = {
    ColumnType.TEXT: pl.String(),
    ColumnType.TEXTS: pl.List(pl.String()),
    ColumnType.BOOL: pl.Boolean(),
    ColumnType.INT: pl.Int64(),
    ColumnType.REAL: pl.Float64(),
    ColumnType.TIME: pl.Datetime("us"),
    ColumnType.DAY: pl.Date(),
}


def schema_of(name: str) -> dict[str, pl.DataType]:
    """Return the polars schema of a table of the store, columns in declared order."""
    return {column.name: _POLARS_TYPES[column.type] for column in table(name).columns}


def empty(name: str) -> pl.DataFrame:
    """Return a table of the store without rows."""
    return pl.DataFrame(schema=schema_of(name))


RBAC_PLANES = ("control", "data")
TENANT_LOGS = ("graph_activity_log", "entra_audit_log")
"""Logs of the tenant itself, which show nothing of what Azure RBAC allows."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Inputs:
    """The tables of the store that an analysis of Azure RBAC reads, each under its own name."""

    principals: pl.DataFrame
    principal_aliases: pl.DataFrame
    group_members: pl.DataFrame
    group_closure: pl.DataFrame
    group_schedule_instances: pl.DataFrame
    listings: pl.DataFrame
    scopes: pl.DataFrame
    scope_tags: pl.DataFrame
    role_definitions: pl.DataFrame
    role_permissions: pl.DataFrame
    role_assignments: pl.DataFrame
    deny_assignments: pl.DataFrame
    role_management_policies: pl.DataFrame
    policy_assignments: pl.DataFrame
    policy_definitions: pl.DataFrame
    role_assignment_requests: pl.DataFrame
    schedule_requests: pl.DataFrame
    pim_records: pl.DataFrame
    operations: pl.DataFrame
    role_operations: pl.DataFrame
    usage_days: pl.DataFrame
    sign_ins: pl.DataFrame
    resources: pl.DataFrame
    diagnostic_settings: pl.DataFrame
    request_access: pl.DataFrame
    coverage: pl.DataFrame

    @classmethod
    def read(cls, table_of: Callable[[str], pl.DataFrame]) -> Inputs:
        """Read every table through `table_of`, for example `Store.table`; of use and coverage what is of RBAC."""
        frames = {field.name: table_of(field.name) for field in fields(cls)}
        frames["usage_days"] = frames["usage_days"].filter(pl.col("plane").is_in(RBAC_PLANES))
        frames["coverage"] = frames["coverage"].filter(~pl.col("source").is_in(TENANT_LOGS))
        return cls(**frames)

    @classmethod
    def of(cls, **frames: pl.DataFrame) -> Inputs:
        """Build from the given frames; a table that is not given is empty, a column that is missing is null."""
        return cls(**{field.name: _complete(field.name, frames.pop(field.name, None)) for field in fields(cls)})


def once(step: Callable[[Inputs], Found]) -> Callable[[Inputs], Found]:
    """Take a step over the tables once for the same tables, and keep what it found as long as they are there."""
    found: WeakKeyDictionary[Inputs, Found] = WeakKeyDictionary()

    @wraps(step)
    def taken(inputs: Inputs) -> Found:
        if inputs not in found:
            found[inputs] = step(inputs)
        return found[inputs]

    return taken


def _complete(name: str, frame: pl.DataFrame | None) -> pl.DataFrame:
    if frame is None:
        return empty(name)
    return frame.select(
        (pl.col(column) if column in frame.columns else pl.lit(None)).cast(type_).alias(column)
        for column, type_ in schema_of(name).items()
    )
