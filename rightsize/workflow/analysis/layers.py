"""Measure layers of defence with an analysis and with a plan, store the answers, and show them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.lacks import Lack, of_subscription
from rightsize.analyze.principals import resolve_principal
from rightsize.analyze.reach.layers import LayerAnswer, measure_layers
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.model.errors import UsageError
from rightsize.model.nouns import LAYERS
from rightsize.model.options import WindowOptions
from rightsize.model.plan import Plan
from rightsize.model.text import fold
from rightsize.planes.planned_state import assigned_after, planned_grants
from rightsize.propose.verify.review import plan_of
from rightsize.render.pictures import Cells, MatrixRow, draw_matrix
from rightsize.store.connection import Store, open_store
from rightsize.workflow.analysis.behaviour import with_holds
from rightsize.workflow.analysis.find_analysis import find_answers
from rightsize.workflow.analysis.keep_analysis import analysis_of_rbac, options_of
from rightsize.workflow.data.status import listings_of
from rightsize.workflow.names import read_names
from rightsize.workflow.plan_folder import read_plan_folder
from rightsize.workflow.signatures import ANYBODY, Signers

BASES = ("granted", "used", "proposed")
_SHOWN = 24
_ANSWERS = ("layer_defeats", "layer_violations")
_PROPOSED = {"proposed", "reach_proposed", "violated_proposed"}


@dataclass(frozen=True, slots=True)
class LayersResult:
    """The result of `reach layers`.

    Attributes:
        rows: Violations: one row a (principal, state), the widest reach first, or one a subscription.
        picture: The matrix as SVG.
        has_plan: Whether a plan was measured.
        lacks: The listings that are not complete, so that more principals may defeat layers.
    """

    rows: list[dict[str, Any]]
    picture: str
    has_plan: bool
    lacks: list[Lack]


def measure_plan(inputs: Inputs, analysis: Analysis, plan: Plan) -> LayerAnswer:
    """Return the layers that principals can defeat: as granted, as used, and as a plan leaves them."""
    tenant = analysis.tenant
    return measure_layers(analysis, assigned_after(plan, tenant), planned_grants(plan, inputs, tenant))


def keep_layers(store: Store, answer: LayerAnswer) -> None:
    """Write an answer into the store; without a plan in it, the stored rows of the last plan stay."""
    for name, frame in zip(_ANSWERS, (answer.defeats, answer.violations), strict=True):
        earlier = store.table(name).filter(pl.col("basis") == "proposed")
        has_plan = not answer.defeats.filter(pl.col("basis") == "proposed").is_empty()
        store.write_answer(name, frame if has_plan else pl.concat([frame, earlier]))


def show_layers(
    db: Path,
    *,
    by_subscription: bool = False,
    plan: Path | None = None,
    signers: Signers = ANYBODY,
    as_of: dt.date | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> LayersResult:
    """Return the violations of independence and the matrix, from the analysis and the plan of the present content.

    Args:
        db: The store.
        by_subscription: One row a subscription of a principal, instead of one a principal.
        plan: Measure the plan in this folder, over its own window, instead.
        signers: Whose signature this plan must have.
        as_of: Measure the window that ends before this day, without a plan.
        note: Called with a sentence where the store has no analysis of the present content, so that one is made.

    Raises:
        EvidenceError: Nothing is loaded that could be analysed.
        InputError: There is no plan, or its folder does not hold one.
        UsageError: Both a plan and a day are named.
    """
    with open_store(db, read_only=True) as store:
        answer = _answer(store, plan, signers, as_of, note)
        names, places = read_names(store)
        lacks = listings_of(store).every()
    defeats, violations = answer.defeats, answer.violations
    has_plan = not defeats.filter(pl.col("basis") == "proposed").is_empty()
    rows = _violated(violations, defeats)
    records = (rows if by_subscription else _by_principal(rows)).to_dicts()
    for row in records:
        row["name"] = names.get(row["principal_id"], row["principal_id"])
        if by_subscription:
            row["at"] = places.get(row["scope"], row["scope"])
        row["complete"] = not (of_subscription(lacks, fold(row["scope"])) if by_subscription else lacks)
        if not has_plan:
            row.update(dict.fromkeys(_PROPOSED & row.keys()))
    return LayersResult(records, draw_matrix(matrix_rows(defeats, names)), has_plan, lacks)


def _answer(
    store: Store, plan: Path | None, signers: Signers, as_of: dt.date | None, note: Callable[[str], None]
) -> LayerAnswer:
    """Return the answer of the present content, or the measured one of the plan in a folder or of a day."""
    if plan is None and as_of is None:
        return LayerAnswer(*map(find_answers(store, note), _ANSWERS))
    if plan is not None and as_of is not None:
        raise UsageError("a plan has its own window, and the command names another one", hint="leave out --as-of")
    inputs = Inputs.read(with_holds(store))
    if plan is None:
        return measure_layers(analysis_of_rbac(store, inputs, WindowOptions(as_of=as_of)))
    read = read_plan_folder(plan, signers)
    return measure_plan(inputs, analysis_of_rbac(store, inputs, options_of(read.written.window)), plan_of(read))


def defeats_of(
    db: Path,
    principal: str,
    plan: Path | None = None,
    signers: Signers = ANYBODY,
    as_of: dt.date | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Return the layers that one principal can defeat, and how: one row a (subscription, basis, state, layer).

    Args:
        db: The store.
        principal: Its id, UPN or name.
        plan: Measure the plan in this folder, over its own window, instead of the last one.
        signers: Whose signature this plan must have.
        as_of: Measure the window that ends before this day, without a plan.
        note: Called with a sentence where the store has no analysis of the present content, so that one is made.

    Raises:
        EvidenceError: Nothing is loaded that could be analysed.
        InputError: There is no plan, its folder does not hold one, or no principal has the name.
        UsageError: Several principals have the name, or both a plan and a day are named.
    """
    with open_store(db, read_only=True) as store:
        defeats = _answer(store, plan, signers, as_of, note).defeats
        inputs = Inputs.read(store.table)
        _, places = read_names(store)
    wanted = resolve_principal(inputs, principal)
    order = {basis: rank for rank, basis in enumerate(BASES)}
    layers = {layer: rank for rank, layer in enumerate(LAYERS)}
    found = defeats.filter(pl.col("principal_id") == wanted).sort(
        "scope", pl.col("layer").replace_strict(layers), pl.col("basis").replace_strict(order), "state"
    )
    return [row | {"at": places.get(row["scope"], row["scope"])} for row in found.to_dicts()]


