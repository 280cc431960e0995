"""Write the report page: static tables and pictures for everybody, and data with a script to explore them.

The page needs no network: its Content-Security-Policy allows only the one style and the one script whose hashes it
names. The script makes elements and text nodes, and never reads text as markup.
"""

from __future__ import annotations

import re
from typing import Any

from rightsize.model.nouns import LAYERS
from rightsize.model.plan import PROPOSAL_KINDS
from rightsize.model.plan_totals import total_excess_of
from rightsize.render.curve import HEIGHT, WIDTH, draw_curve, short_number
from rightsize.render.escape import for_terminal
from rightsize.render.next_steps import left_out_line
from rightsize.render.report.beyond import activation_rows, blast_rows, plane_tables, reach_rows
from rightsize.render.report.by_design import by_design_part
from rightsize.render.report.calendar import draw_calendar
from rightsize.render.report.embed import Embedding, to_json
from rightsize.render.report.figures import Figures, bar
from rightsize.render.report.first import first_waves
from rightsize.render.report.jobs import job_rows
from rightsize.render.report.parts import describe_parts
from rightsize.render.report.sources import Sources
from rightsize.render.report.unknown import unknown_card
from rightsize.render.role_summary import SERVICE_COLUMNS
from rightsize.render.separation import separation_lines
from rightsize.render.templating import open_templates, policy_source, report_part, report_style
from rightsize.rules.measured import describe_unlogged

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
    design = by_design_part(figures)
    calendar = draw_calendar(sources.coverage, sources.window)
    return {
        "title": sources.title,
        "parts": describe_parts(figures, calendar, design),
        "window": sources.window,
        "stale": sources.stale,
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
        "total_bar": bar(totals),
        "waves": first_waves(figures),
        "not_worth": left_out_line(sources.steps),
        "exposure": figures.exposure(),
        "by_design": design,
        "unknown": unknown_card(figures),
        "replay": sources.plan.get("replay", {}),
        "reasons": figures.reasons(),
        "mattering": figures.mattering(),
        "kinds": figures.kinds(),
        "changes": figures.changes(),
        "change_count": changes,
        "beyond": figures.beyond(),
        "plane_tables": plane_tables(figures),
        "activation_rows": activation_rows(figures),
        "activation_count": len(sources.activations),
        "reach_rows": reach_rows(figures),
        "reach_count": len(sources.reach),
        "blast_rows": blast_rows(figures),
        "kept": figures.kept(),
        "kept_count": len(proposals) - changes - sum(map(bool, map(figures.by_design_word, proposals))),
        "principals": figures.principals(),
        "assignments": figures.assignments(),
        "role_rows": figures.role_rows(),
        "scope_rows": figures.scope_rows(),
        "curve": draw_curve(
            sources.plan.get("curve", ()), len(sources.evidence), total_excess_of(figures.proposals).live
        ),
        "curve_size": (WIDTH, HEIGHT),
        "job_rows": job_rows(figures),
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
