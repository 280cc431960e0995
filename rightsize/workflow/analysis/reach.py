"""Measure reach with an analysis and with a plan, store it, and show it as ranking and picture.

The blast radius of one subject before and after a plan comes as plain values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.kept_tables import GrantedReach
from rightsize.analyze.principals import LoadedNames
from rightsize.analyze.reach import measure
from rightsize.analyze.reach.bits import described
from rightsize.analyze.reach.blast import Branch, draw_grid, grow_branches
from rightsize.analyze.reach.closure import Step
from rightsize.analyze.reach.facts import Facts, read_facts, without_grants
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.model.access_answers import LETTERS
from rightsize.model.machine import give_back
from rightsize.model.nouns import LAYERS
from rightsize.model.options import USUAL
from rightsize.model.plan import Plan
from rightsize.model.progress import step
from rightsize.planes.planned_state import holdings_after, tables_after
from rightsize.propose.verify.review import plan_of
from rightsize.render.pictures import Cells, MatrixRow, draw_matrix
from rightsize.store.connection import Store, open_store
from rightsize.workflow.analysis.attack_paths import (
    KINDS,
    ReachResult,
    find_principal,
    named,
    named_subject,
    rank_of,
    step_of,
    told_reach,
)
from rightsize.workflow.analysis.behaviour import with_holds
from rightsize.workflow.analysis.find_analysis import find_answers, require_content
from rightsize.workflow.analysis.keep_analysis import analysis_of_rbac, options_of, reach_of
from rightsize.workflow.analysis.layers import BASES
from rightsize.workflow.names import read_names
from rightsize.workflow.plan_folder import read_plan_folder
from rightsize.workflow.signatures import ANYBODY, Signers

_ANSWERS = ("reach", "reach_layers")
_DRAWN = 24
_PROPOSED = ("cells_proposed", "identities_proposed")


@dataclass(frozen=True, slots=True)
class EveryReach:
    """What an attacker gains with each subject.

    Attributes:
        rows: One row a subject, as `rank_reach` returns them.
        direct: The layers that each principal can defeat itself, as the table `layer_defeats`.
        further: Those that it can defeat by further steps, as `reach_layers`.
        subscriptions: Number of loaded subscriptions.
    """

    rows: list[dict[str, Any]]
    direct: pl.DataFrame
    further: pl.DataFrame
    subscriptions: int


def keep_reach(store: Store, inputs: Inputs, analysis: Analysis) -> GrantedReach:
    """Measure and store reach as granted and as used; return what is granted. The last plan's rows stay."""
    found, rows = reach_of(store, inputs, analysis)
    _write_reach(store, [rows[name] for name in _ANSWERS], pl.col("basis") == "proposed")
    store.write_answer("escalations", rows["escalations"])
    return found


def keep_planned_reach(store: Store, inputs: Inputs, analysis: Analysis, plan: Plan) -> None:
    """Measure and store reach as a plan leaves it, beside what is granted and used."""
    _write_reach(store, planned_reach(store, inputs, analysis, plan), pl.col("basis") != "proposed")


