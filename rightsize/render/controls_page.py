"""Write the page of all controls from what describes them."""

from __future__ import annotations

from collections.abc import Iterable

from rightsize.analyze.controls import SEVERITIES
from rightsize.store.controls import Control

_HEAD = """# Controls

Written from the headers of `queries/controls/` and from `rules/held_operations.csv`; do not edit. [Gates](gates.md)
explains gates, exemptions and baselines.

| severity | control | question | rests on | checks |
|---|---|---|---|---|
"""
_CHECKS = """
## What is checked

| framework | id | title |
|---|---|---|
"""


def write_controls_page(controls: Iterable[Control]) -> str:
    """Return the page: a table, then each control with its description and parameters, the worst first."""
    ordered = sorted(controls, key=lambda one: (-SEVERITIES.index(one.severity), one.name))
    rows = [
        f"| {one.severity} | [`{one.name}`](#{one.name}) | {one.question.title} | {', '.join(one.needs)} | "
        f"{', '.join(f'{tag.framework} {tag.id}' for tag in one.tags)} |\n"
        for one in ordered
    ]
    tags = sorted({(tag.source.partition(":")[0], tag.id, tag.title) for one in ordered for tag in one.tags})
    checks = [f"| {source} | {id_} | {title.replace('|', chr(92) + '|')} |\n" for source, id_, title in tags]
    return _HEAD + "".join(rows) + "".join(_section(one) for one in ordered) + _CHECKS + "".join(checks)


def _section(control: Control) -> str:
    lines = [f"\n## {control.name}\n\n{control.question.description}\n"]
    lines += ["\n"] if control.question.parameters else []
    lines += [f"- `{one.name}` (default {one.default}): {one.meaning}\n" for one in control.question.parameters]
    return "".join(lines)
