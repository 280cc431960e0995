"""Graph in the demo: the needs of each application are found, and none is taken away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rightsize.model.options import WHOLE
from rightsize.model.plan import PlanePart
from rightsize.planes.planes import GRAPH
from rightsize.propose.core.options import PlanOptions
from rightsize.store.connection import open_store
from rightsize.workflow.data.load import load_paths

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(demo_exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "demo.duckdb"
    load_paths(path, [demo_exports / name for name in ("catalogue", "directory", "graph-activity")])
    return path


@pytest.fixture(scope="module")
def part(store: Path) -> PlanePart:
    with open_store(store, read_only=True) as opened:
        judged = GRAPH.judge(opened.table, WHOLE)
    assert judged is not None
    return judged.plan(PlanOptions())


def _after(part: PlanePart) -> dict[tuple[str, str], set[str]]:
    after: dict[tuple[str, str], set[str]] = {}
    for one in part.proposals:
        kept = {p["permission"] for p in one.evidence["permissions"] if p["decision"] == "keep"}
        found = after.setdefault((one.principal_ids[0], one.evidence["access"]), set())
        found |= kept | {p["permission"] for p in one.evidence.get("comes", ())}
    return after


@pytest.mark.nightly
def test_no_application_loses_what_it_needs_and_few_keep_more(part: PlanePart, demo_truth: dict[str, Any]) -> None:
    after = _after(part)
    more = set()
    for one in demo_truth["graph"]:
        left = after[one["principal_id"], one["access"]]
        reading = {name.replace(".ReadWrite", ".Read") for name in left}
        assert set(one["needs"]) <= left | reading
        more |= left - set(one["needs"])
    # What fills in names of devices, what an unknown request may have used, and an API without a log.
    assert more == {"Device.Read.All", "Calendars.Read", "Mail.ReadWrite", "full_access_as_app"}


def test_every_proposal_is_proved_and_every_explained_request_allowed(part: PlanePart) -> None:
    assert all(one.proof.holds for one in part.proposals)
    assert part.replay == {"allowed": 18, "needs_activation": 0, "denied": 0, "unknown": 2}


def test_both_shapes_of_the_log_overlap_and_count_once(store: Path) -> None:
    with open_store(store, read_only=True) as opened:
        counted = opened.frame(
            "SELECT count(*) AS n, count(DISTINCT correlation_id) AS ids FROM events WHERE plane = 'graph'"
        )
        used = opened.frame("SELECT DISTINCT plane FROM usage_days")
    assert counted["n"].item() == counted["ids"].item() == (48 + 3) * 120
    assert "graph" in used["plane"].to_list()
