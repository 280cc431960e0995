"""Logs to distinct use, and effective permissions of many identities, beside what people use today.

Tools of others run in a virtual environment of their own, whose interpreter `RIGHTSIZE_BENCH_PYTHON` names:
`python3 -m venv rivals && rivals/bin/pip install trailscraper pandas arcet`. Where it is not set, they are left out.
`python -m tests.bench --markdown compare` prints a table to paste. RIGHTSIZE_BENCH_RECORDS has the sizes, as
`20000,200000,1000000`; RIGHTSIZE_BENCH_SHORT=1 takes a quarter of the records, for when minutes count. Processor time
is that of a process and its children, also where other programs share the machine.
"""

from __future__ import annotations

import gzip
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

SLOW = True
_SHORT = bool(os.environ.get("RIGHTSIZE_BENCH_SHORT"))
SIZES = [int(size) for size in os.environ.get("RIGHTSIZE_BENCH_RECORDS", "50000" if _SHORT else "200000").split(",")]
HEADS = ("way", "processor", "peak memory", "a second", "processor and time against the limit")
_PARTS = {"stage": "reading", "merge": "merging", "rest": "imports, opening, closing"}
RUNS = int(os.environ.get("RIGHTSIZE_BENCH_RUNS", "3"))
_RIVALS = Path(__file__).parent / "rivals"
_OTHERS = os.environ.get("RIGHTSIZE_BENCH_PYTHON", "")


@dataclass
class Contender:
    """A way to do the job, as a command; what its runs took. Of one with `parts` they are measured, too."""

    name: str
    command: Sequence[str]
    parts: bool = False
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)

    def run(self, scratch: Path) -> None:
        """Run it once, with two threads at most where it listens to that."""
        command = [word.format(scratch=scratch, run=len(self.seconds)) for word in self.command]
        start = time.perf_counter()
        before = _of_children()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            said = process.stderr.read() if process.stderr else ""
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise RuntimeError(f"{self.name} failed: {said[-500:]}")
        self.seconds.append(time.perf_counter() - start)
        self.cpu.append(_of_children() - before)
        self.megabytes.append(used.ru_maxrss / 1024)


def run() -> Iterator[tuple[str, ...]]:
    """Run all contenders in turn, several rounds, and yield medians as HEADS says; the machine first."""
    yield f"the machine: {os.cpu_count()} cores, records of 2 KB, median of {RUNS}", "", "", "", ""
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            yield from _one_size(Path(folder), size)
    with tempfile.TemporaryDirectory() as folder:
        yield from _effective_permissions(Path(folder))


def _one_size(scratch: Path, records: int) -> Iterator[tuple[str, ...]]:
    yield f"{records:,} records", "", "", "", ""
    _written("write_activity", scratch / "activity.jsonl.gz", records)
    contenders = list(_contenders(scratch, records))
    for _ in range(RUNS):
        for contender in contenders:
            contender.run(scratch)
    limit = contenders[0]
    for contender in contenders:
        cpu, seconds, memory = map(statistics.median, (contender.cpu, contender.seconds, contender.megabytes))
        ratios = f"{cpu / statistics.median(limit.cpu):.1f} x, {seconds / statistics.median(limit.seconds):.1f} x"
        yield contender.name, f"{cpu:.2f} s", f"{memory:,.0f} MB", f"{records / seconds:,.0f} events", ratios
        if contender.parts:
            yield from _by_part(scratch)


