"""Write the tables of the report as whole files, for auditors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from rightsize.model.errors import InputError
from rightsize.rbac.text import fold
from rightsize.render.report.sources import Sources
from rightsize.render.rows import write_separated
from rightsize.render.workbook import write_workbook
from rightsize.workflow.report import read_sources

Format = Literal["csv", "xlsx"]
Table = tuple[Sequence[str], Sequence[Mapping[str, Any]]]
WORKBOOK = "rightsize.xlsx"
_PROPOSALS = (
    "id", "plane", "principal_id", "principal", "kind", "role_assignment_id", "state", "role", "scope", "assigns",
    "excess_before", "excess_after", "risk_before", "risk_after", "break_probability_30d", "proved", "reason",
)  # fmt: skip
_ASSIGNS = ("proposal_id", "principal_id", "principal", "role_id", "role", "scope", "state", "condition", "end_on")


@dataclass(frozen=True, slots=True)
class ExportResult:
    """The result of `export`: `{table, file, rows}`, and whether the plan was made from another state of the store."""

    rows: list[dict[str, Any]]
    is_stale: bool


def export_store(db: Path, out: Path, form: Format, plan: Path | None = None) -> ExportResult:
    """Write the tables of a store, and of a plan where one is given, into a folder.

    Raises:
        EvidenceError: Nothing is loaded that could be analysed.
        InputError: The plan cannot be read, or a file cannot be written.
    """
    sources = read_sources(db, plan=plan)
    tables = dict(_tables(sources))
    if form == "xlsx":
        files = {WORKBOOK: write_workbook(tables)}
        names = dict.fromkeys(tables, WORKBOOK)
    else:
        names = {name: f"{name}.csv" for name in tables}
        files = {names[name]: write_separated(rows, columns, ",").encode() for name, (columns, rows) in tables.items()}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (out / name).write_bytes(content)
    except OSError as error:
        raise InputError(f"`{out}` cannot be written: {error.strerror}") from error
    exported = [
        {"table": name, "file": str(out / names[name]), "rows": len(rows)} for name, (_, rows) in tables.items()
    ]
    return ExportResult(exported, sources.stale is not None)


def _tables(sources: Sources) -> Iterator[tuple[str, Table]]:
    overview = sources.overview
    names = dict(overview.principals.select("principal_id", "name").iter_rows())
    roles = dict(overview.roles.select("role", "role_name").iter_rows())
    roles |= {id_: role.role_name for id_, role in sources.planned_roles.items()}
    principal = pl.col("principal_id").replace_strict(names, default=None).alias("principal")
    role = pl.col("role").replace_strict(roles, default=None).alias("role_name")
    yield "principals", _of(overview.principals)
    yield "assignments", _of(overview.assignments.with_columns(principal, role))
    yield "roles", _of(overview.roles)
    yield "scopes", _of(overview.scopes)
    yield "uses", _of(overview.uses.with_columns(principal))
    yield "unexplained", _of(overview.unexplained.with_columns(principal))
    yield "layers", _of(sources.layers.with_columns(principal))
    yield (
        "coverage",
        _of(sources.coverage.filter(sources.window.holds("day")).sort("source", "category", "scope", "day")),
    )
    yield "findings", _of(sources.findings.with_columns(principal))
    if sources.proposals is not None:
        yield "proposals", (_PROPOSALS, [_proposal(one, names, roles) for one in sources.proposals])
        yield "proposed", (_ASSIGNS, [row for one in sources.proposals for row in _assigned(one, names, roles)])


def _of(frame: pl.DataFrame) -> Table:
    return frame.columns, frame.to_dicts()


def _proposal(one: Mapping[str, Any], names: Mapping[str, str], roles: Mapping[str, str]) -> dict[str, Any]:
    evidence, proof = one["evidence"], one["proof"]
    principal = one["principal_ids"][0]
    copied = ("id", "plane", "kind", "excess_before", "excess_after", "risk_before", "risk_after", "reason")
    return {name: one[name] for name in (*copied, "break_probability_30d")} | {
        "principal_id": principal,
        "principal": names.get(fold(principal)),
        "role_assignment_id": one["replaces"][0],
        "state": evidence.get("state"),
        "role": roles.get(fold(evidence["role"]), evidence["role"]),
        "scope": evidence["scope"],
        "assigns": len(one["assignments"]),
        "proved": proof["used_subset"] and proof["granted_superset"],
    }


def _assigned(one: Mapping[str, Any], names: Mapping[str, str], roles: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for place in one["assignments"]:
        yield {
            "proposal_id": one["id"],
            "principal_id": place["principal_id"],
            "principal": names.get(fold(place["principal_id"])),
            "role_id": place["role"],
            "role": roles.get(fold(place["role"])),
            "scope": place["scope"],
            "state": place["state"],
            "condition": place["condition"],
            "end_on": place.get("end_on"),
        }
