"""Compute the report's tables beyond Azure RBAC: reach, activations, directory roles and Graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rightsize.analyze.counting import count_unexplained
from rightsize.rbac.text import fold
from rightsize.render.blast import shape_blast
from rightsize.render.report.figures import SHOWN, Figures, bar
from rightsize.render.report.sources import clean, name_of
from rightsize.render.summary import plane_title

BLASTS_OF = {"principal": 6, "resource": 3, "outsider": 2}
"""Number of subjects of each kind whose blast radius is drawn."""
_DONE = 5


def plane_tables(figures: Figures) -> list[dict[str, Any]]:
    """Return a table for each plane: its grants, most creep first, with the kind of their proposals."""
    return [
        {
            "plane": one.plane,
            "title": plane_title(one.plane),
            "window": one.window,
            "unexplained": count_unexplained(one.verdicts),
            "whole": one.assignments.height,
            "rows": list(_held(figures, one.assignments.to_dicts(), _decisions(figures, one.plane))),
        }
        for one in sorted(figures.sources.planes, key=lambda one: one.plane)
    ]


def _held(figures: Figures, rows: list[dict[str, Any]], decisions: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    rows.sort(key=lambda row: (-row["creep"], -row["granted"], row["role_assignment_id"], row["state"]))
    for row in rows[:SHOWN]:
        yield row | {
            "principal": figures.principal_name(row["principal_id"]),
            "role": name_of(row["role_name"], row["role_definition_id"] or "?"),
            "at": "the tenant" if row["scope"] == "/" else clean(row["scope"]),
            "bar": bar(row),
            "decision": decisions.get(fold(row["role_assignment_id"]), ""),
        }


def _decisions(figures: Figures, plane: str) -> dict[str, str]:
    """Return the kind of the proposal for each grant, by its folded id."""
    proposals = [one for one in figures.sources.beyond if one["plane"] == plane]
    return {fold(id_): one["kind"] for one in proposals for id_ in one["replaces"]}


def activation_rows(figures: Figures) -> list[dict[str, Any]]:
    """Return the newest activations, each with the operations used during it."""
    held = (one.assignments.select("role_definition_id", "role_name") for one in figures.sources.planes)
    directory = {fold(id_): name for frame in held for id_, name in frame.iter_rows() if id_}
    rows = sorted(figures.sources.activations, key=lambda row: row["activation_id"])
    rows.sort(key=lambda row: str(row["start_on"] or ""), reverse=True)
    return [
        dict(row)
        | {
            "principal": figures.principal_name(row["principal_id"]),
            "role": clean(
                directory.get(fold(row["role_definition_id"] or ""))
                or figures.role_name(row["role_definition_id"] or "?")
            ),
            "at": "the tenant" if row["scope"] in ("/", None) else figures.place(row["scope"]),
            "began": str(row["start_on"] or "")[:16],
            "done": [clean(name) for name in (row["done"] or ())[:_DONE]],
        }
        for row in rows[:SHOWN]
    ]


def reach_rows(figures: Figures) -> list[dict[str, Any]]:
    """Return the subjects with the widest reach."""
    return [
        dict(row) | {"name": name_of(row["name"], row["subject"]), "layers": len(row["layers"] or ())}
        for row in figures.sources.reach[:SHOWN]
    ]


def blast_rows(figures: Figures) -> list[dict[str, Any]]:
    """Return the blast radius of the first subjects, ready to be drawn."""
    return [shape_blast(one) for one in figures.sources.blasts]
