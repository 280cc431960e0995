"""Find unusual days of principals in the store, and show them as signals for a person to decide on.

The calls that signals hold in quarantine are shown, and the decisions of people on them are stored.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import polars as pl

from rightsize.analyze.behaviour.decisions import read_decisions
from rightsize.analyze.behaviour.facts import BehaviourInputs, read_behaviour
from rightsize.analyze.behaviour.judge import (
    FINDINGS_SCHEMA,
    HELD,
    find_held,
    judge_behaviour,
    judge_hours,
    reported_days,
    severities,
    with_held,
)
from rightsize.analyze.behaviour.openings import held_openings
from rightsize.analyze.inputs import RBAC_PLANES, Inputs, schema_of
from rightsize.analyze.verdicts.resource_logs import SETTING_WRITES
from rightsize.analyze.verdicts.usage import named_use
from rightsize.model.decisions import read_entry_file
from rightsize.model.progress import step
from rightsize.planes.vaults.tables import WRITES as POLICY_WRITES
from rightsize.rules.attacks import hold_days
from rightsize.store.connection import Store, open_store
from rightsize.store.ddl import RESOLVED
from rightsize.store.habits import habit
from rightsize.store.quarantine import OF_USE, replace_decisions
from rightsize.store.queries import query_text
from rightsize.store.sql import CONTENT_REVISION, named
from rightsize.store.sql import folded as sql_folded
from rightsize.store.stored_analysis import has_current_answers
from rightsize.store.suspicion import NEWEST_DAY
from rightsize.workflow.analysis.behaviour_inputs import STEPS_DAYS, Reader, behaviour_inputs, history_of, ways_opened

if TYPE_CHECKING:
    from rightsize.planes.judging import TableOf

_TRUSTED = f"""
    SELECT coalesce(alias.principal_id, {sql_folded("d.principal")}) AS principal_id, from_time, to_time
    FROM base.signal_decisions AS d LEFT JOIN ({RESOLVED}) AS alias ON alias.alias = {sql_folded("d.principal")}
    WHERE d.decision = 'trust' AND d.signal_id IS NULL AND d.expires >= coalesce(({NEWEST_DAY}), d.expires)"""
_FOUND: WeakKeyDictionary[Store, tuple[str | None, pl.DataFrame]] = WeakKeyDictionary()
"""What was found in each open store, with the revision of its content."""


def find_behaviour(store: Store) -> pl.DataFrame:
    """Return the unusual days in all loaded logs; see `analyze.behaviour.judge`.

    They depend on nothing but the content and the rules, so they are read from the answers of `analyze` where these are
    of the present content, and are found once for an open store.
    """
    revision = store.remembered(CONTENT_REVISION)
    if store in _FOUND and _FOUND[store][0] == revision is not None:
        return _FOUND[store][1]
    if has_current_answers(store):
        stored = store.table("behaviour_findings").select(list(FINDINGS_SCHEMA))
        found = stored.sort("score", "day", "principal_id", descending=[True, True, False])
    else:
        step("comparing each day with the days before")
        found = _found(behaviour_inputs(Reader(store)), _role_names(store))
    _FOUND[store] = revision, found
    return found


def behaviour_of_days(
    reader: Reader, days: Collection[dt.date], news: pl.DataFrame | None = None, told: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Return the unusual days among some days, judged by a history of 180 days and more.

    The history begins at the start of a month, so that the verdict on a day is independent of the other days asked for.
    Each has the hours `told_on` and `high_on` of `judge_hours`.

    Args:
        reader: Reads the store.
        days: The days.
        news: Rows of `read_news` of these days, to judge nobody else; everybody for None.
        told: `principal_id, day, value`: known findings with their severity, left out unless they got severer.
    """
    by_start: dict[dt.date, list[dt.date]] = {}
    for day in sorted(days):
        by_start.setdefault(history_of(day), []).append(day)
    times = dict.fromkeys(("told_on", "high_on"), pl.Datetime("us"))
    parts = [pl.DataFrame(schema={**FINDINGS_SCHEMA, **times})]
    for first, some in by_start.items():
        span = {"first": first, "last": some[-1]}
        mine = None if news is None else news.filter(pl.col("day").is_in(some))
        if mine is not None and mine.is_empty():
            continue
        found = reported_days(read_behaviour(behaviour_inputs(reader, span, some, mine)))
        if told is not None:
            found = found.join(told, on=found.columns, how="anti")
        # The frequency of such days is computed over all days before; few days are worth that cost.
        if found.height:
            inputs = behaviour_inputs(reader, span)
            behaviour = read_behaviour(inputs)
            judged = judge_behaviour(behaviour, _names_of(inputs, _role_names(reader.store)))
            asked = {"who": found["principal_id"].unique().to_list(), "days": found["day"].unique().to_list()}
            unusual = judged.join(found, on=["principal_id", "day"], how="semi")
            parts.append(judge_hours(behaviour, unusual, reader.store.frame(habit("arrived"), asked)))
    return pl.concat(parts, how="diagonal")


