"""Open the templates of pages and pictures, with autoescape on and missing values as errors."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined


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


def policy_source(text: str) -> str:
    """Return the source expression with which a Content-Security-Policy allows a style or script."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