def planned_reach(store: Store, inputs: Inputs, analysis: Analysis, plan: Plan) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows of the tables `reach` and `reach_layers` as a plan leaves them."""
    step("measuring what each principal reaches after the plan")
    give_back()
    later = read_facts(inputs, tables_after(plan, store.table))
    held = holdings_after(plan, measure.granted_holdings(analysis.tenant), inputs, analysis.tenant)
    return measure.measure_reach(analysis, inputs, [("proposed", later, held)])


def _write_reach(store: Store, rows: Iterable[pl.DataFrame], stays: pl.Expr) -> None:
    """Write the rows of both tables, and of those that are stored the rows that stay."""
    for name, frame in zip(_ANSWERS, rows, strict=True):
        store.write_answer(name, pl.concat([frame, store.table(name).filter(stays)]))


def show_reach(db: Path, note: Callable[[str], None]) -> EveryReach:
    """Return every subject, that with the widest reach first, with the reach that the last plan leaves.

    `note` is called with a sentence where the store has no analysis of the present content, so that one is made.

    Raises:
        EvidenceError: Nothing is loaded that could be analysed.
    """
    with open_store(db, read_only=True) as store:
        require_content(store)
        answer = find_answers(store, note)
        names, _ = read_names(store)
        rows = rank_reach(answer("reach"), names)
        subscriptions = store.table("scopes").filter(pl.col("kind") == "subscription").height
        return EveryReach(rows, answer("layer_defeats"), answer("reach_layers"), subscriptions)


def rank_reach(table: pl.DataFrame, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the rows of the table `reach` as granted, with those as used and proposed beside them, widest first.

    What is proposed is null where no plan of the present content was measured.
    """
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
        .with_columns(pl.col("cells_used", *([] if proposed.is_empty() else _PROPOSED)).fill_null(0))
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


def draw_reach(every: EveryReach) -> str:
    """Return the first subjects as an SVG matrix: the share of subscriptions in which each can defeat each layer."""
    direct, further, whole = every.direct, every.further, max(1, every.subscriptions)
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
        for row in every.rows
        if row["state"] == "active"
    ]
    return draw_matrix(rows[:_DRAWN], "layers of defence that fall with whom, through any number of steps")


TableOf = Callable[[str], pl.DataFrame]
_NAMED = 3
_TENANT = ("x:tenant", "a:/")


@dataclass(frozen=True, slots=True)
class Views:
    """The closed graphs of what is granted, what was used, and what a plan leaves."""

    granted: measure.View
    used: measure.View
    proposed: measure.View | None


def views_of(
    facts: Facts, inputs: Inputs, analysis: Analysis, table_of: TableOf, plan: Plan | None, *, eligible: bool
) -> Views:
    """Return the closed graphs; eligible assignments count as permanent ones where `eligible` is set.

    Args:
        facts: Attached identities, owners, and what is held beyond Azure roles.
        inputs: The tables of the analysis.
        analysis: Its verdicts.
        table_of: Returns the other tables of the store by name.
        plan: The plan that the last graph assumes to be carried out.
        eligible: Count eligible assignments.
    """
    tenant, holdings = analysis.tenant, measure.read_holdings(analysis)
    granted = measure.view_of(facts, tenant, inputs, holdings["granted"], with_eligible=eligible)
    used = measure.view_of(without_grants(facts), tenant, inputs, holdings["used"], with_eligible=False)
    if plan is None:
        return Views(granted, used, None)
    later = read_facts(inputs, tables_after(plan, table_of))
    held = holdings_after(plan, holdings["granted"], inputs, tenant)
    return Views(granted, used, measure.view_of(later, tenant, inputs, held, with_eligible=eligible))


