"""Collect a tenant, resume a run that was cut, and load the run like any export."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rightsize.azure.clients import Clients
from rightsize.azure.credentials import SignIn, open_credential, sign_in
from rightsize.azure.exchange import Clock, Exchange, ExchangeTally, Throttle
from rightsize.azure.hosts import Cloud, read_cloud
from rightsize.collect import runs
from rightsize.collect.known import RunKnown
from rightsize.collect.listing import CollectionRequest, Right, Source
from rightsize.collect.pages import JOURNAL, SEAL, Progress, Run, seal_of
from rightsize.collect.runner import Runner
from rightsize.collect.sources import chosen_sources
from rightsize.collect.sources.logs import right_at
from rightsize.model.errors import AccessError, ServiceError, UsageError
from rightsize.model.progress import advance, step
from rightsize.workflow.data.load import LoadReport, load_paths


@dataclass(frozen=True, slots=True)
class Collected:
    """The part of a run that belongs to one source.

    Attributes:
        state: The worst of its units' states: complete, gone, refused, incomplete.
        units: Number of its parts; `complete` is the number of complete ones.
        pages: Number of answers; `rows` is the number of records in them.
        missing: The right that a refusal asks for, and the smallest role that has it.
        reason: Why the first incomplete part is incomplete.
    """

    source: str
    state: str
    units: int
    complete: int
    pages: int
    rows: int
    missing: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CollectReport:
    """The result of a collection.

    Attributes:
        folder: The folder of the run.
        resumed: Whether it resumed a run that was cut.
        is_whole: Whether nothing is left to ask.
        rows: One entry for each source.
        tally: The requests of this call.
        seconds: How long it took.
        notes: Notes for the person, one sentence each.
        loaded: The result of the load, where one was wanted.
    """

    folder: Path
    resumed: bool
    is_whole: bool
    rows: tuple[Collected, ...]
    tally: ExchangeTally
    seconds: float
    notes: tuple[str, ...]
    loaded: LoadReport | None


def collect_tenant(
    out: Path,
    *,
    cloud: str = "public",
    auth: str = "default",
    sources: Sequence[str] = (),
    subscriptions: Sequence[str] = (),
    workspaces: Sequence[str] = (),
    containers: Sequence[str] = (),
    days: int = 90,
    until: dt.datetime | None = None,
    raw: bool = False,
    resume: bool = True,
    may_ask: bool = True,
    db: Path | None = None,
    signed_in: Callable[[SignIn], None] = lambda _: None,
    clock: Clock | None = None,
) -> CollectReport:
    """Collect into a folder of runs and load the run.

    Args:
        out: The folder of runs; it is made where there is none.
        cloud: Name of a cloud, or a file that describes one.
        auth: The way to sign in.
        sources: Sources to collect; those that they depend on are added. Empty means all.
        subscriptions: Ids of subscriptions; empty means all visible ones.
        workspaces: Places of log tables: ids of workspaces, `search:ID`, `lake:NAME-ID`, `https://CLUSTER/DATABASE`.
        containers: `ACCOUNT/CONTAINER` of exported logs.
        days: Length of the window of logs.
        until: The end of the window; None means now.
        raw: Whether to fetch rows of Log Analytics instead of their reduction.
        resume: Whether to resume a cut run that asked the same questions.
        may_ask: Whether a person may be asked to sign in.
        db: The store to load into; None does not load.
        signed_in: Is called with who is signed in.
        clock: The clock; None means the real one.

    Raises:
        UsageError: The question makes no sense.
        AccessError: Nobody is signed in, or the sign-in was lost; what was collected stays.
        ServiceError: The disk is full, or no source answered.
        InputError: A run in the folder is damaged.
    """
    if days < 1:
        raise UsageError(f"`--days {days}` is too short", hint="at least one day")
    clock = clock or Clock()
    place = read_cloud(cloud)
    if not place.lake and any(text.startswith("lake:") for text in workspaces):
        raise UsageError(f"the cloud `{place.name}` has no data lake of Microsoft Sentinel")
    chosen = chosen_sources(sources, with_workspaces=bool(workspaces), with_containers=bool(containers), raw=raw)
    credential = open_credential(auth, place, clock, may_ask=may_ask)
    who = sign_in(credential, place)
    signed_in(who)
    end = (until or clock.utc()).astimezone(dt.UTC).replace(microsecond=0)
    question = CollectionRequest(
        end, days, tuple(sources), tuple(subscriptions), tuple(workspaces), tuple(containers), raw
    )
    run, known, resumed = _open_run(out, place, who, question, clock, resume=resume)
    with Clients(place, credential) as clients:
        throttle = Throttle(clock, place.budgets)
        exchange = Exchange(clients, throttle, clock)
        meter = _Meter(clock)
        runner = Runner(run, known, exchange, throttle, clock, clients.root, meter.count)
        meter.runner = runner
        try:
            step("collecting", 0, "parts")
            ended = runner.collect(chosen)
        except BaseException:
            run.close()
            raise
    rows = tuple(_collected(source, run) for source in chosen)
    _finish(run, known, rows, chosen, exchange.tally, clock, is_whole=ended.is_whole)
    if ended.stopped_by is not None:
        raise AccessError(
            f"the sign-in was lost: {ended.stopped_by.reason}", hint="sign in again; the same command continues"
        )
    if not any(row.complete for row in rows):
        raise _nothing(rows)
    loaded = None if db is None else load_paths(db, [run.folder])
    return CollectReport(
        run.folder, resumed, ended.is_whole, rows, exchange.tally, meter.seconds, tuple(_compare(known)), loaded
    )


def _open_run(
    out: Path, cloud: Cloud, who: SignIn, question: CollectionRequest, clock: Clock, *, resume: bool
) -> tuple[Run, RunKnown, bool]:
    asked = {
        "cloud": cloud.name,
        "tenant_id": who.tenant_id,
        "credential": who.credential,
        "principal_id": who.principal_id,
        "question": runs.question_answer(question),
        "started": clock.utc().isoformat(),
    }
    earlier = runs.read_earlier(out, asked)
    found = runs.unfinished_run(out, asked) if resume else None
    if found is None:
        run = Run.create(runs.new_folder(out, question), asked)
        return run, RunKnown(run, question, earlier), False
    run = Run.read(found)
    run.open_journal()
    if run.manifest["principal_id"] != who.principal_id:
        # What a listing can have depends on who reads it.
        run.manifest["continued_by_others"] = True
        run.save()
    return run, RunKnown(run, runs.read_question(run.manifest["question"]), earlier), True


def _collected(source: Source, run: Run) -> Collected:
    units = [unit for unit in run.units.values() if unit.source == source.name]
    states = Counter(unit.state or "incomplete" for unit in units)
    state = next((name for name in ("incomplete", "refused", "gone") if states[name]), "complete")
    worst = next((unit for unit in units if (unit.state or "incomplete") == state), None)
    missing = ""
    if states["refused"]:
        refused = [unit for unit in units if unit.state == "refused"]
        missing = _missing(
            right_at(refused[0].key, source.right), sorted({unit.scope for unit in refused if unit.scope})
        )
    return Collected(
        source.name,
        state,
        len(units),
        states["complete"],
        sum(unit.pages for unit in units),
        sum(unit.rows for unit in units),
        missing,
        worst.reason if worst is not None else "",
    )


def _missing(right: Right, scopes: Sequence[str]) -> str:
    where = f" at {scopes[0]}" if scopes else ""
    more = f" and {len(scopes) - 1} more" if len(scopes) > 1 else ""
    licence = f", or the licence {right.licence}" if right.licence else ""
    return f"{right.permission}{where}{more} (role `{right.role}`){licence}"


def _finish(
    run: Run,
    known: RunKnown,
    rows: Sequence[Collected],
    chosen: Sequence[Source],
    tally: ExchangeTally,
    clock: Clock,
    *,
    is_whole: bool,
) -> None:
    """Write the result of the run into its manifest."""
    logs = {source.name: source.log for source in chosen if source.log}
    retention = {source.name: source.retention(known) for source in chosen if source.retention is not None}
    by_source: dict[str, list[Progress]] = {}
    for unit in run.units.values():
        by_source.setdefault(unit.source, []).append(unit)
    run.manifest["finished"] = clock.utc().isoformat() if is_whole else None
    run.manifest["requests"] = asdict(tally)
    run.manifest["covers"] = [
        {name: str(value) for name, value in asdict(item).items() if name != "declared_by"}
        for item in runs.covered_days(run, logs, retention)
    ]
    run.manifest["sources"] = [
        {**asdict(row), "parts": [_part(unit) for unit in by_source.get(row.source, [])]} for row in rows
    ]
    run.manifest[SEAL] = seal_of(run.manifest, run.folder / JOURNAL)
    run.save()
    run.close()


def _part(unit: Progress) -> dict[str, Any]:
    return {
        "unit": unit.key,
        "scope": unit.scope,
        "state": unit.state,
        "reason": unit.reason,
        "lost": unit.lost,
        "from": unit.first,
        "to": unit.last,
        "pages": unit.pages,
        "rows": unit.rows,
        "files": [asdict(file) for file in unit.files],
    }


def _nothing(rows: Sequence[Collected]) -> AccessError | ServiceError:
    reason = next((row.reason for row in rows if row.reason), "no source answered")
    if any(row.state == "refused" for row in rows):
        missing = next((row.missing for row in rows if row.missing), "")
        return AccessError(
            f"nothing could be read: {reason}", hint=f"ask for {missing}; `rightsize status sources` lists all"
        )
    return ServiceError(f"nothing could be read: {reason}")


def _compare(known: RunKnown) -> list[str]:
    """Compare the role assignments of each subscription with the number that Resource Graph has."""
    counted = {
        record["subscriptionId"]: record["assignments"]
        for record in known.records("assignment_counts")
        if record.get("subscriptionId") and isinstance(record.get("assignments"), int)
    }
    if not counted:
        return []
    listed = Counter(
        identifier.split("/")[2].lower()
        for identifier in {
            record["id"].lower() for record in known.records("role_assignments") if isinstance(record.get("id"), str)
        }
        if identifier.startswith("/subscriptions/")
    )
    return [
        f"Resource Graph counts {number:,} role assignments in the subscription {subscription}, and "
        f"{listed[subscription.lower()]:,} were listed"
        for subscription, number in sorted(counted.items())
        if subscription.lower() in known.subscriptions() and number != listed[subscription.lower()]
    ]


class _Meter:
    """Reports the progress of a run."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started = clock.now()
        self._rows = 0
        self.runner: Runner | None = None

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return self._clock.now() - self._started

    def count(self, source: str, rows: int) -> None:
        """Count an answer."""
        self._rows += rows
        if self.runner is not None:
            done, units = self.runner.counts
            advance(done, units, f"{source}, {self._rows:,} rows")
