"""Write the report page: static tables and pictures for everybody, and data with a script to explore them.

The page needs no network: its Content-Security-Policy allows only the one style and the one script whose hashes it
names. The script makes elements and text nodes, and never reads text as markup.

Name the parts of the report that open on demand, each with a line that says what is in it.

Draw the coverage calendar: a square for each day of each log, with the counts of days.

Write the first steps of the wave of today as cards: each with what to do on Monday and its way back.

Order and sentences are those of `next`. A card adds what `reach` measured of the holder, today and under the plan.
"""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.analyze.window import Window
from rightsize.model.nouns import LAYERS
from rightsize.model.plan import PLANE_NAMES, PROPOSAL_KINDS
from rightsize.model.plan_totals import TODAY, NextStep, total_excess_of
from rightsize.model.progress import counted
from rightsize.model.text import fold
from rightsize.render.escape import for_terminal
from rightsize.render.next_steps import left_out_line, stays_for_emergency
from rightsize.render.pictures import CURVE_HEIGHT, CURVE_WIDTH, draw_curve, short_number
from rightsize.render.report import sections
from rightsize.render.report.embed import Embedding, to_json
from rightsize.render.report.figures import Figures, Sources, clean
from rightsize.render.role_summary import SERVICE_COLUMNS
from rightsize.render.sentences import as_sentences, excess_facts, separation_lines
from rightsize.render.templating import open_templates, policy_source, report_part, report_style
from rightsize.rules.prices import describe_unlogged

CARDS = 5
_REASON = 110


def danger_cards(figures: Figures) -> dict[str, Any]:
    """Return `cards`, the first five steps of today, the `whole` number, and the emergency access that `stays`.

    Without a plan there is none.
    """
    steps = figures.sources.steps.of_wave(TODAY)
    shown = [step for step in steps if not stays_for_emergency(step)]
    stays = {figures.principal_name(step.principal_id): None for step in steps if stays_for_emergency(step)}
    return {"cards": [_card(step, figures) for step in shown[:CARDS]], "whole": len(shown), "stays": list(stays)}


def _card(step: NextStep, figures: Figures) -> dict[str, Any]:
    reason = textwrap.shorten(step.reason.partition(" (")[0], _REASON, placeholder=" …")
    takes = _takes_text(step, figures)
    return sections.step_row(step, figures) | {
        "principal_id": step.principal_id if fold(step.principal_id) in figures.names else "",
        "takes": takes,
        "kept": clean(reason) if step.kind.keeps else "",
        "left": _left_text(step, figures) if takes else "",
    }


def _takes_text(step: NextStep, figures: Figures) -> str:
    """Return in how many steps the holder takes the tenant; of an eligible assignment, once it is activated."""
    state, once = ("eligible", ", once activated") if step.state == "eligible" else ("active", "")
    for row in figures.sources.reach:
        if row["takes_tenant"] and row["state"] == state and fold(row["subject"]) == fold(step.principal_id):
            return f"whole tenant in {counted(row['tenant_steps'], 'step')}{once}"
    return ""


def _left_text(step: NextStep, figures: Figures) -> str:
    """Return what the whole plan leaves of the way of the holder, where the page draws it.

    It draws what is active.
    """
    ways = (one["way"] for one in figures.sources.blasts if fold(one["subject"]) == fold(step.principal_id))
    way = next(ways, None)
    if not way or way["after"] is None or step.state == "eligible":
        return ""
    if not way["after"]:
        return "The plan leaves no way."
    return f"Under the whole plan, a way of {counted(len(way['after']), 'step')} is left."


STATES = ("observed", "declared_empty", "quiet", "missing")
"""States of a day, from full coverage to none."""
_CALENDAR_ROWS = 40
_CELL, _GAP, _HEIGHT = 7, 1, 14