def _by_part(scratch: Path) -> Iterator[tuple[str, ...]]:
    """Yield the processor time of the parts of a load, of one run of its own."""
    words = (str(_RIVALS / "our_parts.py"), str(scratch / "activity.jsonl.gz"), str(scratch / "parts.duckdb"))
    said = subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True).stdout
    for part, cpu in json.loads(said).items():
        yield f"  of it {_PARTS[part]}", f"{cpu:.2f} s", "", "", ""


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _contenders(scratch: Path, records: int) -> Iterator[Contender]:
    path = str(scratch / "activity.jsonl.gz")
    yield Contender(
        "DuckDB, bare projection and group-by (the limit)", [sys.executable, str(_RIVALS / "bare_duckdb.py"), path]
    )
    load = [sys.executable, "-m", "rightsize", "load", path, "--db", "{scratch}/{run}.duckdb", "-q"]
    yield Contender("rightsize load: events, use, coverage, in a store", load, parts=True)
    yield Contender("plain Python, a loop over lines", [sys.executable, str(_RIVALS / "plain_python.py"), path])
    yield Contender("polars, a lazy scan", [sys.executable, str(_RIVALS / "with_polars.py"), path])
    if _OTHERS:
        yield Contender("pandas", [_OTHERS, str(_RIVALS / "with_pandas.py"), path])
        _written("write_cloudtrail", scratch / "trail", records)
        trailscraper = Path(_OTHERS).parent / "trailscraper"
        script = f"{trailscraper} select --log-dir {scratch}/trail --from 2020-01-01 | {trailscraper} generate"
        yield Contender("trailscraper, as many CloudTrail records", ["sh", "-c", script])


