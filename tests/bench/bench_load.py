"""From raw logs to the store, against DuckDB's own bare projection; from Parquet to usage, against a bare group-by."""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rightsize.store.queries import query_text
from tests.bench.bench_collect import ENTRY, Took, measure

RECORDS = int(os.environ.get("BENCH_RECORDS", "20000"))
EVENTS = int(os.environ.get("BENCH_EVENTS", "500000"))
RUNS = int(os.environ.get("BENCH_RUNS", "3"))
DAYS = int(os.environ.get("BENCH_DAYS", "30"))
Row = tuple[str, str, str]

_CLAIM = "http://schemas.microsoft.com/identity/claims/objectidentifier"
_UPN = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"
_SCOPE = "http://schemas.microsoft.com/identity/claims/scope"
BARE_PROJECTION = f"""
import sys, duckdb
con = duckdb.connect(sys.argv[2], config={{"threads": "2"}})
con.execute('''
    CREATE TABLE bare AS
    SELECT "time"::TIMESTAMPTZ AS "time", resourceId, operationName, category, resultType, resultSignature,
        callerIpAddress, correlationId, identity.authorization.action, identity.authorization.scope,
        identity.authorization.evidence.roleAssignmentId, identity.authorization.evidence.roleDefinitionId,
        identity.authorization.evidence.principalId, identity.authorization.evidence.principalType,
        identity.claims."{_CLAIM}", identity.claims."{_UPN}", identity.claims.name, identity.claims.appid,
        identity.claims.idtyp, identity.claims."{_SCOPE}", identity.claims.xms_mirid, identity.claims.ipaddr,
        identity.claims.uti, identity.claims.sid, properties.eventCategory, properties.statusCode,
        properties.statusMessage, properties.requestbody, properties.responseBody
    FROM read_json(?, format = 'newline_delimited', columns = {{
        'time': 'VARCHAR', 'resourceId': 'VARCHAR', 'operationName': 'VARCHAR', 'category': 'VARCHAR',
        'resultType': 'VARCHAR', 'resultSignature': 'VARCHAR', 'callerIpAddress': 'VARCHAR', 'correlationId': 'VARCHAR',
        'identity': 'STRUCT("authorization" STRUCT("action" VARCHAR, "scope" VARCHAR, evidence STRUCT(
            roleAssignmentId VARCHAR, roleDefinitionId VARCHAR, principalId VARCHAR, principalType VARCHAR)),
            claims STRUCT("{_CLAIM}" VARCHAR, "{_UPN}" VARCHAR, name VARCHAR, appid VARCHAR, idtyp VARCHAR,
                "{_SCOPE}" VARCHAR, xms_mirid VARCHAR, ipaddr VARCHAR, uti VARCHAR, sid VARCHAR))',
        'properties': 'STRUCT(eventCategory VARCHAR, statusCode VARCHAR, statusMessage VARCHAR, requestbody VARCHAR,
            responseBody VARCHAR)'}})''',
    [sys.argv[1]])
con.close()
"""
GROUP_BY = """
import sys, duckdb
con = duckdb.connect(config={"threads": "2", "memory_limit": "2GiB", "temp_directory": sys.argv[2]})
con.execute("SET preserve_insertion_order = false")
con.execute(f"CREATE TEMP VIEW event_keys AS FROM read_parquet('{sys.argv[1]}')")
con.execute("CREATE TEMP TABLE usage AS " + sys.argv[3])
"""
BARE_GROUP_BY = """
SELECT principal_key, operation_key, scope_key, plane, assignment_key, day, count(*) AS events, min(time), max(time)
FROM event_keys GROUP BY ALL
"""


def run() -> Iterator[Row]:
    """Run each side in a process of its own, interleaved; medians of wall time, of processor time and of the peak."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield from _loads(folder)
        yield from _hours(folder, packed=False)
        yield from _hours(folder, packed=True)
        yield from _one_more_day(folder)
        yield from _reductions(folder)


def written(path: Path, call: str) -> Path:
    """Let another process make a file: a child's peak of memory would begin with what this one has held."""
    begin = "import sys; from pathlib import Path; from tests.bench.activity_files import *; path = Path(sys.argv[1]); "
    took = measure(begin + call, str(path))
    if took.code:
        raise SystemExit(f"cannot make {path.name}")
    return path


