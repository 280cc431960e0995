"""Report the state of each swap of a rollout, from its journal and the logs loaded since."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from rightsize.change.bundle import Bundle
from rightsize.change.tripwire import Refusal, SeenUse, SwapStatus, standing_of
from rightsize.model.nouns import PermissionBlock
from rightsize.model.role_forms import permissions_from_json, read_role_definitions
from rightsize.rbac.text import fold
from rightsize.store.connection import Store, open_store
from rightsize.workflow.rollout import entries_by_swap, open_bundle, read_entries
from rightsize.workflow.rollout_tenant import read_rollout_tenant


def watch_rollout(db: Path, folder: Path, *, watch_days: int, soak_days: int, today: dt.date) -> list[SwapStatus]:
    """Return the status of each swap, from the journal and the logs loaded since.

    Raises:
        InputError: There is no rollout, or no store.
    """
    bundle = open_bundle(folder)
    entries = read_entries(folder, bundle)
    done = [dt.datetime.fromisoformat(entry.at) for entry in entries if entry.event == "done"]
    with open_store(db, read_only=True) as store:
        seen = _seen(store, bundle, min(done, default=None), today)
    by_swap = entries_by_swap(entries)
    return [
        standing_of(swap, by_swap.get(swap.id, ()), seen, watch_days=watch_days, soak_days=soak_days)
        for swap in bundle.swaps
    ]


def _seen(store: Store, bundle: Bundle, since: dt.datetime | None, today: dt.date) -> SeenUse:
    moment = (since or dt.datetime.max).replace(tzinfo=None)
    covered: dict[str, set[dt.date]] = {}
    days = store.frame(
        "SELECT DISTINCT lower(scope) AS scope, day FROM coverage "
        "WHERE source = 'activity_log' AND state <> 'missing' AND day >= $day",
        {"day": moment.date()},
    )
    for scope, day in days.iter_rows():
        covered.setdefault(scope, set()).add(day)
    tenant = read_rollout_tenant(store)
    roles: dict[str, Sequence[PermissionBlock]] = {
        fold(id_): permissions_from_json(text) for id_, text in _permissions(store)
    }
    roles |= {role: read_role_definitions(dict(body))[0].permissions for role, body in bundle.roles.items()}
    return SeenUse(
        refusals=_refusals(store, moment),
        covered={scope: frozenset(found) for scope, found in covered.items()},
        members=tenant.members,
        roles=roles,
        tree=tenant.tree,
        today=today,
    )


def _refusals(store: Store, since: dt.datetime) -> list[Refusal]:
    """Return refused calls, one row a day; where events are stored, with the time and number of those since."""
    found = store.frame(
        """
        WITH days AS (
            SELECT principal_id, operation, scope, plane, day, sum(denied)::BIGINT AS denied,
                max(last_seen) AS last_seen
            FROM usage_days WHERE denied > 0 AND principal_id IS NOT NULL AND last_seen >= $since GROUP BY ALL
        ), calls AS (
            SELECT operation, scope, plane, principal_id, time::DATE AS day, max(time) AS last_denied,
                count(*) FILTER (WHERE time >= $since) AS since
            FROM events WHERE outcome = 'denied' AND time >= $since::DATE GROUP BY ALL
        )
        SELECT d.principal_id, d.operation, d.scope, d.plane, coalesce(max(c.since), max(d.denied))::BIGINT AS calls,
            coalesce(max(c.last_denied), max(d.last_seen)) AS last_seen
        FROM days AS d LEFT JOIN calls AS c ON c.operation = d.operation AND c.scope = d.scope AND c.plane = d.plane
            AND c.day = d.day AND coalesce(c.principal_id, d.principal_id) = d.principal_id
        GROUP BY d.principal_id, d.operation, d.scope, d.plane, d.day ORDER BY ALL
        """,
        {"since": since},
    )
    return [Refusal(**row) for row in found.to_dicts()]


def _permissions(store: Store) -> list[tuple[str, str]]:
    return store.table("role_definitions").select("role_definition_id", "permissions").rows()