def _written(function: str, path: Path, records: int) -> None:
    """Let another process make a file: a child's peak of memory would begin with what this one has held."""
    call = f"import sys; from pathlib import Path; from {__name__} import {function}; "
    command = [sys.executable, "-c", call + f"{function}(Path(sys.argv[1]), {records})", str(path)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def write_activity(path: Path, records: int) -> None:
    """Write records of the Activity Log as diagnostic settings export them, about 2 KB each."""
    padding = "x" * 900
    duckdb.sql(f"""
        COPY (
            SELECT strftime(TIMESTAMP '2026-01-01' + to_seconds((i * 37 % 7776000)::BIGINT), '%Y-%m-%dT%H:%M:%S.000Z')
                    AS "time",
                format('/SUBSCRIPTIONS/{{:08x}}-0000-4000-8000-000000000000/RESOURCEGROUPS/RG{{}}/PROVIDERS/'
                    'MICROSOFT.COMPUTE/VIRTUALMACHINES/VM{{}}', h % 20, h // 20 % 100, h // 2000 % 50) AS "resourceId",
                format('MICROSOFT.COMPUTE/TYPE{{}}/WRITE', h % 300) AS "operationName",
                'Administrative' AS category, 'Success' AS "resultType", '203.0.113.7' AS "callerIpAddress",
                format('{{:08x}}-aaaa-4bbb-8ccc-dddddddddddd', i) AS "correlationId",
                {{'authorization': {{
                        'action': format('Microsoft.Compute/type{{}}/write', h % 300), 'scope': '/subscriptions/x',
                        'evidence': {{'roleAssignmentId': format('{{:032x}}', h % 5000)}}}},
                    'claims': {{
                        'http://schemas.microsoft.com/identity/claims/objectidentifier':
                            format('{{:08x}}-1111-4222-8333-444444444444', h // 7 % 2000),
                        'appid': '691458b9-1327-4635-9f55-ed83a7f1b41c', 'name': 'somebody', 'padding': '{padding}'}}}}
                    AS identity
            FROM (SELECT i, (hash(i) % 9000000000)::BIGINT AS h FROM range({records}) AS r(i))
        ) TO '{path}' (FORMAT json, COMPRESSION gzip)""")


def write_cloudtrail(folder: Path, records: int) -> None:
    """Write as many CloudTrail records of like size, in files of 50,000 as trailscraper looks for them."""
    folder.mkdir()
    for number, first in enumerate(range(0, records, 50_000)):
        rows = [
            {
                "eventVersion": "1.08",
                "eventTime": f"2026-01-{1 + i % 28:02}T{i % 24:02}:{i % 60:02}:07Z",
                "eventSource": "ec2.amazonaws.com",
                "eventName": ("RunInstances", "StopInstances", "CreateTags")[i % 3],
                "awsRegion": "eu-central-1",
                "userIdentity": {
                    "type": "AssumedRole",
                    "sessionContext": {
                        "sessionIssuer": {"type": "Role", "arn": f"arn:aws:iam::111111111111:role/r{i % 2000}"}
                    },
                },
                "requestParameters": {"padding": "x" * 900},
            }
            for i in range(first, min(first + 50_000, records))
        ]
        name = f"111111111111_CloudTrail_eu-central-1_20260131T0000Z_{number:016}.json.gz"
        with gzip.open(folder / name, "wt", encoding="utf-8") as file:
            json.dump({"Records": rows}, file)


def _effective_permissions(scratch: Path) -> Iterator[tuple[str, ...]]:
    from rightsize.demo.generator import generate, write_exports  # noqa: PLC0415
    from rightsize.demo.tenant import TenantSpec  # noqa: PLC0415  only this bench needs a tenant
    from rightsize.store.connection import open_store  # noqa: PLC0415
    from rightsize.workflow.data.load import load_paths  # noqa: PLC0415

    write_exports(generate(TenantSpec(principals=300)), scratch / "tenant")
    load_paths(scratch / "tenant.duckdb", [scratch / "tenant"])
    with open_store(scratch / "tenant.duckdb", read_only=True) as store:
        taken = []
        for _ in range(RUNS):
            start = time.process_time()
            (held,) = store.connection.execute(_HELD).fetchall()[0]
            taken.append(time.process_time() - start)
        ours = statistics.median(taken)
        tenant = _as_tenant(store.connection)
    count = len(tenant["principals"])
    name = f"rightsize: all operations that {count} identities hold, {held:,}"
    yield name, f"{ours:.2f} s", "", f"{count / ours:,.0f} identities", "1.0 x"
    if not _OTHERS:
        return
    (scratch / "tenant.json").write_text(json.dumps(tenant), encoding="utf-8")
    answer = subprocess.run(
        [_OTHERS, str(_RIVALS / "with_arcet.py"), str(scratch / "tenant.json")],
        capture_output=True,
        check=True,
        text=True,
    )
    found = json.loads(answer.stdout)
    name = f"arcet: the same, its sources in memory, {found['held']:,}"
    took = found["seconds"]
    yield name, f"{took:.2f} s", "", f"{count / took:,.0f} identities", f"{took / ours:,.0f} x"


_HOLDERS = """
SELECT DISTINCT p.principal_id AS who, coalesce(c.group_id, p.principal_id) AS holder
FROM principals AS p LEFT JOIN (
    SELECT member_id, group_id FROM group_closure UNION ALL SELECT principal_id, principal_id FROM principals
) AS c ON c.member_id = p.principal_id
WHERE p.principal_type <> 'Group'"""
_HELD = f"""
SELECT count(DISTINCT (who, g.operation, g.scope)) FROM ({_HOLDERS}) AS h
JOIN granted_operations AS g ON g.principal_id = h.holder WHERE g.state = 'active'"""


def _as_tenant(con: duckdb.DuckDBPyConnection) -> dict[str, object]:
    """Return the tenant of a store in the words of arcet's own classes."""
    names = {
        "action": "actions",
        "not_action": "not_actions",
        "data_action": "data_actions",
        "not_data_action": "not_data_actions",
    }
    roles: dict[str, dict[str, object]] = {}
    for role, kind, pattern in con.execute("SELECT role_definition_id, kind, pattern FROM role_permissions").fetchall():
        found = roles.setdefault(
            role, {"id": role, "name": role, "is_custom": False, **{name: [] for name in names.values()}}
        )
        found[names[kind]].append(pattern)  # type: ignore[attr-defined]
    groups: dict[str, list[str]] = {}
    for who, holder in con.execute(f"SELECT who, holder FROM ({_HOLDERS}) WHERE who <> holder").fetchall():
        groups.setdefault(who, []).append(holder)
    columns = ("id", "principal_id", "principal_type", "role_definition_id", "scope")
    assignments = con.execute(
        "SELECT role_assignment_id, principal_id, principal_type, role_definition_id, scope FROM role_assignments "
        "WHERE state = 'active'"
    ).fetchall()
    return {
        "roles": list(roles.values()),
        "groups": groups,
        "assignments": [dict(zip(columns, row, strict=True)) for row in assignments],
        "operations": con.execute("SELECT operation, is_data_action FROM operations").fetchall(),
        "principals": [row[0] for row in con.execute(f"SELECT DISTINCT who FROM ({_HOLDERS}) ORDER BY who").fetchall()],
    }
