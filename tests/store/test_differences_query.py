"""What other tools say of access, beside our verdicts: one row of each kind that an expert would name."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from rightsize.store.queries import bind_parameters, read_question
from tests.store.plain import make_store
from tests.store.sql_here import run_here

GRAPH = "00000003-0000-0000-c000-000000000000"
SUB = "/subscriptions/10000000-0000-0000-0000-000000000000"
APP, ANN, BOB, EVE, GUS, OPS, NEW = ("hr", "ann", "bob", "eve", "gus", "operators", "new")
SEEN = dt.datetime(2026, 1, 5, 10)


def permission(name: str, says: str, **more: Any) -> dict[str, Any]:
    row = {"tool": "app_governance", "judgement_id": f"{name}/{more}", "plane": "graph", "says": says}
    return row | {"app_id": "hr-app", "access": "application", "api_app_id": GRAPH, "permission": name} | more


def identity(principal: str | None, says: str, **more: Any) -> dict[str, Any]:
    row = {"tool": "defender_ciem", "judgement_id": f"{principal}/{says}", "plane": "control", "says": says}
    return row | {"principal_id": principal, "scope": SUB.upper(), "title": "Overprovisioned"} | more


def granted(name: str, verdict: str, reason: str, **more: Any) -> dict[str, Any]:
    row = {"role_assignment_id": f"hr/{name}", "principal_id": APP, "plane": "graph", "scope": "/", "operation": name}
    return row | {"verdict": verdict, "reason": reason, "operations": 1} | more


def held(principal: str, verdict: str, reason: str, operations: int, **more: Any) -> dict[str, Any]:
    row = {"role_assignment_id": f"to-{principal}", "principal_id": principal, "plane": "control", "scope": SUB}
    return row | {"verdict": verdict, "reason": reason, "operations": operations} | more


USED = {"events": 40, "days": 9, "last_seen": SEEN}
GIVEN = ("Mail.Send", "User.Read.All", "Files.Read.All", "Sites.Read.All", "Group.Read.All")
ROWS: dict[str, list[dict[str, Any]]] = {
    "principals": [
        {"principal_id": APP, "app_id": "hr-app", "principal_type": "ServicePrincipal", "display_name": "HR"},
        {"principal_id": "graph-sp", "app_id": GRAPH, "principal_type": "ServicePrincipal"},
        {"principal_id": ANN, "principal_type": "User", "display_name": "Ann"},
    ],
    "app_role_assignments": [
        {"app_role_assignment_id": f"hr/{name}", "principal_id": APP, "resource_id": "graph-sp"} for name in GIVEN
    ],
    "group_closure": [{"group_id": OPS, "member_id": GUS, "depth": 1}],
    "role_assignments": [
        {"role_assignment_id": f"to-{name}", "principal_id": name, "scope": SUB, "state": "active"}
        for name in (ANN, BOB, EVE)
    ]
    + [{"role_assignment_id": "to-operators", "principal_id": OPS, "scope": "/", "state": "active"}],
    "verdicts": [
        granted("Mail.Send", "used", "elimination", **USED),
        granted("User.Read.All", "unused", "covered"),
        granted("Files.Read.All", "unobservable", "correlated"),
        granted("Sites.Read.All", "unused", "covered"),
        granted("Group.Read.All", "used", "fewest", **USED),
        held(ANN, "used", "evidence", 1, operation="Microsoft.Web/sites/write", **USED),
        held(ANN, "unused", "covered", 800),
        held(BOB, "unused", "covered", 900),
        held(EVE, "used", "evidence", 1, operation="Microsoft.Web/sites/write", **USED),
        held(OPS, "unused", "covered", 10, scope="/"),
        held(OPS, "unobservable", "arm_read", 7, scope="/"),
    ],
    "coverage": [
        {"source": source, "scope": scope, "day": dt.date(2026, 1, day), "state": "observed"}
        for source, scope, days in (("graph_activity_log", "/", 30), ("activity_log", SUB, 20))
        for day in range(1, days + 1)
    ],
    "tool_judgements": [
        permission("Mail.Send", "unused"),
        permission("User.Read.All", "used", principal_id=APP),
        permission("Files.Read.All", "unused"),
        permission("Sites.Read.All", "unused"),
        permission("Group.Read.All", "unknown"),
        permission("Calendars.Read", "used"),
        permission("Mail.Send", "unused", access="delegated"),
        permission("Mail.Send", "unused", app_id="nobody-knows"),
        identity(ANN, "inactive"),
        identity(ANN, "overprovisioned"),
        identity(BOB, "inactive"),
        identity(BOB, "used"),
        identity(EVE, "overprovisioned"),
        identity(GUS, "inactive"),
        identity(NEW, "overprovisioned"),
        identity(None, "inactive", tool="azure_advisor"),
    ],
}  # fmt: skip

EXPERT = {
    ("hr", "application", "Mail.Send"): ("we_say_used", "used", "elimination", 40, 30),
    ("hr", "application", "User.Read.All"): ("we_say_unused", "unused", "covered", None, 30),
    ("hr", "application", "Files.Read.All"): ("we_cannot_decide", "unobservable", "correlated", None, 30),
    ("hr", "application", "Sites.Read.All"): ("same", "unused", "covered", None, 30),
    ("hr", "application", "Group.Read.All"): ("they_cannot_decide", "used", "fewest", 40, 30),
    ("hr", "application", "Calendars.Read"): ("we_lack", None, None, None, 30),
    ("hr", "delegated", "Mail.Send"): ("we_lack", None, None, None, 30),
    (None, "application", "Mail.Send"): ("we_lack", None, None, None, 30),
    (ANN, "inactive"): ("we_say_used", "used_in_part", "covered", 40, 20),
    (ANN, "overprovisioned"): ("same", "used_in_part", "covered", 40, 20),
    (BOB, "inactive"): ("same", "unused", "covered", 0, 20),
    (BOB, "used"): ("we_say_unused", "unused", "covered", 0, 20),
    (EVE, "overprovisioned"): ("we_say_used", "used", None, 40, 20),
    (GUS, "inactive"): ("we_cannot_decide", "cannot_decide", "covered", 0, 20),
    (NEW, "overprovisioned"): ("we_lack", None, None, None, 20),
    (None, "inactive"): ("they_name_nobody", None, None, None, 20),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("differences") / "s.duckdb", ROWS)


def asked(store: Path, every: str) -> list[dict[str, Any]]:
    question = read_question("differences")
    return run_here(store, question.text, bind_parameters(question, {"every": every})).rows


def test_each_judgement_stands_beside_ours_with_its_evidence(store: Path) -> None:
    found = {}
    for row in asked(store, "true"):
        of_api = (row["principal_id"], row["access"], row["permission"])
        place = of_api if row["plane"] == "graph" else (row["principal_id"], row["they_say"])
        assert place not in found
        found[place] = tuple(row[name] for name in ("difference", "we_say", "reason", "calls", "days_covered"))
    assert found == EXPERT


@pytest.mark.slow
def test_by_default_only_contradictions_and_what_we_lack_are_listed(store: Path) -> None:
    """What contradicts use comes first: removing it would break something."""
    rows = asked(store, "false")
    kinds = [row["difference"] for row in rows]
    assert kinds == ["we_say_used"] * 3 + ["we_say_unused"] * 2 + ["we_lack"] * 4
    assert rows[0]["last_seen"] is not None
    assert {row["name"] for row in rows if row["principal_id"] == "hr"} == {"HR"}
