"""Find what a contained principal left behind, and whom to contain next, from all logs and listings of a store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.analyze.inputs import folded, place_of
from rightsize.guard.left_listings import read_listings
from rightsize.guard.left_requests import Left, write_things
from rightsize.guard.left_things import THINGS, things_left, with_removals
from rightsize.render.escape import for_shell
from rightsize.store.connection import Store
from rightsize.store.queries import filled_text
from rightsize.store.sql import registered, sealed_before

_WINDOWS = "SELECT start_on, end_on FROM main.quarantine_windows WHERE list_contains($who, principal_id) " \
    "AND basis <> 'address'"  # fmt: skip
_TAKES_AWAY = "(operation ILIKE '%/delete' OR operation ILIKE '%/delete/action')"


def suspect_calls(store: Store, principals: Sequence[str]) -> pl.DataFrame:
    """Return the calls of principals in their suspect time that were let through, with the objects that they changed.

    These are the calls in quarantine, and the other calls within a window of suspicion of the principals themselves;
    `suspect` tells them apart. Columns: `event_key, time, source, plane, operation, scope, outcome, principal_id, ip,
    suspect, role, holder`, and those of `changed_objects`, with `properties` as a list of `name, old, new`.

    An activated membership of a group has no event, but a record of Privileged Identity Management.
    """
    return store.frame(
        filled_text("guard/left_behind", windows=_WINDOWS),
        {"who": list(principals)},
    )


def suspect_spans(store: Store, principals: Sequence[str]) -> pl.DataFrame:
    """Return `start_on, end_on`: the windows of suspicion of principals, and the span of their calls in quarantine."""
    return store.frame(
        f"""
        {_WINDOWS} UNION
        SELECT min(time), max(time) FROM main.quarantine WHERE list_contains($who, principal_id) HAVING count(*) > 0
        ORDER BY 1, 2""",
        {"who": list(principals)},
    )


def first_seen(store: Store, places: pl.Series) -> pl.DataFrame:
    """Return `place, first_seen`: when a log first shows a call at a place, of those that any log shows.

    Args:
        store: The store.
        places: Folded ids of resources.
    """
    return store.frame(
        """
        SELECT s.folded AS place, min(u.first_seen) AS first_seen
        FROM base.usage_days AS u JOIN base.scope_names AS s USING (scope_key)
        WHERE list_contains($places, s.folded) GROUP BY ALL""",
        {"places": places.to_list()},
    )


def has_uncounted_days(store: Store, first: dt.datetime, last: dt.datetime) -> bool:
    """Return whether a span has use without single calls: reduced rows, or days whose calls were pruned."""
    before = sealed_before(store.connection)
    reduced = "SELECT 1 FROM base.reduced_usage WHERE last_seen >= $first AND first_seen <= $last LIMIT 1"
    found = store.connection.execute(reduced, {"first": first, "last": last}).fetchone()
    return found is not None or (before is not None and first.date() < before)


def removals(store: Store, since: dt.datetime) -> pl.DataFrame:
    """Return the calls since a time that took something away: `time, actor, place, activity, object_id, other_id`.

    `place` is the resource, `activity` that of the directory; one of the two is null.
    """
    return store.frame(
        f"""
        SELECT e.time, coalesce(e.principal_id, e.principal_name) AS actor,
            CASE WHEN e.plane = 'control' THEN e.scope END AS place, c.activity, c.object_id, c.other_id
        FROM main.events AS e LEFT JOIN main.changed_objects AS c USING (event_key)
        WHERE e.time >= $since AND ((e.plane = 'control' AND e.outcome = 'succeeded' AND {_TAKES_AWAY})
            OR c.event_key IS NOT NULL)
        ORDER BY e.time""",
        {"since": since},
    )


def used_after(store: Store, given: pl.DataFrame) -> pl.DataFrame:
    """Return what principals did after they were given something: `principal_id, first, last, calls, sign_ins`.

    Args:
        store: The store.
        given: `principal_id`, folded and distinct, and `given_on`.
    """
    with registered(store.connection, {"given_access": given}):
        found = store.connection.execute("""
            SELECT g.principal_id, min(a.time) AS first, max(a.time) AS last,
                count(*) FILTER (WHERE NOT a.is_sign_in) AS calls, count(*) FILTER (WHERE a.is_sign_in) AS sign_ins
            FROM given_access AS g JOIN (
                SELECT principal_id, time, false AS is_sign_in FROM main.events
                WHERE principal_id IN (SELECT principal_id FROM given_access)
                UNION ALL
                SELECT principal_id, time, true FROM main.sign_in_events
                WHERE succeeded AND principal_id IN (SELECT principal_id FROM given_access)
            ) AS a ON a.principal_id = g.principal_id AND a.time >= g.given_on
            GROUP BY ALL ORDER BY 2, 1""").fetchall()
    times, counts = dict.fromkeys(("first", "last"), pl.Datetime("us")), dict.fromkeys(("calls", "sign_ins"), pl.Int64)
    schema: dict[str, Any] = {"principal_id": pl.String, **times, **counts}
    return pl.DataFrame(found, schema=schema, orient="row")


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """What principals left behind in their suspect time.

    Attributes:
        things: The things, the most dangerous first.
        contain_next: Principals that got something and acted afterwards: `principal_id, name, because, given_on,
            first, last, calls, sign_ins, command`.
        others: Further changes by operation that no rule names: `operation, places, calls, first, last`.
        not_shown: Sentences on what no loaded log shows, so that the list is not taken for whole.
        names: Display names by folded id.
    """

    things: tuple[Left, ...]
    contain_next: tuple[Mapping[str, Any], ...]
    others: tuple[Mapping[str, Any], ...]
    not_shown: tuple[str, ...]
    names: Mapping[str, str]

    def document(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "things": [one.as_json(number, self.names) for number, one in enumerate(self.things, 1)],
            "contain_next": [dict(one) for one in self.contain_next],
            "others": [dict(one) for one in self.others],
            "not_shown": list(self.not_shown),
        }


def find_left_behind(store: Store, members: Sequence[str], names: Mapping[str, str]) -> LeftBehind:
    """Return what principals left behind in their suspect time: what signals hold, and what a person named.

    Args:
        store: The store.
        members: The contained principals, as folded ids.
        names: Display names of principals by folded id.
    """
    spans = suspect_spans(store, members)
    if spans.is_empty():
        return LeftBehind((), (), (), (), names)
    calls = suspect_calls(store, members)
    attached = folded(store.table("resource_identities")["scope"].drop_nulls())
    things, others = things_left(calls, attached)
    things = pl.concat([things, _listed(store, members, spans, things)])
    things = with_removals(things, removals(store, spans["start_on"].min()))  # type: ignore[arg-type]
    earlier = first_seen(store, things["thing"]).rename({"place": "thing"})
    things = things.join(earlier, on="thing", how="left", maintain_order="left").with_columns(
        seen_before=pl.when(pl.col("first_seen") < pl.col("first")).then("first_seen")
    )
    listings = read_listings(store.table, things)
    known = {**_role_names(store), **names}
    written = write_things(things, listings, lambda one: known.get(one, one))
    return LeftBehind(
        tuple(written),
        tuple(_contain_next(store, written, members, known)),
        tuple(others.to_dicts()),
        tuple(_not_shown(store, spans)),
        known,
    )


def _role_names(store: Store) -> dict[str, str]:
    """Return the names of roles of Azure and of the directory by folded id."""
    found: dict[str, str] = {}
    for table, key in (("directory_roles", "directory_role_id"), ("role_definitions", "role_definition_id")):
        found |= dict(store.table(table).select(folded(pl.col(key)), "role_name").drop_nulls().iter_rows())
    return found


def _listed(store: Store, members: Sequence[str], spans: pl.DataFrame, things: pl.DataFrame) -> pl.DataFrame:
    """Return the role assignments that a listing says the principals made in the suspect time, and no log shows."""
    made = store.table("role_assignments").filter(
        folded(pl.col("created_by")).is_in(list(members)) & (pl.col("state") == "active")
    )
    known = things["thing"].str.split("/").list.last().implode()
    made = made.filter(~folded(pl.col("role_assignment_id")).is_in(known)).join(
        spans.select(suspect_from="start_on", suspect_to="end_on"), how="cross"
    )
    made = made.filter(pl.col("created_on").is_between("suspect_from", "suspect_to")).unique("role_assignment_id")
    at = pl.when(pl.col("scope") == "/").then(pl.lit("")).otherwise("scope")
    shown = pl.concat_str([at, pl.lit("/providers/Microsoft.Authorization/roleAssignments/"), "role_assignment_id"])
    found = made.sort("created_on", "role_assignment_id").select(
        kind=pl.lit("role_assignment"), thing=place_of(shown), shown=shown, exact=pl.lit(True), first="created_on",
        last="created_on", calls=pl.lit(0), suspect=pl.lit(True), ended=pl.lit(True),
        sources=pl.concat_list(pl.lit("listing")), operations=pl.concat_list(pl.lit("")).list.head(0),
        by=pl.concat_list(folded(pl.col("created_by"))), role=folded(pl.col("role_definition_id")),
        holder=folded(pl.col("principal_id")),
    )  # fmt: skip
    missing = [name for name in THINGS if name not in found.columns]
    return found.with_columns(pl.lit(None).alias(name) for name in missing).select(
        pl.col(name).cast(kind) for name, kind in THINGS.items()
    )


def _contain_next(
    store: Store, written: Sequence[Left], members: Sequence[str], names: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the principals that got something that the contained ones left, and that acted or signed in afterwards."""
    given = pl.DataFrame(
        [(one, left.kind.leaves, left.row["first"]) for left in written for one in left.given_to if one not in members],
        schema={"principal_id": pl.String, "because": pl.String, "given_on": pl.Datetime("us")}, orient="row",
    )  # fmt: skip
    if given.is_empty():
        return []
    first = given.group_by("principal_id").agg(pl.col("given_on").min(), pl.col("because").unique(maintain_order=True))
    used = used_after(store, first.select("principal_id", "given_on")).join(first, on="principal_id")
    return [
        {
            "principal_id": row["principal_id"],
            "name": names.get(row["principal_id"], row["principal_id"]),
            "because": sorted(row["because"]),
            "given_on": row["given_on"],
            **{name: row[name] for name in ("first", "last", "calls", "sign_ins")},
            "command": f"rightsize contain {for_shell(row['principal_id'])} --since {row['given_on']:%Y-%m-%dT%H:%M}",
        }
        for row in used.sort("first", "principal_id").to_dicts()
    ]


