"""Show a rollout as rows: swaps, their steps and their states, with names beside the ids."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from rightsize.change.bundle import Bundle, Held, Swap, write_bundle
from rightsize.change.tripwire import SwapStatus, add_back
from rightsize.rbac.text import fold
from rightsize.render.summary import short_scope


def describe(swap: Swap, bundle: Bundle) -> dict[str, Any]:
    """Return a swap as a row: its principals, what it makes and removes, and its estimated risk."""
    return {
        "swap": swap.id,
        "wave": swap.wave,
        "principal": whom(swap, bundle),
        "principal_ids": sorted({one.principal_id for one in swap.removes}),
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
    """Return the name of the first principal of a swap, and the number of its other principals."""
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
