"""Name the parts of the report that open on demand, each with a line that says what is in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.model.plan import PLANE_NAMES
from rightsize.model.progress import counted
from rightsize.render.report.calendar import Calendar
from rightsize.render.report.figures import Figures


@dataclass(frozen=True, slots=True)
class Part:
    """A part: its title, its short name for the navigation, and a line on what is in it."""

    title: str
    short: str
    fact: str


def describe_parts(figures: Figures, calendar: Calendar, by_design: Mapping[str, Any]) -> dict[str, Part]:
    """Return the parts by their anchors, in the order of the page; parts with nothing in them are left out."""
    return dict(_parts(figures, calendar, by_design))


def _parts(figures: Figures, calendar: Calendar, by_design: Mapping[str, Any]) -> Iterator[tuple[str, Part]]:
    sources, overview = figures.sources, figures.sources.overview
    if by_design["rows"]:
        yield "by-design", Part("What stays by design", "By design", f"{by_design['fact']}; in no share above")
    if sources.proposals is not None:
        kinds = ", ".join(f"{number:,} {kind.replace('_', ' ')}" for kind, number in figures.kinds())
        yield "proposals", Part("Proposals", "Proposals", kinds)
    principals, assignments = overview.principals.height, overview.assignments.height
    yield "principals", Part("Principals", "Principals", f"{principals:,} with access")
    yield "assignments", Part("Role assignments", "Assignments", f"{assignments:,}")
    yield "roles", Part("Roles", "Roles", f"{overview.roles.height:,}")
    yield "scopes", Part("Scopes", "Scopes", f"{overview.scopes.height:,} with assignments")
    if sources.jobs and sources.jobs["jobs"].height:
        alone = sources.jobs["job_holders"].filter(pl.col("alone_operations").list.len() > 0)["principal_id"].n_unique()
        fact = f"{counted(sources.jobs['jobs'].height, 'job')}; {counted(alone, 'holder')} with work of their own"
        yield "jobs", Part("Jobs", "Jobs", fact)
    several = counted(figures.independence()["granted"], "principal")
    yield "layers", Part("Layers of defence", "Layers", f"{several} can defeat several layers of one subscription")
    if sources.reach:
        whole = sum(1 for row in sources.reach if row["takes_tenant"])
        fact = f"{counted(len(sources.reach), 'subject')}; {whole:,} can take the whole tenant"
        yield "escalation", Part("Escalation paths", "Escalation", fact)
    if sources.planes:
        held = [f"{one.assignments.height:,} {PLANE_NAMES[one.plane]}" for one in sources.planes]
        yield "planes", Part("Directory and Graph", "Directory", ", ".join(held))
    if sources.activations:
        yield "activations", Part("Activations", "Activations", f"{len(sources.activations):,}")
    lacking = sum(1 for row in calendar.rows if row.days["missing"])
    logs = f"{counted(len(calendar.rows), 'log')}, {lacking:,} with missing days" if calendar.rows else "no log"
    yield "coverage", Part("Days that the logs cover", "Coverage", logs)
    if sources.findings.height:
        rated = Counter(sources.findings["severity"].to_list())
        fact = ", ".join(f"{rated[name]:,} {name}" for name in ("critical", "high", "medium", "low") if rated[name])
        yield "findings", Part("Findings", "Findings", fact)
    if sources.plan.get("advice"):
        yield "advice", Part("Steps that only people can take", "Advice", f"{len(sources.plan['advice']):,}")