def _loads(folder: Path) -> Iterator[Row]:
    logs = written(folder / "logs.json.gz", f"write_activity(path, {RECORDS}, days={DAYS})")
    sides = {
        "bare projection of the same fields": lambda: _fresh(folder, BARE_PROJECTION, str(logs)),
        "load": lambda: _load(folder / "side.duckdb", logs, fresh=True),
        "load, at most 1 GiB of memory": lambda: _load(
            folder / "side.duckdb", logs, "--memory-limit", "1GiB", fresh=True
        ),
    }
    yield f"{RECORDS:,} records of NDJSON.gz", f"{logs.stat().st_size / 1e6:.1f} MB", f"{DAYS} days"
    yield from _side_by_side(sides, RECORDS)


def _hours(folder: Path, *, packed: bool) -> Iterator[Row]:
    """The same records as Azure itself writes them into a container, and the same packed."""
    place = folder / ("packed" if packed else "hours")
    hours = written(place, f"write_hours(path, {RECORDS}, days={DAYS}, packed={packed})")
    files = sum(1 for path in hours.rglob("*") if path.is_file())
    sides = {
        "bare projection of the same fields": lambda: _fresh(folder, BARE_PROJECTION, str(hours / "**" / "PT1H.*")),
        "load": lambda: _load(folder / "side.duckdb", hours, fresh=True),
    }
    yield f"the same in {files:,} {'packed' if packed else 'plain'} files, one an hour", "", f"{DAYS} days"
    yield from _side_by_side(sides, RECORDS)


def _one_more_day(folder: Path) -> Iterator[Row]:
    """A store of months, and one day more: the day's records alone should count."""
    db, day = folder / "history.duckdb", max(RECORDS // DAYS, 2)
    months = written(folder / "months.json.gz", f"write_activity(path, {RECORDS}, days={DAYS})")
    whole = _load(db, months)
    days = [
        written(folder / f"day{n}.json.gz", f"write_activity(path, {day}, day={DAYS + n}, days=1)") for n in range(RUNS)
    ]
    more = [_load(db, logs) for logs in days]
    alone = [_load(folder / f"alone{n}.duckdb", logs) for n, logs in enumerate(days)]
    yield f"load of {DAYS} days", f"{whole.cpu:.2f} s cpu", f"{RECORDS:,} records"
    base = statistics.median(took.cpu for took in alone)
    median = statistics.median(took.cpu for took in more)
    yield f"  one day more, {day:,} records", f"{median:.2f} s cpu", f"{median / base:.2f} x the day in an empty store"


def _reductions(folder: Path) -> Iterator[Row]:
    events = written(folder / "events.parquet", f"write_keyed_events(path, {EVENTS})")
    spill = str(folder / "spill")
    sides = {
        "bare group-by with the same keys": lambda: measure(GROUP_BY, str(events), spill, BARE_GROUP_BY),
        "reduce.sql": lambda: measure(GROUP_BY, str(events), spill, query_text("reduce/reduce")),
    }
    yield f"{EVENTS:,} events of Parquet to usage", f"{events.stat().st_size / 1e6:.1f} MB", "2 GiB of memory at most"
    yield from _side_by_side(sides, EVENTS)


def _side_by_side(sides: dict[str, Callable[[], Took]], rows: int) -> Iterator[Row]:
    found: dict[str, list[Took]] = {name: [] for name in sides}
    for _ in range(RUNS):
        for name, side in sides.items():
            found[name].append(side())
    bare = _median(found[next(iter(sides))])
    for name, times in found.items():
        took = _median(times)
        ratios = f"{took.seconds / bare.seconds:.2f} x wall, {took.cpu / bare.cpu:.2f} x cpu"
        told = f"{took.cpu:.2f} s cpu, {took.megabytes:,.0f} MB, {rows / took.seconds:,.0f} a second, {ratios}"
        yield f"  {name}", f"{took.seconds:.2f} s", told if took.code == 0 else f"exit {took.code}"


def _median(times: Sequence[Took]) -> Took:
    return Took(
        statistics.median(took.seconds for took in times),
        statistics.median(took.megabytes for took in times),
        max(took.code for took in times),
        statistics.median(took.cpu for took in times),
    )


def _fresh(folder: Path, script: str, *arguments: str) -> Took:
    target = folder / "bare.duckdb"
    target.unlink(missing_ok=True)
    return measure(script, *arguments, str(target))


def _load(db: Path, logs: Path, *more: str, fresh: bool = False) -> Took:
    if fresh:
        db.unlink(missing_ok=True)
    return measure(ENTRY, "load", str(logs), "--db", str(db), "-q", *more)
