"""The kinds of pages: each page of the site stands in one section of `mkdocs.yml`, which is its kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from tests.docs.blocks import ROOT, blocks

SECTIONS = {
    "Tutorial": "tutorial",
    "How-to guides": "how-to",
    "Reference": "reference",
    "Explanation": "explanation",
}
"""The section of each kind, as `mkdocs.yml` names it."""
ELSEWHERE = frozenset(
    {"commands", "controls", "python-api", "reasons", "schema", "sources", "tried", "security", "kql", "loopback"}
)
"""Pages that a program writes, and those that people read outside of the site first."""
WITHOUT_COMMANDS = frozenset({"pipelines", "python", "releasing"})
"""Guides to be copied into a pipeline or a program."""
ON_THE_DEMO = (
    *("answers", "backtest", "data-planes", "directory-roles", "federated-trust", "glossary", "graph", "jobs"),
    *("layers", "proposals", "reach", "report", "signals", "verdicts"),
)
"""Pages of reference whose examples are of the demo's tenant; others show tenants and files of their own."""
NOT_RUN = ELSEWHERE | {"architecture", "scale"}
"""Pages whose commands are about the checkout or a store of their own."""
NIGHTLY = {*ON_THE_DEMO, "logs", "verify", "containment", "troubleshooting"} - {"answers"}
"""Pages whose commands take longest, and those of reference; each of these commands has tests of its own."""


def nav() -> list[dict[str, Any]]:
    """Return the navigation of the site."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    entries: list[dict[str, Any]] = document["nav"]
    return entries


def pages_below(entry: Any) -> Iterator[str]:
    """Yield the names of the pages of an entry, without their ending."""
    if isinstance(entry, str):
        yield entry.removesuffix(".md")
    else:
        for inner in entry.values() if isinstance(entry, dict) else entry:
            yield from pages_below(inner)


def kinds() -> dict[str, list[str]]:
    """Return the pages of each kind."""
    return {
        SECTIONS[title]: list(pages_below(content))
        for entry in nav()
        for title, content in entry.items()
        if title in SECTIONS
    }


def pages_to_run() -> list[str]:
    """Return the handwritten pages that show commands with what they do on the tutorial's tenant."""
    of = kinds()
    names = [name for kind in ("how-to", "explanation") for name in of[kind] if name not in NOT_RUN]
    shown = {name: blocks(ROOT / "docs" / f"{name}.md") for name in (*ON_THE_DEMO, *names)}
    return [f"docs/{name}.md" for name, found in shown.items() if any(block.is_run for block in found)]