def blast_of(node: str, views: Views, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the blast radius of a node of the graph.

    Returns:
        `subject`, its `name`, `today` and `after` (counts as the table `reach`; `after` is null without a plan), `grid`
        with a row a subscription (`at`, `subscriptions`, `cells` by column), `branches` with the ways, parents before
        children, `left_out`, the number of things in none of the branches, and `way`: the shortest way `to` the worst
        thing, its steps `today` and `after` (null without a plan, empty where the plan leaves no way); null where
        nothing is reached.
    """
    view = views.granted
    ways = measure.ways_from(view, node, ends_of(view, node))
    left = views.proposed.graph.reachable([node]) if views.proposed is not None else None
    branches, left_out = grow_branches(ways, left, rank_of)
    grid = draw_grid(node, view, views.used, views.proposed)
    return {
        "subject": node[2:],
        "name": named(node, names),
        "today": _counts(view, node),
        "after": _counts(views.proposed, node) if views.proposed is not None else None,
        "grid": [
            {
                "at": names.get(row.scope, row.scope) if row.scope else f"{row.subscriptions} more",
                "subscriptions": row.subscriptions,
                "cells": {name: asdict(cell) for name, cell in row.cells.items()},
            }
            for row in grid
        ],
        "branches": [_branch_document(one, names) for one in branches],
        "left_out": left_out,
        "way": _worst_way(node, ways, views.proposed, names),
    }


def _worst_way(
    node: str, ways: Mapping[str, Sequence[Step]], proposed: measure.View | None, names: Mapping[str, str]
) -> dict[str, Any] | None:
    """Return the shortest way to the worst thing that is reached, today and under the plan.

    Whoever may assign every role takes the tenant, and whoever takes the tenant may: one stands for the other.
    """
    if not ways:
        return None
    end = min(ways, key=lambda end: (rank_of(end), len(ways[end]), end))
    worst = _TENANT if end in _TENANT else (end,)
    left = (
        []
        if proposed is None
        else sorted(measure.ways_from(proposed, node, worst).items(), key=lambda way: len(way[1]))
    )
    after = None if proposed is None else left[0][1] if left else []
    return {
        "to": named(end, names),
        "today": [step_of(one, names) for one in ways[end]],
        "after": None if after is None else [step_of(one, names) for one in after],
    }


def blast_from(
    db: Path,
    subject: str,
    *,
    plan: Path | None = None,
    signers: Signers = ANYBODY,
    eligible: bool = False,
    note: Callable[[str], None] = lambda _: None,
) -> tuple[ReachResult, dict[str, Any]]:
    """Return the reach of a principal, a resource or an outside subject, as `reach_from` does, and its blast radius.

    Args:
        db: The store.
        subject: As for `reach_from`.
        plan: The folder of a plan; its own window is used.
        signers: Whose signature the plan must have.
        eligible: Count eligible assignments as permanent ones.
        note: Called with a sentence where no stored analysis is of this content and window.

    Raises:
        UsageError: The name fits several subjects.
        InputError: It fits nothing, or the plan cannot be read.
    """
    read = read_plan_folder(plan, signers) if plan is not None else None
    with open_store(db, read_only=True) as store:
        inputs = Inputs.read(with_holds(store))
        facts = read_facts(inputs, store.table)
        people, places = read_names(store)
        subjects = [*("r:" + facts.attached["scope"]), *("o:" + facts.trusted["outsider"])]
        node = named_subject(set(subjects), subject) or f"p:{find_principal(store, LoadedNames(inputs), subject)}"
        asked = USUAL if read is None else options_of(read.written.window)
        analysis = analysis_of_rbac(store, inputs, asked, note)
        planned = plan_of(read) if read is not None else None
        views = views_of(facts, inputs, analysis, store.table, planned, eligible=eligible)
    names = people | places
    view = views.granted
    counts = described(view.frame, measure.reached_of(view, node), measure.own_of(view, node))
    reach = told_reach(node, counts, measure.ways_from(view, node, ends_of(view, node)), names)
    return reach, blast_of(node, views, names)


def ends_of(view: measure.View, node: str) -> list[str]:
    """Return the nodes that can be gained, and the scopes and parts of the directory that the graph names."""
    number = view.graph.numbers.get(node)
    if number is None:
        return []
    others = view.graph.after([node]) - measure.crowd_of(view.graph) - {number}
    found = [view.graph.names[thing] for thing in view.frame.things if thing in others]
    return found + [name for name in view.graph.numbers if name[:2] in ("a:", "x:")]


def _counts(view: measure.View, node: str) -> dict[str, Any]:
    return described(view.frame, measure.reached_of(view, node), 0)


def _branch_document(branch: Branch, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "depth": branch.depth,
        "kind": KINDS[branch.nodes[0][0]],
        "names": [named(node, names) for node in branch.nodes[:_NAMED]],
        "things": len(branch.nodes),
        "why": step_of(branch.step, names)["why"],
        "certain": branch.certain,
        "stays": branch.stays,
        "hidden": branch.hidden,
    }
