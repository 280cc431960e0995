"""Open the templates of pages and pictures, with autoescape on and missing values as errors."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from importlib.resources import files
from string import Template

from jinja2 import Environment, PackageLoader, StrictUndefined

from rightsize.model.plan import PROPOSAL_KINDS


def open_templates(*, tight: bool = False) -> Environment:
    """Return the template environment, with filters `number` and `words`; `tight` trims the lines of template tags."""
    found = Environment(
        loader=PackageLoader("rightsize.render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=tight,
        lstrip_blocks=tight,
        keep_trailing_newline=True,
    )
    found.filters["number"] = lambda value: f"{value:,.0f}"
    found.filters["words"] = lambda text: str(text).replace("_", " ")
    return found


def report_part(name: str) -> str:
    """Return the text of a style or script of the report."""
    return (files("rightsize.render") / "templates" / "report" / name).read_text(encoding="utf-8")


def report_style() -> str:
    """Return the style of the report; what keeps an assignment and what removes one have colours of their own."""
    kinds = PROPOSAL_KINDS.values()
    return Template(report_part("report.css")).substitute(
        keeps=select_classes("chip", (kind for kind in kinds if kind.keeps)),
        removes=select_classes("chip", (kind for kind in kinds if kind.removes)),
    )


def select_classes(first: str, others: Iterable[str]) -> str:
    """Return the CSS selector of elements that have a class and one of others."""
    return ", ".join(f".{first}.{other}" for other in others)


def policy_source(text: str) -> str:
    """Return the source expression with which a Content-Security-Policy allows a style or script."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
