"""Write what proposals for Azure roles say of today's grants as the tables `grants` and `counts`, and read it back.

The proposals in `plan.json` leave it out (`model.plan_defaults.shortened`). Proposals for other planes are few, and say
everything themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from rightsize.analyze.inputs import schema_of_columns
from rightsize.analyze.plan_evidence import AGAIN, Frames
from rightsize.model.errors import InputError
from rightsize.model.plan import PLANES_BEYOND, Proposal
from rightsize.model.plan_defaults import IN_TABLES
from rightsize.model.plan_evidence import CHANCES, COUNTS, GRANTS, KEPT_UNSEEN, REMOVED, file_of

_FATES = (KEPT_UNSEEN, REMOVED)
_LATENT = ("latent_before", "latent_after")
_NAMES = tuple(one.name for one in GRANTS.columns if one.name not in ("proposal_id", "reason", *_LATENT))
"""The columns of `grants` that are keys of the evidence of a proposal."""
_Counted = dict[str, dict[str, dict[str, int]]]


def grant_tables(proposals: Iterable[Proposal]) -> dict[str, pl.DataFrame]:
    """Return the tables `grants` and `counts` of proposals, in their order; those for other planes have no rows."""
    ours = [one for one in proposals if one.plane not in PLANES_BEYOND]
    counts = (
        (one.id, fate, reason, number)
        for one in ours
        for fate in _FATES
        for reason, number in one.evidence.get(fate, {}).items()
    )
    return {
        GRANTS.name: pl.DataFrame(map(_grant_row, ours), schema=schema_of_columns(GRANTS.columns), orient="row"),
        COUNTS.name: pl.DataFrame(counts, schema=schema_of_columns(COUNTS.columns), orient="row"),
    }


def _grant_row(one: Proposal) -> tuple[Any, ...]:
    latent = one.evidence.get("latent", {})
    said = map(one.evidence.get, _NAMES)
    return one.id, one.reason, *said, latent.get("before"), latent.get("after")


def with_grants(proposals: Iterable[Mapping[str, Any]], tables: Frames) -> Iterator[dict[str, Any]]:
    """Yield proposals of `plan.json` with what the tables `grants`, `counts` and `chances` say of them.

    Args:
        proposals: The proposals, as `plan_defaults.filled` returns them.
        tables: The tables of evidence.

    Raises:
        InputError: A proposal for Azure roles has no row in `grants`, or contradicts it.
    """
    grants = {id_: row for id_, *row in tables[GRANTS.name].iter_rows()}
    bounds = dict(tables[CHANCES.name].select("proposal_id", "bound").iter_rows())
    counted = _counted(tables[COUNTS.name])
    for one in proposals:
        if one.get("plane") in PLANES_BEYOND:
            yield dict(one)
            continue
        id_ = one["id"]
        if id_ not in grants:
            raise InputError(f"`{file_of(GRANTS)}` has no row for proposal `{id_}`", hint=AGAIN)
        reason, *row = grants[id_]
        chance = {} if id_ not in bounds else {"break_probability": _known({"bound": bounds[id_]})}
        yield _whole(one, reason, _evidence_of(row) | counted.get(id_, {}) | chance)


def _counted(counts: pl.DataFrame) -> _Counted:
    """Return the numbers of operations by proposal, fate and reason.

    Raises:
        InputError: A row has another fate, or lacks a value.
    """
    if not counts["fate"].is_in(_FATES).all() or sum(counts.null_count().row(0)):
        raise InputError(f"`{file_of(COUNTS)}` has a row with another fate or without a value", hint=AGAIN)
    found: _Counted = {}
    for id_, fate, reason, number in counts.iter_rows():
        found.setdefault(id_, {}).setdefault(fate, {})[reason] = number
    return found


def _evidence_of(row: Sequence[Any]) -> dict[str, Any]:
    *said, before, after = row
    latent = {} if before is None else {"latent": {"before": before, "after": after}}
    return _known(dict(zip(_NAMES, said, strict=True))) | latent


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _whole(one: Mapping[str, Any], reason: str | None, told: Mapping[str, Any]) -> dict[str, Any]:
    """Return a proposal with what the tables tell of it; what it says itself has to be the same."""
    said, clause = one.get("evidence"), one.get("reason")
    if (
        not isinstance(said, dict)
        or not isinstance(clause, str)
        or not (reason or "").startswith(clause)
        or any(told.get(name) != value for name, value in said.items() if name in IN_TABLES)
    ):
        raise InputError(f"proposal `{one['id']}` differs between `plan.json` and `{file_of(GRANTS)}`", hint=AGAIN)
    return {**one, "reason": reason, "evidence": {**said, **told}}