@dataclass(frozen=True, slots=True)
class CalendarRow:
    """One log at one scope.

    Attributes:
        source: The log; `category` its category; `scope` its scope, or the number of scopes of a shared row.
        paths: For each state, the squares of its days as an SVG path.
        days: Number of days of each state.
        covered: Share of the days that the log covers, 0 to 1.
    """

    source: str
    category: str
    scope: str
    paths: tuple[tuple[str, str], ...]
    days: dict[str, int]
    covered: float


@dataclass(frozen=True, slots=True)
class Calendar:
    """The rows, the picture's size, and the labels of months: (x, text)."""

    rows: tuple[CalendarRow, ...]
    width: int
    height: int
    months: tuple[tuple[int, str], ...]
    is_folded: bool


def draw_calendar(coverage: pl.DataFrame, window: Window) -> Calendar:
    """Return the calendar of a window.

    Above 40 logs, those of one source and category share a row; a day in it has the worst state of its scopes.

    Args:
        coverage: `(source, category, scope, day, state)`.
        window: The days.
    """
    by_scope = _by_day(coverage, window)
    names = by_scope.select("source", "category", "scope").unique()
    is_folded = names.height > _CALENDAR_ROWS
    if is_folded:
        many = names.group_by("source", "category").agg(scopes=pl.len())
        by_scope = (
            by_scope.group_by("source", "category", "offset")
            .agg(pl.col("rank").max(), seen=pl.len())
            .join(many, on=["source", "category"])
            .with_columns(rank=pl.when(pl.col("seen") < pl.col("scopes")).then(len(STATES) - 1).otherwise("rank"))
            .select("source", "category", "offset", "rank", scope=pl.format("{} scopes", "scopes"))
        )
    rows = tuple(_calendar_rows(by_scope, window))
    return Calendar(
        rows=rows,
        width=window.days * (_CELL + _GAP),
        height=_HEIGHT,
        months=tuple(_months(window)),
        is_folded=is_folded,
    )


