"""The inputs of a report, and the functions that make their texts harmless."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from rightsize.analyze.overview import Overview
from rightsize.analyze.planes import PlaneAnalysis
from rightsize.analyze.window import Window
from rightsize.model.nouns import RoleDefinition
from rightsize.model.plan_totals import NextSteps
from rightsize.rbac.text import fold
from rightsize.render.escape import for_terminal
from rightsize.render.role_summary import SummaryText, summary_text

_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Undecided:
    """The listings and logs that a store lacks, as `status logs` answers.

    Attributes:
        options: Rows as in the table `observability_options`, the greatest promise first.
        decidable: The share of the undecided excess that all options together decide at most, 0 to 1.
        region: The region of the prices.
        unlisted: The number of assignments whose operations are not known, so that nothing bounds them.
    """

    options: tuple[Mapping[str, Any], ...] = ()
    decidable: float = 0.0
    region: str = ""
    unlisted: int = 0


@dataclass(frozen=True, slots=True)
class Sources:
    """All data that the page shows.

    Attributes:
        title: The title of the page.
        window: The days that were analysed.
        overview: Counts and scores of the tenant.
        coverage: As the table `coverage`.
        findings: As the table `findings`.
        scope_names: Display names of subscriptions and management groups, by scope.
        proposals: The proposals for Azure RBAC as `plan.json` has them, or None where there is no plan.
        beyond: The proposals for other planes, whose counts are not added to these.
        plan: The rest of `plan.json`: `generated_from`, `advice`, `replay`, `curve`.
        planned_roles: The roles that the plan assigns, by folded id.
        evidence: The evidence of its new roles, by folded id, as in the files beside the roles.
        layers: The layers of defence that each principal can defeat: as the table `layer_defeats`.
        violations: The principals that can defeat several layers of one subscription: as the table `layer_violations`.
        planes: The analyses of the planes beyond Azure RBAC.
        reach: The reach of each principal and resource, widest first, as `reach` shows it.
        blasts: The blast radius of the first subjects of each kind, as `workflow.analysis.reach` returns it.
        activations: As the table `activations`, for every plane.
        steps: The order in which the changes of the plan are best made.
        undecided: What is missing, and what it would decide.
        jobs: The tables `jobs`, `job_operations` and `job_holders`, by name.
        stale: Why the plan does not fit the present store, or None.
        short: Where absence of use decides nothing yet: why, from when on it does, and what would tell.
    """

    title: str
    window: Window
    overview: Overview
    coverage: pl.DataFrame
    findings: pl.DataFrame
    scope_names: Mapping[str, str]
    layers: pl.DataFrame
    violations: pl.DataFrame
    proposals: Sequence[Mapping[str, Any]] | None = None
    beyond: Sequence[Mapping[str, Any]] = ()
    plan: Mapping[str, Any] = field(default_factory=dict)
    planned_roles: Mapping[str, RoleDefinition] = field(default_factory=dict)
    evidence: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    planes: Sequence[PlaneAnalysis] = ()
    reach: Sequence[Mapping[str, Any]] = ()
    blasts: Sequence[Mapping[str, Any]] = ()
    activations: Sequence[Mapping[str, Any]] = ()
    steps: NextSteps = field(default_factory=NextSteps)
    undecided: Undecided = field(default_factory=Undecided)
    jobs: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    stale: str | None = None
    short: Sequence[str] = ()


def clean(text: object) -> str:
    """Return text without invisible and direction-changing characters, cut to a readable length.

    Markup in it is unchanged: the template engine escapes it, and the script only writes text nodes.
    """
    shown = for_terminal("" if text is None else str(text))
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"


def name_of(name: str | None, id_: str) -> str:
    """Return a name that can be shown as a link: the id where the name is blank."""
    shown = clean(name).strip()
    return shown or clean(id_)


def summaries_of(sources: Sources) -> dict[str, SummaryText]:
    """Return the summary of each new role in words, by folded id; a plan of an older version has none."""
    overview = sources.overview
    names = dict(overview.principals.select("principal_id", "name").iter_rows())
    names |= dict(overview.roles.select("role", "role_name").iter_rows())
    names |= {id_: role.role_name for id_, role in sources.planned_roles.items()}
    names = {id_: name for id_, name in names.items() if name} | dict(sources.scope_names)
    return {
        fold(id_): summary_text(evidence["summary"], names)
        for id_, evidence in sorted(sources.evidence.items())
        if evidence.get("summary")
    }
