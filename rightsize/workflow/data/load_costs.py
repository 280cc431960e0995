"""Say what a load costs: which assignments stay undecided by what was refused, rejected or never loaded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path

import polars as pl

from rightsize.analyze.columns import place_of, read_tree
from rightsize.analyze.window import administrative, days_of_scopes
from rightsize.model.progress import counted
from rightsize.render.summary import short_scope
from rightsize.store.connection import open_store

_REJECTED = """
    SELECT source, lower(regexp_extract(raw, '(?i)/subscriptions/([0-9a-f-]{36})', 1)) AS subscription,
        contains(lower(raw), 'microsoft.insights/eventtypes') AS is_log, count(*) AS records
    FROM rejects WHERE path IN (SELECT unnest($paths::VARCHAR[])) GROUP BY ALL"""
_HELD = """
    SELECT lower(regexp_extract(scope, '(?i)^/subscriptions/([0-9a-f-]{36})', 1)) AS subscription, count(*) AS number
    FROM role_assignments GROUP BY ALL HAVING subscription <> ''"""
_LOG = "activity_log"


def costs_of(db: Path, paths: Sequence[str]) -> list[str]:
    """Return what the store cannot decide for want of what a load refused, the costliest first.

    Args:
        db: The store, after the load.
        paths: The files of the load that have rejected records.
    """
    with open_store(db, read_only=True) as store:
        held = dict(store.frame(_HELD).iter_rows())
        rejected = store.frame(_REJECTED, {"paths": sorted(set(paths))})
        scopes = store.table("scopes")
        covered = _covered(store.table("coverage"), scopes)
    named = scopes.filter(pl.col("kind") == "subscription").drop_nulls("display_name")
    names = dict(named.select("scope", "display_name").iter_rows())
    found = [*_of_logs(held, rejected, covered, names), *_of_others(rejected)]
    return [text for _, text in sorted(found, key=lambda one: (-one[0], one[1]))]


def _covered(coverage: pl.DataFrame, scopes: pl.DataFrame) -> set[str]:
    """Return the folded scopes of which an Activity Log covers a day, by itself or by a declaration above."""
    rows = administrative(coverage)
    tree = read_tree(scopes, place_of(rows["scope"].unique()))
    return set(days_of_scopes(rows, tree)["place"])


def _of_logs(
    held: Mapping[str, int], rejected: pl.DataFrame, covered: Set[str], names: Mapping[str, str]
) -> Iterator[tuple[int, str]]:
    """Yield for each subscription why its Activity Log does not decide its assignments, and their number."""
    refused = set(rejected.filter(pl.col("is_log") & (pl.col("source") == "refusal"))["subscription"])
    records: dict[str, int] = defaultdict(int)
    for subscription, number in rejected.filter(pl.col("source") == _LOG).select("subscription", "records").iter_rows():
        records[subscription] += number
    # Without any log the next step says it; a tenant may be loaded one subscription at a time.
    has_log = bool(covered or refused or records)
    for subscription in sorted({*held, *refused, *records} - {""} if has_log else ()):
        number, scope = held.get(subscription, 0), f"/subscriptions/{subscription}"
        of = f"the Activity Log of `{short_scope(scope, names)}`"
        cost = f"use of {counted(number, 'assignment')}"
        if scope not in covered:
            why = f"Azure refused {of}" if subscription in refused else f"{of} covers no day"
            yield number, f"{why}: the {cost} stays undecided"
        elif subscription in records:
            yield number, f"{counted(records[subscription], 'record')} of {of} rejected: {cost} may be missing"


def _of_others(rejected: pl.DataFrame) -> Iterator[tuple[int, str]]:
    """Yield for each other source how many of its records were rejected; of a refusal nothing more is known."""
    others = rejected.filter(~pl.col("source").is_in([_LOG]) & ~(pl.col("is_log") & (pl.col("source") == "refusal")))
    for source, number in others.group_by("source").agg(pl.col("records").sum()).sort("source").iter_rows():
        if source == "role_assignments":
            said = counted(number, "role assignment was", "role assignments were")
            yield number, f"{said} rejected: no command judges them"
        elif source != "refusal":
            yield 0, f"{counted(number, 'record')} of {source} rejected: answers that need them are incomplete"
        else:
            yield 0, f"Azure refused {counted(number, 'file')}: `rightsize status` says what is missing"
