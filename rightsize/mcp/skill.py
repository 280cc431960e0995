"""Read the page that tells an agent how to use the tools."""

from __future__ import annotations

from importlib.resources import files

SKILL_URI = "rightsize://skill"


def read_skill() -> str:
    """Return the skill: Markdown with `name` and `description` before it, as agents load skills."""
    return (files("rightsize.mcp") / "SKILL.md").read_text(encoding="utf-8")
