"""Make the frames of the Python interface: each has its columns also where it has no row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

import polars as pl

from rightsize.analyze.inputs import schema_of
from rightsize.store.merging.loads import MergedFile

Schema = Mapping[str, pl.DataType | type[pl.DataType]]

_COUNTS: Schema = dict.fromkeys(("granted", "used", "unused", "unobservable", "out_of_coverage"), pl.Int64)
_SCORES: Schema = {**_COUNTS, "creep": pl.Float64, "risk": pl.Float64, "bucket": pl.String}
BY_PRINCIPAL: Schema = {
    "principal_id": pl.String,
    "plane": pl.String,
    **_SCORES,
    "name": pl.String,
    "principal_type": pl.String,
}
BY_ASSIGNMENT: Schema = {
    "role_assignment_id": pl.String,
    "state": pl.String,
    "plane": pl.String,
    **_SCORES,
    "principal_id": pl.String,
    "name": pl.String,
    "role_name": pl.String,
    "scope": pl.String,
}
ANALYSED: Mapping[str, Schema] = {"principal": BY_PRINCIPAL, "assignment": BY_ASSIGNMENT}
_REASON = pl.Struct(
    {
        "role_assignment_id": pl.String,
        "role_name": pl.String,
        "scope": pl.String,
        "via": pl.List(pl.String),
        "condition": pl.String,
        "state": pl.String,
    }
)
HOLDERS: Schema = {
    "principal_id": pl.String,
    "principal_type": pl.String,
    "name": pl.String,
    "operation": pl.String,
    "scope": pl.String,
    "plane": pl.String,
    "allowed": pl.String,
    "because": pl.List(_REASON),
    "denied_by": pl.List(pl.String),
    "depends_on_reading": pl.Boolean,
    "unknown": pl.String,
}
NEEDED: Schema = {
    **dict.fromkeys(("operation", "scope", "resource", "rule", "only_if"), pl.String),
    "privilege": pl.Boolean,
    "file": pl.String,
}
ANSWERED: Schema = {
    **NEEDED,
    "allowed": pl.String,
    "because": pl.List(_REASON),
    "denied_by": pl.List(pl.String),
    "unknown": pl.String,
}
DECLARED: Schema = {"path": pl.String, **dict.fromkeys(("read", "new", "duplicate"), pl.Int64)}
FILES: Schema = {
    "path": pl.String,
    "source": pl.String,
    **dict.fromkeys(("read", "new", "duplicate", "rejected", "unused_record", "late"), pl.Int64),
}
_ASSIGNMENT = pl.Struct(
    dict.fromkeys(("role", "scope", "principal_id", "condition", "state", "end_on"), pl.String),
)
REACHED: Schema = {
    **{name: kind for name, kind in schema_of("reach").items() if name != "basis"},
    **dict.fromkeys(("cells_used", "cells_proposed", "identities_proposed"), pl.Int64),
    "name": pl.String,
    "complete": pl.Boolean,
}
CONTROLS: Schema = {
    **dict.fromkeys(("severity", "control", "status"), pl.String),
    **dict.fromkeys(("failing", "unknown"), pl.Int64),
    "passed": pl.Boolean,
    **dict.fromkeys(("exempt", "known"), pl.Int64),
    "title": pl.String,
}
FINDINGS: Schema = {
    **dict.fromkeys(
        ("severity", "control", "status", "subject", "resource", "scope", "principal_id", "reason", "exempt_until"),
        pl.String,
    ),
    "known": pl.Boolean,
    "fingerprint": pl.String,
}
PROPOSALS: Schema = {
    "id": pl.String,
    "plane": pl.String,
    "kind": pl.String,
    "principal_id": pl.String,
    "principal": pl.String,
    "role": pl.String,
    "scope": pl.String,
    "role_assignment_id": pl.String,
    "assignments": pl.List(_ASSIGNMENT),
    "excess_before": pl.Float64,
    "excess_after": pl.Float64,
    "risk_before": pl.Float64,
    "risk_after": pl.Float64,
    "break_probability_30d": pl.Float64,
    "break_bound_30d": pl.Float64,
    "is_proved": pl.Boolean,
    "reason": pl.String,
    "rank": pl.Int64,
    "share": pl.Float64,
}
CURVE: Schema = {
    "custom_roles": pl.Int64,
    "excess": pl.Float64,
    "assignments": pl.Int64,
}
ADVICE: Schema = {"subject": pl.String, "text": pl.String}
FAULTS: Schema = {
    **dict.fromkeys(("what", "id", "name", "change", "operation", "plane", "scope"), pl.String),
    "role_assignment_ids": pl.List(pl.String),
    "detail": pl.String,
}


def frame_of(rows: Iterable[Mapping[str, Any]], schema: Schema) -> pl.DataFrame:
    """Return rows as a frame with the columns of a schema; further values of a row are left out."""
    return pl.DataFrame([{name: row[name] for name in schema} for row in rows], schema=schema, orient="row")


def files_of(files: Iterable[MergedFile]) -> pl.DataFrame:
    """Return the counts of loaded files as a frame, in their order."""
    return frame_of(map(asdict, files), FILES)


def frame_of_table(rows: Iterable[Mapping[str, Any]], table: str) -> pl.DataFrame:
    """Return rows as a frame with the columns of a table of the store."""
    return frame_of(rows, schema_of(table))


def frame_of_answer(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return the answer to a statement as a frame; the type of a column is that of its values."""
    # Every value is looked at: a map of the first row says nothing about those of others.
    return pl.DataFrame([pl.Series(name, [_plain(row[name]) for row in rows], strict=False) for name in columns])


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value
