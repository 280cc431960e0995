"""Show signals and the calls they hold in quarantine, and store the decisions of people on them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast, get_args

import polars as pl

from rightsize.analyze.behaviour.judge import read_decisions
from rightsize.model.decisions import Form
from rightsize.model.errors import InputError
from rightsize.store.connection import Store, open_store
from rightsize.store.quarantine import replace_decisions
from rightsize.workflow.behaviour import find_behaviour, held_use
from rightsize.workflow.text_files import read_bytes

_SIGNALS = """
    WITH named AS (
        SELECT e.signal_id, coalesce(
            string_agg(DISTINCT coalesce(p.user_principal_name, p.display_name, e.value), ', '
                ORDER BY coalesce(p.user_principal_name, p.display_name, e.value))
                FILTER (WHERE e.entity_kind = 'principal'),
            string_agg(DISTINCT e.value, ', ' ORDER BY e.value) FILTER (WHERE e.entity_kind = 'resource'),
            string_agg(DISTINCT e.value, ', ' ORDER BY e.value) FILTER (WHERE e.entity_kind = 'ip')) AS who
        FROM signal_entities AS e LEFT JOIN principals AS p USING (principal_id) GROUP BY ALL
    ), held AS (
        SELECT signal_id, count(*) AS calls, count(DISTINCT (principal_id, operation, scope)) AS operations
        FROM quarantine GROUP BY ALL
    ), decided AS (
        SELECT signal_id, min(decision) AS decision FROM signal_decisions WHERE signal_id IS NOT NULL GROUP BY ALL
    )
    SELECT s.signal_id, s.kind, s.name, s.severity, s.first_time, s.last_time, n.who,
        CASE WHEN d.decision = 'trust' THEN 'trusted' WHEN d.decision = 'quarantine' THEN 'held'
            WHEN s.dismissed THEN 'dismissed' ELSE 'stands' END AS state,
        s.status, s.classification, coalesce(h.calls, 0) AS calls, coalesce(h.operations, 0) AS operations
    FROM signals AS s LEFT JOIN named AS n USING (signal_id) LEFT JOIN held AS h USING (signal_id)
    LEFT JOIN decided AS d USING (signal_id)
    ORDER BY coalesce(h.calls, 0) = 0, list_position(['high', 'medium', 'low', 'informational'], s.severity),
        s.last_time DESC, s.signal_id"""

_QUARANTINE = """
    WITH clean AS (
        SELECT principal_id, operation, scope, sum(succeeded + failed + started) - sum(suspect) AS clean
        FROM usage_days GROUP BY ALL
    )
    SELECT q.principal_id, coalesce(min(p.user_principal_name), min(p.display_name), min(q.principal_name)) AS name,
        q.operation, q.scope, q.plane, count(DISTINCT q.event_key) AS calls, min(q.time) AS first_seen,
        max(q.time) AS last_seen, greatest(coalesce(min(c.clean), 0), 0)::BIGINT AS other_calls,
        coalesce(min(c.clean), 0) <= 0 AS only_evidence,
        list_sort(list(DISTINCT q.signal_id)) AS signals, list_sort(list(DISTINCT q.basis)) AS basis
    FROM quarantine AS q LEFT JOIN principals AS p USING (principal_id)
    LEFT JOIN clean AS c ON c.principal_id = q.principal_id AND c.operation = q.operation AND c.scope = q.scope
    WHERE q.outcome IN ('succeeded', 'failed', 'started')
    GROUP BY q.principal_id, q.operation, q.scope, q.plane
    ORDER BY only_evidence DESC, name, first_seen, q.operation, q.scope"""


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
        held = [*store.frame(_QUARANTINE).to_dicts(), *_held_rows(store, behaviour)]
        return SignalsResult(store.frame(_SIGNALS).to_dicts(), held, behaviour.to_dicts())


def _held_rows(store: Store, behaviour: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the operations that are held without a call in quarantine, with the columns of `_QUARANTINE`."""
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
    form = path.suffix.lower().removeprefix(".")
    if form not in get_args(Form):
        raise InputError(
            f"cannot recognise `{path}` as a file of decisions", hint="its name has to end in .toml, .json or .csv"
        )
    decisions = read_decisions(read_bytes(path), cast(Form, form), str(path))
    with open_store(db, read_only=False, existing=True) as store, store.transaction() as con:
        replace_decisions(con, [asdict(decision) for decision in decisions])
    return len(decisions)
