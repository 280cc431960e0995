"""Show a rollout as rows, and the state of each swap, from its journal and the logs loaded since."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rightsize.change.bundle import Bundle, Held, Swap, write_bundle
from rightsize.change.tripwire import Refusal, SeenUse, SwapStatus, add_back, standing_of
from rightsize.model.nouns import PermissionBlock
from rightsize.model.role_forms import permissions_from_json, read_role_definitions
from rightsize.rbac.text import fold
from rightsize.render.sentences import short_scope
from rightsize.store.connection import Store, open_store
from rightsize.store.queries import query_text
from rightsize.workflow.plan.rollout import entries_by_swap, open_bundle, read_entries, read_rollout_tenant


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
        "WHERE source IN ('activity_log', 'key_vault_log') AND state <> 'missing' AND day >= $day",
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
        query_text("answers/refusals"),
        {"since": since},
    )
    return [Refusal(**row) for row in found.to_dicts()]


def _permissions(store: Store) -> list[tuple[str, str]]:
    return store.table("role_definitions").select("role_definition_id", "permissions").rows()


def describe(swap: Swap, bundle: Bundle) -> dict[str, Any]:
    """Return a swap as a row: its principals, what it makes and removes, and its estimated risk."""
    return {
        "swap": swap.id,
        "wave": swap.wave,
        "principal": whom(swap, bundle),
        "principal_ids": sorted({one.principal_id for one in (swap.removes or swap.creates)}),
        "makes": len(swap.creates),
        "removes": len(swap.removes),
        "new_roles": len(swap.roles),
        "wait_seconds": swap.wait,
        "wait": _duration(swap.wait),
        "break_probability_30d": swap.risk,
        "breaks": f"{100 * swap.risk:.1f} %",
        "blind": swap.blind,
        "proposals": list(swap.proposals),
    }


def steps_of(swap: Swap, bundle: Bundle) -> list[dict[str, Any]]:
    """Return the steps of a swap in order, one row each."""
    rows: list[dict[str, Any]] = [_step("make role", role, None, bundle, role=role) for role in swap.roles]
    rows += [_step("carry rules over", one.role, one.scope, bundle, role=one.role) for one in swap.rules]
    rows += [_held("make assignment", one, one.role, bundle) for one in swap.creates]
    rows.append({"step": "wait and read back", "what": f"{swap.wait} s", "scope": None, "role": _duration(swap.wait)})
    rows += [_step("switch to roles", one.vault, one.vault, bundle, role="") for one in swap.switches]
    rows += [_held("remove assignment", one, one.id, bundle) for one in swap.removes]
    return [{"wave": swap.wave, "swap": swap.id, **row} for row in rows]


def states_of(states: Mapping[str, str], bundle: Bundle, **more: Any) -> list[dict[str, Any]]:
    """Return the state of each swap as a row, in the order of the states."""
    swaps = {swap.id: swap for swap in bundle.swaps}
    return [
        {"swap": id_, **more, "principal": whom(swaps[id_], bundle), "state": state} for id_, state in states.items()
    ]


def standings_of(standings: Iterable[SwapStatus], bundle: Bundle) -> list[dict[str, Any]]:
    """Return the status of each swap as a row."""
    swaps = {swap.id: swap for swap in bundle.swaps}
    return [
        {
            "swap": one.swap,
            "wave": one.wave,
            "principal": whom(swaps[one.swap], bundle),
            "state": one.state,
            "since": one.since,
            "covered_days": one.covered_days,
            "refused": sum(refusal.calls for refusal in one.refusals),
            "add_back": add_back(one),
            "reason": one.reason,
        }
        for one in standings
    ]


def whom(swap: Swap, bundle: Bundle) -> str:
    """Return the name of the first principal of a swap, and the number of its other principals; or of its vault."""
    if swap.switches:
        return f"vault {swap.switches[0].vault.rpartition('/')[2]}"
    ids = sorted({fold(one.principal_id) for one in (*swap.removes, *swap.creates)})
    names = sorted(bundle.names.get(id_, id_) for id_ in ids)
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def bundle_document(bundle: Bundle) -> dict[str, Any]:
    """Return the document that `rollout plan -o json` writes."""
    document: dict[str, Any] = json.loads(write_bundle(bundle))
    return document


def _held(step: str, one: Held, what: str, bundle: Bundle) -> dict[str, Any]:
    row = _step(step, what, one.scope, bundle, role=one.role)
    row["principal"] = bundle.names.get(fold(one.principal_id), one.principal_id)
    row["step"] = step.replace("assignment", "eligible assignment") if one.state == "eligible" else step
    return row | {"principal_id": one.principal_id, "until": one.until}


def _step(step: str, what: str, scope: str | None, bundle: Bundle, *, role: str) -> dict[str, Any]:
    name = bundle.names.get(fold(role), role)
    at = short_scope(scope, bundle.names) if scope else None
    return {"step": step, "what": what, "scope": scope, "role": name, "at": at}


def _duration(seconds: int) -> str:
    return f"{seconds // 3600} h" if seconds >= 3600 else f"{seconds // 60} min"
