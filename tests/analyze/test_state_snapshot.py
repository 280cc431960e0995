"""The snapshot lists unused grants, by plane where only one of two planes is used."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest

from rightsize.analyze.planes import ASSIGNMENTS_SCHEMA, DENIED_SCHEMA, PRINCIPALS_SCHEMA, PlaneAnalysis
from rightsize.analyze.verdicts.judge import VERDICTS_SCHEMA
from rightsize.analyze.window import Window
from rightsize.guard.watch.state import unused_grants
from rightsize.model.nouns import Plane

WINDOW = Window(dt.date(2026, 1, 1), dt.date(2026, 3, 31))


def judged(plane: Plane, *verdicts: tuple[str, str], created: dt.datetime | None = None) -> PlaneAnalysis:
    """A grant with verdicts, each on a plane."""
    grant: dict[str, Any] = dict.fromkeys(ASSIGNMENTS_SCHEMA) | {
        "role_assignment_id": "G1", "state": "active", "principal_id": "app", "role_definition_id": "ROLE",
        "scope": "/", "created_on": created, "plane": plane,
    }  # fmt: skip
    rows = [
        dict.fromkeys(VERDICTS_SCHEMA)
        | {"role_assignment_id": "G1", "state": "active", "plane": one, "verdict": verdict, "operations": 3}
        for one, verdict in verdicts
    ]
    return PlaneAnalysis(
        plane,
        WINDOW,
        pl.DataFrame(rows, schema=VERDICTS_SCHEMA),
        pl.DataFrame(schema=PRINCIPALS_SCHEMA),
        pl.DataFrame([grant], schema=ASSIGNMENTS_SCHEMA),
        pl.DataFrame(schema=DENIED_SCHEMA),
        pl.DataFrame(),
    )


def found(plane: PlaneAnalysis) -> list[tuple[Any, ...]]:
    return unused_grants(plane).select("name", "value", "principal_id", "role", "what").rows()


@pytest.mark.parametrize("plane", ["graph", "directory"])
def test_a_grant_of_any_plane_that_nothing_was_used_of_is_unused(plane: Plane) -> None:
    assert found(judged(plane, (plane, "unused"))) == [("g1|active", "", "app", "role", "3")]


def test_a_grant_that_is_used_on_one_plane_is_unused_on_the_other() -> None:
    verdicts = (("control", "used"), ("control", "unused"), ("data", "unused"))
    assert found(judged("control", *verdicts)) == [("g1|active|data", "data", "app", "role", "3")]


def test_a_grant_that_is_used_on_no_plane_is_unused_once() -> None:
    assert found(judged("control", ("control", "unused"), ("data", "unused"))) == [
        ("g1|active", "", "app", "role", "6")
    ]


@pytest.mark.parametrize("verdict", ["used", "unobservable", "out_of_coverage"])
def test_what_was_used_or_no_log_could_show_is_not(verdict: str) -> None:
    assert found(judged("graph", ("graph", verdict))) == []


def test_a_grant_that_is_younger_than_the_window_is_not() -> None:
    assert found(judged("graph", ("graph", "unused"), created=dt.datetime(2026, 2, 1))) == []