def matrix_rows(defeats: pl.DataFrame, names: Mapping[str, str]) -> list[MatrixRow]:
    """Return the principals that can defeat the most layers, each with its cells: subscriptions by layer and basis.

    Eligible and conditional access is left out: the picture shows permanent, unconditional access.
    """
    firm = defeats.filter((pl.col("state") == "active") & ~pl.col("conditional"))
    counted = firm.group_by("principal_id", "layer", "basis").agg(pl.col("scope").n_unique().alias("subscriptions"))
    cells: dict[str, dict[tuple[str, str], int]] = {}
    for principal, layer, basis, number in counted.iter_rows():
        cells.setdefault(principal, {})[layer, basis] = number
    whole = max(1, firm.filter(pl.col("scope").str.starts_with("/subscriptions/"))["scope"].n_unique())
    rows = [
        MatrixRow(
            names.get(principal, principal),
            tuple(Cells(*(min(1.0, found.get((layer, basis), 0) / whole) for basis in BASES)) for layer in LAYERS),
            sum(number for (_, basis), number in found.items() if basis == "granted"),
        )
        for principal, found in sorted(cells.items())
    ]
    return sorted(rows, key=lambda row: -row.reach)[:_SHOWN]


def _violated(violations: pl.DataFrame, defeats: pl.DataFrame) -> pl.DataFrame:
    """Return one row a (principal, subscription, state), with layers as granted, as used and as proposed."""
    key = ["principal_id", "scope", "state"]
    found = violations.filter(pl.col("basis") != "used").select(key).unique()
    used = (
        defeats.filter(pl.col("basis") == "used")
        .group_by("principal_id", "scope")
        .agg(used=pl.col("layer").unique().sort())
    )
    found = found.join(used, on=["principal_id", "scope"], how="left")
    for basis in ("granted", "proposed"):
        columns = {basis: "layers", f"fewest_{basis}": "fewest", f"whole_{basis}": "whole", f"reach_{basis}": "reach"}
        part = violations.filter(pl.col("basis") == basis).select(*key, **columns)
        found = found.join(part, on=key, how="left")
    return found.select(
        *key,
        *BASES,
        fewest=pl.coalesce("fewest_granted", "fewest_proposed"),
        whole=pl.coalesce("whole_granted", "whole_proposed"),
        reach=pl.col("reach_granted").fill_null(0),
        reach_proposed=pl.col("reach_proposed").fill_null(0),
    ).sort("reach", pl.col("granted").list.len().fill_null(0), *key, descending=[True, True, False, False, False])


def _by_principal(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row a (principal, state): the layers it can defeat, and the number of subscriptions with several."""
    sets = [pl.col(basis).list.explode().drop_nulls().unique().sort().alias(basis) for basis in BASES]
    return rows.group_by("principal_id", "state", maintain_order=True).agg(
        *sets,
        pl.col("fewest", "whole", "reach", "reach_proposed").first(),
        violated=pl.col("granted").is_not_null().sum().cast(pl.Int64),
        violated_proposed=pl.col("proposed").is_not_null().sum().cast(pl.Int64),
    )
