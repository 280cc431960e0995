"""Totals of verdicts: what counts as one unexplained operation, and what `granted` adds up."""

from __future__ import annotations

from typing import Any

import polars as pl

from rightsize.analyze.counting import count_unexplained, count_unexplained_by_plane, count_verdicts
from rightsize.analyze.verdicts.judge import VERDICTS_SCHEMA

SITE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/web"


def _verdicts(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([dict.fromkeys(VERDICTS_SCHEMA) | row for row in rows], schema=VERDICTS_SCHEMA)


def _done(principal: str, operation: str | None, **more: Any) -> dict[str, Any]:
    done = {"verdict": "unexplained", "plane": "control", "scope": SITE, "reason": "no_grant", "operations": 1}
    return done | {"principal_id": principal, "operation": operation} | more


def test_an_unexplained_operation_counts_once_for_each_principal_and_scope() -> None:
    """Another reason, spelling or call adds none; another principal, scope or operation adds one."""
    rows = _verdicts(
        _done("ann", "Microsoft.Web/sites/restart/Action"),
        _done("ann", "microsoft.web/sites/restart/action", reason="assignment_gone", events=8),
        _done("ann", "microsoft.web/sites/restart/action", scope=SITE.upper()),
        _done("ben", "microsoft.web/sites/restart/action"),
        _done("ann", "microsoft.web/sites/restart/action", scope="/subscriptions/s"),
        _done("ann", "microsoft.web/sites/write"),
    )
    assert count_unexplained(rows) == 4


def test_a_row_without_an_operation_counts_the_operations_that_it_sums_up() -> None:
    rows = _verdicts(_done("app", None, plane="graph", operations=7), _done("app", "GET /me", plane="graph"))
    assert count_unexplained(rows) == 8
    assert count_unexplained_by_plane(rows) == {"graph": 8}


def test_planes_of_azure_roles_are_counted_together_and_first() -> None:
    rows = _verdicts(_done("a", "x"), _done("a", "y", plane="data"), _done("a", "z", plane="directory"))
    assert list(count_unexplained_by_plane(rows).items()) == [("azure_roles", 2), ("directory", 1)]


def test_granted_adds_up_the_four_verdicts_and_leaves_out_unexplained_operations() -> None:
    """A used operation counts once for each assignment, at however many scopes and in whatever spelling."""
    used = {"verdict": "used", "plane": "control", "state": "active", "operations": 1}
    counted = {"plane": "control", "role_assignment_id": "a", "state": "active"}
    rows = _verdicts(
        used | {"role_assignment_id": "a", "operation": "N.X/read", "scope": "/subscriptions/s"},
        used | {"role_assignment_id": "a", "operation": "n.x/read", "scope": "/subscriptions/t"},
        used | {"role_assignment_id": "b", "operation": "n.x/read"},
        counted | {"verdict": "unused", "operations": 5},
        counted | {"verdict": "unobservable", "operations": 3},
        _done("ann", "n.x/write"),
    )
    assert count_verdicts(rows) == {
        "granted": 10, "used": 2, "unused": 5, "unobservable": 3, "out_of_coverage": 0, "unexplained": 1,
    }  # fmt: skip


def test_nothing_counts_as_nothing() -> None:
    empty = _verdicts()
    assert (count_unexplained(empty), count_unexplained_by_plane(empty)) == (0, {})
    assert set(count_verdicts(empty).values()) == {0}
