"""Return the blast radius of a subject before and after a plan, as plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.principals import LoadedNames
from rightsize.analyze.reach.blast import Branch, draw_grid, grow_branches
from rightsize.analyze.reach.facts import Facts, read_facts, without_grants
from rightsize.analyze.reach.measure import (
    View,
    crowd_of,
    described,
    own_of,
    reached_of,
    read_holdings,
    view_of,
    ways_from,
)
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.model.plan import Plan
from rightsize.planes.planned_state import holdings_after, tables_after
from rightsize.propose.verify.review import plan_of
from rightsize.store.connection import open_store
from rightsize.store.stored_analysis import AnalysisOptions
from rightsize.workflow.attack_paths import KINDS, ReachResult, named, named_subject, rank_of, step_of, told_reach
from rightsize.workflow.behaviour import with_holds
from rightsize.workflow.keep_analysis import analysis_of_rbac, options_of
from rightsize.workflow.names import read_names
from rightsize.workflow.plan_folder import read_plan_folder
from rightsize.workflow.principal_names import find_principal
from rightsize.workflow.signatures import ANYBODY, Signers

TableOf = Callable[[str], pl.DataFrame]
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Views:
    """The closed graphs of what is granted, what was used, and what a plan leaves."""

    granted: View
    used: View
    proposed: View | None


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
    tenant, holdings = analysis.tenant, read_holdings(analysis)
    granted = view_of(facts, tenant, inputs, holdings["granted"], with_eligible=eligible)
    used = view_of(without_grants(facts), tenant, inputs, holdings["used"], with_eligible=False)
    if plan is None:
        return Views(granted, used, None)
    later = read_facts(inputs, tables_after(plan, table_of))
    held = holdings_after(plan, holdings["granted"], inputs, tenant)
    return Views(granted, used, view_of(later, tenant, inputs, held, with_eligible=eligible))


def blast_of(node: str, views: Views, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the blast radius of a node of the graph.

    Returns:
        `name`, `today` and `after` (counts as the table `reach`; `after` is null without a plan), `grid` with a row a
        subscription (`at`, `subscriptions`, `cells` by column), `branches` with the ways, parents before children, and
        `left_out`, the number of things in none of the branches.
    """
    view = views.granted
    ways = ways_from(view, node, ends_of(view, node))
    left = views.proposed.graph.reachable([node]) if views.proposed is not None else None
    branches, left_out = grow_branches(ways, left, rank_of)
    grid = draw_grid(node, view, views.used, views.proposed)
    return {
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
        UsageError: The name fits nothing, or several subjects.
        InputError: The plan cannot be read.
    """
    read = read_plan_folder(plan, signers) if plan is not None else None
    with open_store(db, read_only=True) as store:
        inputs = Inputs.read(with_holds(store))
        facts = read_facts(inputs, store.table)
        people, places = read_names(store)
        subjects = [*("r:" + facts.attached["scope"]), *("o:" + facts.trusted["outsider"])]
        node = named_subject(set(subjects), subject) or f"p:{find_principal(store, LoadedNames(inputs), subject)}"
        asked = AnalysisOptions() if read is None else options_of(read.written.window)
        analysis = analysis_of_rbac(store, inputs, asked, note)
        planned = plan_of(read) if read is not None else None
        views = views_of(facts, inputs, analysis, store.table, planned, eligible=eligible)
    names = people | places
    view = views.granted
    counts = described(view.frame, reached_of(view, node), own_of(view, node))
    reach = told_reach(node, counts, ways_from(view, node, ends_of(view, node)), names)
    return reach, blast_of(node, views, names)


def ends_of(view: View, node: str) -> list[str]:
    """Return the nodes that can be gained, and the scopes and parts of the directory that the graph names."""
    number = view.graph.numbers.get(node)
    if number is None:
        return []
    crowd = crowd_of(view.graph)
    found = [
        view.graph.names[thing]
        for thing, bit in view.frame.things.items()
        if view.reached[number] >> bit & 1 and thing not in crowd and thing != number
    ]
    return found + [name for name in view.graph.numbers if name[:2] in ("a:", "x:")]


def _counts(view: View, node: str) -> dict[str, Any]:
    return described(view.frame, reached_of(view, node), 0)


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