_ALWAYS = (
    "what runbooks, scripts, functions and commands do inside, and what code left on machines",
    "SAS that were signed with a key outside Azure, and what was done with keys, SAS and webhooks",
    "changes inside resources (data planes) whose diagnostic settings send no log",
    "rules of mailboxes, sharing links and other changes in Microsoft 365",
    "changes by an identity or credential that was left behind, which are another principal's: contain it as well",
)
_WITHOUT = {
    "activity_log": "changes to resources",
    "entra_audit_log": "credentials, consents, owners, members, users, methods and policies of the directory",
    "graph_activity_log": "requests to Microsoft Graph",
    "key_vault_log": "which secrets of key vaults were read",
    "storage_log": "what was read or written in storage accounts",
}


def _not_shown(store: Store, spans: pl.DataFrame) -> list[str]:
    """Return what no log shows: always, and since a log of the suspect time is not loaded."""
    first: dt.datetime = spans["start_on"].min()  # type: ignore[assignment]
    last: dt.datetime = spans["end_on"].max()  # type: ignore[assignment]
    sources = set(
        store.frame(
            "SELECT DISTINCT source FROM main.coverage WHERE state <> 'missing' AND day BETWEEN $first::DATE AND "
            "$last::DATE",
            {"first": first, "last": last},
        )["source"]
    )
    missing = [
        f"{what}: no {source.replace('_', ' ')} of the suspect time is loaded"
        for source, what in _WITHOUT.items()
        if source not in sources
    ]
    if has_uncounted_days(store, first, last):
        missing.append("single calls of days that were loaded in reduced form, or whose calls were pruned")
    return [*missing, *_ALWAYS]
