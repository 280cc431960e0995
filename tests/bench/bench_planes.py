"""Every plane on the demo's tenant, whose truth is planted: what the logs map to, what goes, and what was needed.

The real logs beside the project are asked for the share that maps; nobody planted a truth in them.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.graph_tables import GraphTables
from rightsize.demo.tenant import TenantSpec
from rightsize.model.text import fold
from rightsize.planes.graph.cases import GraphMap
from rightsize.store.connection import Store, open_store
from rightsize.store.sql import UNMAPPED
from rightsize.workflow.data.catalog import import_catalogue
from rightsize.workflow.data.load import load_paths
from rightsize.workflow.suite.demo import DemoResult, make_demo

SLOW = True
DATA = Path(__file__).parents[3] / "shared" / "data"
_RBAC = ("control", "data")
Row = tuple[str, str, str]


def run() -> Iterator[Row]:
    """Measure once; the tenant is the same each time."""
    with tempfile.TemporaryDirectory() as folder:
        made = make_demo(Path(folder, "demo"), TenantSpec(), lambda _: None)
        truth = json.loads((made.folder / "truth.json").read_text(encoding="utf-8"))
        with open_store(made.store, read_only=True) as store:
            yield from _mapped(store, "demo")
            yield from _of_azure(store, made, truth)
        yield from _of_graph(made, truth)
        with open_store(made.store, read_only=True) as store:
            yield from _of_directory(store, made, truth)
        if DATA.is_dir():
            load_paths(Path(folder, "real.duckdb"), [DATA / "logs"])
            import_catalogue(Path(folder, "real.duckdb"), [DATA / "catalog" / "operations.csv"])
            with open_store(Path(folder, "real.duckdb"), read_only=True) as store:
                yield from _mapped(store, "real logs")


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "none"


def _mapped(store: Store, where: str) -> Iterator[Row]:
    """Calls by what they map to: an operation that the catalogue or a rule knows, or the reason why not."""
    events = store.frame(
        "SELECT source, plane, operation, outcome, access, count(*) AS n FROM events GROUP BY ALL ORDER BY ALL"
    )
    known = {fold(name) for name in store.table("operations")["operation"]}
    graph = GraphMap.read(GraphTables.read(store.table))
    found: dict[str, Counter[str]] = {}
    for row in events.iter_rows(named=True):
        found.setdefault(row["source"], Counter())[_meaning(row, known, graph)] += row["n"]
    for source, meanings in sorted(found.items()):
        whole = sum(meanings.values())
        for meaning, number in meanings.most_common():
            yield f"{where}: {source}: {meaning}", _share(number, whole), f"{number:,} of {whole:,}"


def _meaning(row: dict[str, Any], known: set[str], graph: GraphMap) -> str:
    if row["plane"] == "graph":
        needed = graph.requirement("application", row["operation"])
        return (
            "no permission needed"
            if needed.free
            else f"not in the map: {needed.unknown}"
            if needed.unknown
            else "mapped"
        )
    if row["plane"] == "directory":
        return (
            "mapped" if row["operation"].startswith("microsoft.directory/")
            else "in no rule" if row["operation"].startswith(UNMAPPED) else "needs no action"
        )  # fmt: skip
    if row["access"] not in (None, "roles"):
        return f"no role decided: {row['access']}"
    return "mapped" if fold(row["operation"]) in known else "not in the catalogue"


def _of_azure(store: Store, made: DemoResult, truth: dict[str, Any]) -> Iterator[Row]:
    """Azure roles, control and data: verdicts against planted use, removals against planted needs of every kind."""
    verdicts = store.table("verdicts").filter(pl.col("plane").is_in(_RBAC))
    used = verdicts.filter(pl.col("verdict").is_in(["used", "unexplained"]) & pl.col("operation").is_not_null())
    seen = {(plane, who, fold(name)) for plane, who, name in used.select("plane", "principal_id", "operation").rows()}
    for plane in _RBAC:
        planted = {
            (plane, one["principal_id"], fold(one["operation"]))
            for one in truth["needs"]
            if one["plane"] == plane and one["kind"] == "used"
        }
        odd = {
            (plane, one["principal_id"], fold(one["operation"]))
            for one in truth["unexplained"]
            if one.get("plane", "control") == plane
        }
        mine = {one for one in seen if one[0] == plane}
        yield f"{plane}: recall of use", _share(len(planted & mine), len(planted)), f"{len(planted)} planted"
        yield f"{plane}: precision of use", _share(len(mine & (planted | odd)), len(mine)), f"{len(mine)} found"
        wanted = [one for one in truth["needs"] if one["plane"] == plane]
        lost = [one for one in made.truth.denied if one["plane"] == plane]
        yield f"{plane}: needed and removed", str(len(lost)), f"{len(wanted)} needs, in logs and not"
    counted: Counter[str] = Counter()
    for one in made.plan.proposals:
        gone = one.evidence["granted"] if one.kind == "remove_orphan" else sum(one.evidence.get("removed", {}).values())
        counted["granted"] += one.evidence["granted"] or 0
        counted["removed"] += 0 if one.kind == "keep" else gone
    yield (
        "azure roles: operations removed",
        _share(counted["removed"], counted["granted"]),
        (f"{counted['removed']:,} of {counted['granted']:,} over all assignments"),
    )


def _of_graph(made: DemoResult, truth: dict[str, Any]) -> Iterator[Row]:
    part = next(part for part in made.plan.parts if part.plane == "graph")
    before, after = Counter[str](), {}
    for one in part.proposals:
        held = after.setdefault((one.principal_ids[0], one.evidence["access"]), set())
        for permission in one.evidence["permissions"]:
            before[permission["decision"]] += 1
            if permission["decision"] == "keep":
                held.add(permission["permission"])
        held |= {permission["permission"] for permission in one.evidence.get("comes", ())}
    needs = {(one["principal_id"], one["access"]): set(one["needs"]) for one in truth["graph"]}
    kept, planted = sum(map(len, after.values())), sum(map(len, needs.values()))
    right = sum(len(needs.get(app, set()) & found) for app, found in after.items())
    whole = sum(before.values())
    yield "graph: permissions removed or swapped", _share(whole - before["keep"], whole), f"{dict(before)} of {whole}"
    yield "graph: precision of the sets", _share(right, kept), f"{kept} kept"
    yield "graph: recall of the sets", _share(right, planted), f"{planted} planted"
    yield "graph: needed and removed", str(planted - right), "of the planted permissions"


def _of_directory(store: Store, made: DemoResult, truth: dict[str, Any]) -> Iterator[Row]:
    part = next(part for part in made.plan.parts if part.plane == "directory")
    granted = sum(one.evidence["granted"] for one in part.proposals)
    gone = sum(
        sum(one.evidence["removed"].values()) for one in part.proposals if one.kind not in ("keep", "make_eligible")
    )
    planted = {
        (one["role_assignment_id"], one["principal_id"], fold(f"microsoft.directory/{one['action']}"))
        for one in truth["directory"]["needs"]
    }
    rows = store.table("verdicts").filter((pl.col("plane") == "directory") & (pl.col("verdict") == "used"))
    seen = {
        (grant, who, fold(name))
        for grant, who, name in rows.select("role_assignment_id", "principal_id", "operation").rows()
    }
    yield "directory: actions removed", _share(gone, granted), f"{gone} of {granted}"
    yield "directory: recall of use", _share(len(planted & seen), len(planted)), f"{len(planted)} planted"
    yield "directory: precision of use", _share(len(planted & seen), len(seen)), f"{len(seen)} found"
    right = {one["role_assignment_id"]: one["expected"] for one in truth["directory"]["assignments"]}
    met = sum(right.get(one.replaces[0]) == one.kind for one in part.proposals)
    yield "directory: proposals as planted", _share(met, len(right)), f"{met} of {len(right)}"
    yield "directory: needed and removed", str(part.replay["denied"]), "uses that the plan would deny"