def held_use(store: Store, behaviour: pl.DataFrame | None = None, usage: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return the rows of use that are held; see `analyze.behaviour.judge`.

    Args:
        store: The store.
        behaviour: The result of `find_behaviour`, where the caller has it.
        usage: Rows of `usage_days`, `graph_usage_days` or `m365_usage_days`; all of `usage_days` for None.
    """
    return _holds(store, behaviour)(store.table("usage_days") if usage is None else usage)


def _holds(store: Store, behaviour: pl.DataFrame | None) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Return what says which rows of use are held."""
    newest = store.frame(f"SELECT ({NEWEST_DAY}) AS day")["day"][0]
    if newest is None or not store.has_rows("usage_days"):
        return lambda _: pl.DataFrame(schema=HELD)
    behaviour = find_behaviour(store) if behaviour is None else behaviour
    behaviour = pl.concat([behaviour, _held_openings(store, behaviour, newest)], how="diagonal")
    trusted = store.frame(_TRUSTED)

    def held(usage: pl.DataFrame) -> pl.DataFrame:
        # A request to Graph has no scope of its own.
        usage = usage if "scope" in usage.columns else usage.with_columns(scope=pl.lit("/"))
        return find_held(usage, behaviour, trusted, newest)

    return held


def _held_openings(store: Store, behaviour: pl.DataFrame, newest: dt.date) -> pl.DataFrame:
    """Return the openings of ways that findings are about, as rows of findings for `find_held` alone."""
    recent = behaviour.filter(pl.col("day") >= newest - dt.timedelta(days=hold_days("behaviour")))
    if not recent["kinds"].explode().is_in(["after_way", "after_grant"]).any():
        return pl.DataFrame()
    reader = Reader(store)
    first = recent["day"].dt.offset_by(f"-{STEPS_DAYS}d").min()
    ways = ways_opened(reader, {"first": first, "last": newest})
    return held_openings(ways, recent, reader.table_of("principals").filter(pl.col("listed")).select("principal_id"))


def with_holds(
    store: Store, behaviour: pl.DataFrame | None = None, table_of: Callable[[str], pl.DataFrame] | None = None
) -> Callable[[str], pl.DataFrame]:
    """Return a reader of tables in which held use counts as suspect, so that nothing is learnt from it.

    Args:
        store: The store.
        behaviour: The result of `find_behaviour`, where the caller has it.
        table_of: What reads the tables; the store for None.
    """
    read = store.table if table_of is None else table_of
    holds = cache(lambda: _holds(store, behaviour))

    def held(name: str) -> pl.DataFrame:
        rows = read(name)
        return with_held(rows, holds()(rows)) if name in OF_USE else rows

    return held


_OTHER_USE = f"SELECT {named(*schema_of('usage_days'))} FROM usage_days WHERE NOT list_contains($planes, plane)"


def tables_beside(store: Store, inputs: Inputs) -> TableOf:
    """Return a reader of tables for these planes that reuses the tables of Azure RBAC: each is in memory once.

    Held use counts as suspect here, too. Of the use of Azure itself only a row of the newest day stays and what wrote
    diagnostic settings and vaults, since these planes need no more of it.
    """
    # Of the log of vaults it counts when its setting changed, and of a vault who wrote its policies.
    written = named_use(inputs.usage_days, [*SETTING_WRITES, *POLICY_WRITES])
    newest, held = pl.concat([inputs.usage_days.top_k(1, by="day"), written]).unique(), with_holds(store)

    def table_of(name: str) -> pl.DataFrame:
        if name == "usage_days":
            other = store.frame(_OTHER_USE, {"planes": list(RBAC_PLANES)})
            return pl.concat([with_held(other, held_use(store, usage=other)), newest])
        # The coverage that RBAC reads leaves out the logs of the tenant.
        if name == "coverage" or not hasattr(inputs, name):
            return held(name)
        found: pl.DataFrame = getattr(inputs, name)
        return found

    return table_of


def _role_names(store: Store) -> dict[str, str]:
    rows = store.frame("SELECT lower(role_definition_id), role_name FROM role_definitions WHERE role_name IS NOT NULL "
                       "UNION ALL SELECT lower(directory_role_id), role_name FROM directory_roles "
                       "WHERE role_name IS NOT NULL")  # fmt: skip
    return dict(rows.iter_rows())


def _found(inputs: BehaviourInputs, roles: Mapping[str, str]) -> pl.DataFrame:
    if inputs.is_empty:
        return pl.DataFrame(schema=FINDINGS_SCHEMA)
    return judge_behaviour(read_behaviour(inputs), _names_of(inputs, roles))


def _names_of(inputs: BehaviourInputs, roles: Mapping[str, str]) -> dict[str, str]:
    named = inputs.principals.select("principal_id", pl.coalesce("user_principal_name", "display_name", "principal_id"))
    return {**roles, **dict(named.iter_rows())}


def behaviour_rows(found: pl.DataFrame) -> pl.DataFrame:
    """Return rows of `findings`: for each principal the day with the highest score."""
    highest = found.sort("score", "day", descending=True).unique("principal_id", keep="first", maintain_order=True)
    return highest.select(
        control=pl.lit("behaviour"),
        subject="principal_id",
        principal_id="principal_id",
        severity=severities(),
        reason="sentence",
    )


_HELD_BY = "after_"
"""Beginning of the basis of held use: `after_behaviour`, `after_signal`."""


@dataclass(frozen=True, slots=True)
class SignalsResult:
    """The result of `signals`: signals, the operations they hold in quarantine, and unusual days in the logs."""

    signals: list[dict[str, Any]]
    quarantine: list[dict[str, Any]]
    behaviour: list[dict[str, Any]]


def show_signals(db: Path) -> SignalsResult:
    """Return every signal (those with calls in quarantine first), the operations in quarantine, and unusual days.

    `only_evidence` is true where nothing outside quarantine shows the use: its permissions are `out_of_coverage` until
    a person decides.

    Raises:
        InputError: There is no store.
    """
    with open_store(db, read_only=True) as store:
        behaviour = find_behaviour(store)
        held = [*store.frame(query_text("answers/quarantined")).to_dicts(), *_held_rows(store, behaviour)]
        return SignalsResult(store.frame(query_text("answers/signals")).to_dicts(), held, behaviour.to_dicts())


def _held_rows(store: Store, behaviour: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the operations that are held without a call in quarantine, as rows of `quarantined.sql`."""
    usage = store.table("usage_days")
    held = held_use(store, behaviour, usage)
    if held.is_empty():
        return []
    names = store.table("principals").select("principal_id", known=pl.coalesce("user_principal_name", "display_name"))
    use = pl.sum_horizontal("succeeded", "failed", "started")
    key = ["principal_id", "operation", "scope", "plane"]
    rows = usage.with_row_index("row").with_columns(use=use).join(held.drop("day"), on="row", how="left")
    is_held = pl.col("basis").is_not_null()
    grouped = rows.group_by(key).agg(
        calls=pl.col("use").filter(is_held).sum(),
        first_seen=pl.col("first_seen").filter(is_held).min(),
        last_seen=pl.col("last_seen").filter(is_held).max(),
        other_calls=(pl.col("use") - pl.col("suspect")).filter(~is_held).sum(),
        basis=_HELD_BY + pl.col("basis").drop_nulls().unique().sort(),
    )
    return (
        grouped.filter(pl.col("calls") > 0)
        .join(names, on="principal_id", how="left")
        .with_columns(
            name=pl.coalesce("known", "principal_id"), only_evidence=pl.col("other_calls") <= 0,
            signals=pl.lit([], pl.List(pl.String)),
        )
        .sort("name", "first_seen", "operation", "scope")
        .select("principal_id", "name", "operation", "scope", "plane", "calls", "first_seen", "last_seen",
                "other_calls", "only_evidence", "signals", "basis")
        .to_dicts()
    )  # fmt: skip


def decide_signals(db: Path, path: Path) -> int:
    """Replace the stored decisions by those of a file; return their number.

    Raises:
        InputError: The file cannot be read, or its content does not fit its ending.
    """
    decisions = read_entry_file(path, "decisions", read_decisions)
    with open_store(db, read_only=False, existing=True) as store, store.transaction() as con:
        replace_decisions(con, [asdict(decision) for decision in decisions])
    return len(decisions)