def _by_day(coverage: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Return `(source, category, scope, offset, rank)`: one row for each day in the table."""
    ranks = {state: rank for rank, state in enumerate(STATES)}
    return (
        coverage.filter(window.holds("day"))
        .with_columns(
            rank=pl.col("state").replace_strict(ranks, default=len(STATES) - 1, return_dtype=pl.Int64),
            offset=(pl.col("day") - window.first_day).dt.total_days(),
        )
        .group_by("source", "category", "scope", "offset")
        .agg(pl.col("rank").min())
    )


def _calendar_rows(by_day: pl.DataFrame, window: Window) -> Iterator[CalendarRow]:
    keys = ["source", "category", "scope"]
    for group in by_day.sort(*keys, "offset").partition_by(keys, maintain_order=True):
        rank_of = dict(group.select("offset", "rank").iter_rows())
        states = [STATES[rank_of.get(day, len(STATES) - 1)] for day in range(window.days)]
        days = {state: states.count(state) for state in STATES}
        found: dict[str, Any] = group.row(0, named=True)
        yield CalendarRow(
            source=found["source"],
            category=found["category"],
            scope=found["scope"],
            paths=tuple((state, _squares(states, state)) for state in STATES if days[state]),
            days=days,
            covered=1 - days["missing"] / window.days,
        )


def _squares(states: list[str], wanted: str) -> str:
    size = f"h{_CELL}v{_HEIGHT - 2}h-{_CELL}z"
    return "".join(f"M{day * (_CELL + _GAP)} 1{size}" for day, state in enumerate(states) if state == wanted)


def _months(window: Window) -> Iterator[tuple[int, str]]:
    for offset in range(window.days):
        day = window.start.date().fromordinal(window.first_day.toordinal() + offset)
        if day.day == 1 or (offset == 0 and day.day < 25):
            yield (
                offset * (_CELL + _GAP),
                day.strftime("%b %Y") if offset == 0 or day.month == 1 else day.strftime("%b"),
            )


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
        yield "by-design", Part("What stays by design", "By design", by_design["fact"])
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


_SCRIPTS = ("base.js", "pictures.js", "explorer.js", "layers.js", "detail.js", "parts.js", "search.js", "main.js")


def write_report(sources: Sources) -> str:
    """Return the report page as HTML."""
    style = report_style()
    script = "'use strict';\n(() => {\n" + "".join(report_part(name) for name in _SCRIPTS) + "})();\n"
    figures = Figures(sources)
    environment = open_templates(tight=True)
    environment.filters["short"] = short_number
    environment.filters["kind_of"] = lambda text: re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower()
    environment.filters["place"] = figures.place
    facts = _facts(sources, figures)
    data = to_json(Embedding(sources).document())
    policy = _policy(style, script)
    return environment.get_template("report.html.j2").render(
        facts, style=style, script=script, data=data, policy=policy
    )


def _facts(sources: Sources, figures: Figures) -> dict[str, Any]:
    proposals = figures.proposals
    changes = sum(1 for one in proposals if PROPOSAL_KINDS[one["kind"]].changes)
    totals = figures.totals()
    findings, advice = figures.findings(), figures.advice()
    design = sections.by_design_part(figures)
    excess = total_excess_of(proposals)
    calendar = draw_calendar(sources.coverage, sources.window)
    options = sources.plan.get("generated_from", {}).get("options", {})
    return {
        "title": sources.title,
        "parts": describe_parts(figures, calendar, design),
        "window": sources.window,
        "stale": sources.stale,
        "short": [clean(line) for line in as_sentences(sources.short)],
        "has_plan": sources.proposals is not None,
        "unlogged": describe_unlogged(),
        "new_roles": figures.new_roles(),
        "new_role_count": sum(1 for one in sources.evidence.values() if one.get("summary")),
        "service_columns": SERVICE_COLUMNS,
        "content_hash": sources.plan.get("generated_from", {}).get("content_hash", ""),
        "overview": sources.overview,
        "holders": sources.overview.assignments["principal_id"].n_unique(),
        "assignment_count": sources.overview.assignments.height,
        "totals": totals,
        "plane_bars": figures.plane_bars(),
        "danger": danger_cards(figures),
        "waves": sections.first_waves(figures),
        "not_worth": left_out_line(sources.steps),
        "exposure": figures.exposure(),
        "excess": excess_facts(excess),
        "by_design": design,
        "unknown": sections.unknown_card(figures),
        "replay": sources.plan.get("replay", {}),
        "reasons": figures.reasons(),
        "mattering": figures.mattering(),
        "kinds": figures.kinds(),
        "changes": figures.changes(),
        "change_count": changes,
        "beyond": figures.beyond(),
        "plane_tables": sections.plane_tables(figures),
        "activation_rows": sections.activation_rows(figures),
        "activation_count": len(sources.activations),
        "reach_rows": sections.reach_rows(figures),
        "reach_count": len(sources.reach),
        "blast_rows": sections.blast_rows(figures),
        "kept": figures.kept(),
        "kept_count": len(proposals) - changes - sum(map(bool, map(figures.by_design_word, proposals))),
        "principals": figures.principals(),
        "assignments": figures.assignments(),
        "role_rows": figures.role_rows(),
        "scope_rows": figures.scope_rows(),
        "curve": draw_curve(sources.plan.get("curve", ()), len(sources.evidence), excess.all_live),
        "curve_mark": "this plan, the default" if options.get("roles") == "auto" else "this plan",
        "curve_size": (CURVE_WIDTH, CURVE_HEIGHT),
        "job_rows": sections.job_rows(figures),
        "job_picture": sections.job_picture(figures),
        "job_count": sources.jobs["jobs"].height if sources.jobs else 0,
        "layers": LAYERS,
        "layer_rows": figures.layer_rows(),
        "matrix": figures.matrix(),
        "independence": figures.independence(),
        "separation": [for_terminal(line) for line in separation_lines(sources.plan.get("separation", {}))],
        "calendar": calendar,
        "findings": findings,
        "finding_count": sources.findings.height,
        "advice": advice,
    }


def _policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy that allows only this style and this script."""
    return (
        f"default-src 'none'; style-src {policy_source(style)}; script-src {policy_source(script)}; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
