"""Measure reach with an analysis and with a plan, store it, and show it as ranking and picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.reach.escalation import Holdings, build_graph, escalations_of, with_assignable
from rightsize.analyze.reach.facts import Facts, read_facts, without_grants
from rightsize.analyze.reach.measure import granted_holdings, measure_reach, used_holdings
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.model.access_answers import LETTERS
from rightsize.model.errors import EvidenceError
from rightsize.model.machine import give_back
from rightsize.model.nouns import LAYERS
from rightsize.model.plan import Plan
from rightsize.model.progress import step
from rightsize.planes.planned_state import holdings_after, tables_after
from rightsize.render.pictures import Cells, MatrixRow, draw_matrix
from rightsize.store.connection import Store, open_store
from rightsize.workflow.attack_paths import named
from rightsize.workflow.content import require_content
from rightsize.workflow.layers import BASES
from rightsize.workflow.names import read_names

_ANSWERS = ("reach", "reach_layers")
_DRAWN = 24


def keep_reach(store: Store, inputs: Inputs, analysis: Analysis, plan: Plan | None = None) -> None:
    """Measure and store reach as granted, used, and left by a plan; without a plan, the last plan's rows stay."""
    step("measuring what each principal reaches")
    give_back()
    facts = read_facts(inputs, store.table)
    tenant = analysis.tenant
    granted = granted_holdings(tenant)

    def held() -> Iterator[tuple[str, Facts, Holdings]]:
        yield "granted", facts, granted
        yield "used", without_grants(facts), used_holdings(analysis)
        if plan is not None:
            later = read_facts(inputs, tables_after(plan, store.table))
            yield "proposed", later, holdings_after(plan, granted, inputs, tenant)

    answers = dict(zip(_ANSWERS, measure_reach(analysis, inputs, held()), strict=True))
    for name, frame in answers.items():
        earlier = store.table(name).filter(pl.col("basis") == "proposed")
        store.write_answer(name, frame if plan is not None else pl.concat([frame, earlier]))
    graph = build_graph(facts, tenant, inputs, with_assignable(granted, tenant, inputs), with_eligible=True)
    store.write_answer("escalations", escalations_of(graph, facts, tenant, granted))


def show_reach(db: Path) -> list[dict[str, Any]]:
    """Return every subject, that with the widest reach first, with the reach that the last plan leaves.

    Raises:
        EvidenceError: Nothing was analysed yet.
    """
    with open_store(db, read_only=True) as store:
        require_content(store)
        table = store.table("reach")
        names, _ = read_names(store)
    if table.is_empty():
        raise EvidenceError("no reach was measured yet", hint="`rightsize analyze` measures it")
    return rank_reach(table, names)


def rank_reach(table: pl.DataFrame, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the rows of the table `reach` as granted, with those as used and proposed beside them, widest first."""
    key = ["subject", "kind", "state"]
    proposed = table.filter(pl.col("basis") == "proposed").select(
        *key, cells_proposed="cells", identities_proposed="identities"
    )
    used = table.filter(pl.col("basis") == "used").group_by("subject", "kind").agg(cells_used=pl.col("cells").max())
    rows = (
        table.filter(pl.col("basis") == "granted")
        .drop("basis")
        .join(proposed, on=key, how="left")
        .join(used, on=["subject", "kind"], how="left")
        .with_columns(pl.col("cells_proposed", "cells_used", "identities_proposed").fill_null(0))
        .sort(
            "takes_tenant",
            "tenant_steps",
            "cells",
            "own_cells",
            "identities",
            "secrets",
            *key,
            descending=[True, False] + [True] * 4 + [False] * 3,
            nulls_last=True,
        )
    )
    return [row | {"name": named(f"{LETTERS[row['kind']]}:{row['subject']}", names)} for row in rows.to_dicts()]


def draw_reach(db: Path, ranked: Sequence[Mapping[str, Any]]) -> str:
    """Return the first subjects as an SVG matrix: the share of subscriptions in which each can defeat each layer."""
    with open_store(db, read_only=True) as store:
        direct, further = store.table("layer_defeats"), store.table("reach_layers")
        whole = max(1, store.table("scopes").filter(pl.col("kind") == "subscription").height)
    firm = direct.filter(~pl.col("conditional") & pl.col("scope").str.starts_with("/subscriptions/"))
    both = pl.concat([
        firm.select("basis", "state", "scope", "layer", subject="principal_id"),
        further.select("basis", "state", "scope", "layer", "subject"),
    ]).filter(pl.col("state") == "active")  # fmt: skip
    counted = both.group_by("subject", "layer", "basis").agg(pl.col("scope").n_unique())
    counts = {(subject, layer, basis): number for subject, layer, basis, number in counted.iter_rows()}
    rows = [
        MatrixRow(
            row["name"],
            tuple(
                Cells(*(min(1.0, counts.get((row["subject"], layer, basis), 0) / whole) for basis in BASES))
                for layer in LAYERS
            ),
            row["cells"],
        )
        for row in ranked
        if row["state"] == "active"
    ]
    return draw_matrix(rows[:_DRAWN], "layers of defence that fall with whom, through any number of steps")
