"""Graph permissions on the real map: requests mapped, what goes, what was needed, and the greedy heuristic beside it.

Needs the imported map (`permissions.json` and `provisioningInfo.json`) in a folder beside the project, as the tests do.
Applications are made up with the truth planted: each needs some permissions, makes requests that those allow, and holds
broader ones or more than it needs. The greedy heuristic is the one that is common: for each application the permission
that covers most requests which are still open, until none is.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.graph_tables import GRAPH_APP_ID, GraphTables
from rightsize.analyze.window import Window
from rightsize.ingest.pipeline import normalised_events
from rightsize.planes.graph.cases import GraphMap
from rightsize.planes.graph.choose import lies_within
from rightsize.planes.graph.judge import analyse_graph, cheapest_cover
from rightsize.planes.graph.permissions import Pair, parse_request
from rightsize.planes.graph.plan import plan_graph
from rightsize.planes.graph_backtest import try_graph
from rightsize.propose.backtest import Fold
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.risk.calibration import brier, by_basis, reliability
from rightsize.rules.graph import is_general, partial_kind
from rightsize.store.connection import open_store
from rightsize.workflow.data.catalog import import_catalogue

SLOW = True
MAP = Path(__file__).parents[3] / "shared" / "data" / "graph"
APPS, URIS = 300, 4_000
WINDOW = Window(dt.date(2026, 1, 1), dt.date(2026, 3, 31))
HISTORY = Window(WINDOW.first_day, dt.date(2026, 4, 30))
ACCESS = "application"
Allows = dict[str, set[Pair]]


def run() -> Iterator[tuple[str, str, str]]:
    """Measure once; the random numbers are seeded."""
    if not MAP.is_dir():
        yield "skipped", "", "the map is not here"
        return
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder, "s.duckdb")
        import_catalogue(db, [MAP / "permissions.json", MAP / "provisioningInfo.json"])
        with open_store(db, read_only=True) as store:
            tables = GraphTables.read(store.table)
    graph = GraphMap.read(tables)
    yield from _mapped(graph)
    yield from _planted(tables, graph)
    yield from _walked(tables, graph)


def _mapped(graph: GraphMap) -> Iterator[tuple[str, str, str]]:
    """Write requests of the map as applications do, read them back through the loader, and look them up."""
    chance = random.Random(5)  # noqa: S311  no secret
    pairs = sorted({pair for allowed in graph.by_access[ACCESS].allows.values() for pair in allowed})
    rows = [_row(number, *chance.choice(pairs), chance) for number in range(URIS)]
    rows += [
        _row(URIS + n, "GET", f"/users/{{id}}/notInAnyMap{'abcdefghij'[n % 10]}", chance) for n in range(URIS // 20)
    ]
    rows += [_row(2 * URIS + n, "POST", "/$batch", chance) for n in range(URIS // 20)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "log.jsonl")
        file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
        begin = time.perf_counter()
        events = [event for chunk in normalised_events([file])[1] for event in chunk]
        took = time.perf_counter() - begin
    found: Counter[str] = Counter()
    for event in events:
        needed = graph.requirement(ACCESS, str(event["operation"]))
        found["no permission needed" if needed.free else needed.unknown or "mapped"] += 1
    for reason, number in found.most_common():
        yield f"requests: {reason}", f"{number / len(events):.1%}", f"{number:,} of {len(events):,}"
    yield "distinct operations", f"{len({event['operation'] for event in events}):,}", f"read in {took:.1f} s"


def _row(number: int, method: str, path: str, chance: random.Random) -> dict[str, Any]:
    guid = f"{chance.getrandbits(32):08x}-1111-4222-8333-{chance.getrandbits(48):012x}"
    ids = [guid, "ann@contoso.com", f"AAMkAG{chance.getrandbits(40):x}=", f"b!{chance.getrandbits(40):x}"]
    steps = [step.replace("{id}", chance.choice(ids)).replace("{value}", "'x/y'") for step in path.split("/")]
    uri = "https://graph.microsoft.com/" + chance.choice(["v1.0", "beta", "/v1.0/"]) + "/".join(steps)
    uri += chance.choice(["", "?$top=5", "?$select=id,displayName&$filter=startswith(displayName,'a')"])
    return {
        "TimeGenerated": "2026-01-05T10:00:00Z", "Type": "MicrosoftGraphActivityLogs", "RequestId": f"r{number}",
        "RequestMethod": method, "RequestUri": uri, "ResponseStatusCode": 200, "AppId": guid,
        "ServicePrincipalId": guid,
    }  # fmt: skip


def _planted(tables: GraphTables, graph: GraphMap) -> Iterator[tuple[str, str, str]]:
    chance = random.Random(7)  # noqa: S311  no secret
    allows = graph.by_access[ACCESS].allows
    apps = [_application(number, graph, allows, chance) for number in range(APPS)]
    at = dt.datetime(2026, 1, 2)
    usage = [_used(app["id"], f"{method} {path}", at) for app in apps for method, path in app["requests"]]
    begin = time.perf_counter()
    analysis = analyse_graph(_tables(tables, apps, usage, WINDOW), WINDOW, cheapest_cover)
    part = plan_graph(analysis, PlanOptions())
    took = time.perf_counter() - begin
    after: dict[str, set[str]] = {app["id"]: set() for app in apps}
    kinds: Counter[str] = Counter()
    for one in part.proposals:
        kinds[one.kind] += 1
        kept = {p["permission"] for p in one.evidence["permissions"] if p["decision"] == "keep"}
        after[one.principal_ids[0]] |= kept | {p["permission"] for p in one.evidence["comes"]}
    held = sum(len(app["held"]) for app in apps)
    yield "judged and planned", f"{took:.1f} s", f"{APPS} applications, {held:,} permissions, {kinds}"
    yield "permissions after", f"{sum(map(len, after.values())):,}", f"of {held:,} today, {_needed(apps):,} planted"
    lost = [(app["id"], p) for app in apps for p in app["needs"] if not _meets(p, app, after[app["id"]], allows)]
    yield "needed permissions removed", f"{len(lost)}", f"{lost[:3] or ''}"
    right = sum(len(after[app["id"]] & set(app["needs"])) for app in apps)
    yield "precision of the sets", f"{right / sum(map(len, after.values())):.1%}", "permissions kept that were planted"
    yield "recall of the sets", f"{right / _needed(apps):.1%}", "planted ones kept themselves, not a broader one"
    greedy = {app["id"]: _greedy(app["requests"], allows) for app in apps}
    beyond = sum(
        1
        for app in apps
        for p in greedy[app["id"]]
        if p not in app["held"] and not lies_within(p, app["held"], ACCESS, graph)
    )
    unsafe = sum(1 for app in apps for p in app["needs"] if not _meets(p, app, greedy[app["id"]], allows))
    yield "greedy: permissions beyond today's grants", f"{beyond}", "ours: 0, proved"
    yield "greedy: needs without a whole permission", f"{unsafe}", f"ours: {len(lost)}"
    sets = {
        "today": {app["id"]: set(app["held"]) for app in apps},
        "planted": {app["id"]: set(app["needs"]) for app in apps},
        "greedy": greedy,
        "ours": after,
    }
    for name, chosen in sets.items():
        total = sum(graph.privilege(p, ACCESS) for permissions in chosen.values() for p in permissions)
        top = sum(1 for permissions in chosen.values() for p in permissions if graph.level(p, ACCESS) >= 4)
        yield (
            f"total privilege, {name}",
            f"{total:,}",
            f"{sum(map(len, chosen.values()))} permissions, {top} of level 4 or 5",
        )


def _walked(tables: GraphTables, graph: GraphMap) -> Iterator[tuple[str, str, str]]:
    """Walk forward: each kind of request has a rhythm of its own, daily to less than once in the whole history."""
    chance = random.Random(11)  # noqa: S311  no secret
    allows = graph.by_access[ACCESS].allows
    apps = [_application(number, graph, allows, chance) for number in range(APPS)]
    usage = []
    for app in apps:
        for method, path in app["requests"]:
            rate = chance.choice((1.0, 1.0, 1.0, 1 / 7, 1 / 30, 1 / 90, 1 / 300))
            for day in (n for n in range(HISTORY.days) if chance.random() < rate):
                at = HISTORY.start + dt.timedelta(days=day, hours=9)
                usage.append(_used(app["id"], f"{method} {path}", at))
    fold = Fold(WINDOW, Window(WINDOW.last_day + dt.timedelta(days=1), HISTORY.last_day))
    begin = time.process_time()
    found = try_graph(_tables(tables, apps, usage, HISTORY), fold, PlanOptions(grace_days=0))
    took = time.process_time() - begin
    tally = found.tally
    yield "backtest: 90 days and 30", f"{took:.1f} s", f"{len(usage):,} rows of usage, {found.left_out} left out"
    yield "applications refused something", f"{tally.denied_principals} of {tally.principals}", ""
    yield "requests refused", f"{tally.denied_calls} of {tally.calls:,}", "distinct"
    for row in (*reliability(found.predictions), *by_basis(found.predictions)):
        name = row.get("basis") or f"to {row['to']:.0%}"
        told = f"bound {row['predicted']:.1%}, expected {row['expected']:.1%}, holds {row['holds']}"
        yield f"chance of breaking, {name}", f"{row['observed']:.1%}", f"{row['broke']} of {row['count']}; {told}"
    yield "Brier score", f"{brier(found.predictions)}", ""


def _used(app: str, operation: str, at: dt.datetime) -> dict[str, Any]:
    return {
        "app_id": f"{app}-a", "principal_id": app, "access": ACCESS, "operation": operation, "day": at.date(),
        "first_seen": at, "last_seen": at, "succeeded": 5, "failed": 0, "started": 0, "denied": 0,
    }  # fmt: skip


def _application(number: int, graph: GraphMap, allows: Allows, chance: random.Random) -> dict[str, Any]:
    """Make up an application: what it needs, what it asks for, and the broader or further ones that it holds."""
    known = [p for p in sorted(allows) if is_general(p) and (ACCESS, p) in graph.ids]
    needs, requests, held = [], set(), set()
    while len(needs) < 1 + number % 3:
        need = chance.choice(known)
        pairs = [pair for pair in sorted(allows[need]) if _is_whole(need, pair) and _is_cheapest(need, pair, graph)]
        if not pairs or need in needs:
            continue
        asked = chance.sample(pairs, min(len(pairs), chance.randint(1, 4)))
        needs.append(need)
        requests.update(asked)
        broader = [p for p in known if p != need and allows[p] > allows[need]]
        held.add(chance.choice(broader) if broader and chance.random() < 0.5 else need)
    held.update(chance.sample(known, chance.randint(1, 5)))
    return {"id": f"app-{number}", "needs": needs, "requests": sorted(requests), "held": sorted(held)}


def _is_whole(permission: str, pair: Pair) -> bool:
    return partial_kind(permission, *pair) is None and parse_request(f"{pair[0]} {pair[1]}").steps != ()


def _is_cheapest(permission: str, pair: Pair, graph: GraphMap) -> bool:
    needed = graph.requirement(ACCESS, f"{pair[0]} {pair[1]}")
    if not needed.clauses or needed.clauses[0].path != pair[1] or needed.clauses[0].permissions.get(permission, ("",)):
        return False
    whole = [p for p in needed.clauses[0].permissions if _is_whole(p, pair)]
    return min(whole, key=lambda p: (graph.privilege(p, ACCESS), p)) == permission


def _tables(
    tables: GraphTables, apps: Sequence[dict[str, Any]], usage: Sequence[dict[str, Any]], window: Window
) -> GraphTables:
    frames = {
        name: getattr(tables, name) for name in ("graph_permissions", "graph_permission_paths", "api_permissions")
    }
    ids = dict(
        tables.api_permissions.filter(api_app_id=GRAPH_APP_ID, access=ACCESS)
        .select("permission", "permission_id")
        .iter_rows()
    )
    people = [{"principal_id": "graph", "principal_type": "ServicePrincipal", "app_id": GRAPH_APP_ID}]
    people += [{"principal_id": a["id"], "principal_type": "ServicePrincipal", "app_id": f"{a['id']}-a"} for a in apps]
    grants = [
        {
            "app_role_assignment_id": f"{a['id']}/{p}",
            "principal_id": a["id"],
            "resource_id": "graph",
            "app_role_id": ids[p],
        }
        for a in apps
        for p in a["held"]
    ]
    days = [
        {
            "source": "graph_activity_log",
            "scope": "/",
            "day": window.first_day + dt.timedelta(days=n),
            "state": "observed",
        }
        for n in range(window.days)
    ]
    made = {"principals": people, "app_role_assignments": grants, "graph_usage_days": usage, "coverage": days}
    return GraphTables.of(**frames, **{name: pl.DataFrame(rows) for name, rows in made.items()})


def _needed(apps: Sequence[dict[str, Any]]) -> int:
    return sum(len(app["needs"]) for app in apps)


def _meets(need: str, app: dict[str, Any], present: set[str], allows: Allows) -> bool:
    """Whether what an application asked for with a permission is still allowed, each request by a whole permission."""
    asked = [pair for pair in app["requests"] if pair in allows[need] and _is_whole(need, pair)]
    return all(any(pair in allows.get(p, ()) and _is_whole(p, pair) for p in present) for pair in asked)


def _greedy(requests: Sequence[Pair], allows: Allows) -> set[str]:
    open_requests, chosen = set(requests), set()
    while open_requests:
        best = max(sorted(allows), key=lambda p: len(allows[p] & open_requests))
        if not allows[best] & open_requests:
            break
        chosen.add(best)
        open_requests -= allows[best]
    return chosen
