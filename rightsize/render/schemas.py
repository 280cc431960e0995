"""The JSON Schemas of files that people write or programs read, as text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rightsize.model.plan_file import plan_schema_text

DESCRIBED: Mapping[str, str] = {
    "plan": "plan.json, which `rightsize propose` writes",
    "review": "a line of review.jsonl, which `rightsize review` writes",
    "exemptions": "the file of `rightsize check --exemptions`, in TOML, JSON or CSV",
    "exclusions": "the file of `rightsize propose --exclude-from`, in TOML, JSON or CSV",
    "prices": "a row of the CSV file of `rightsize status logs --prices`",
}
"""What each schema describes."""


def schema_text(name: str) -> str:
    """Return the JSON Schema of that name, which is one of `DESCRIBED`."""
    if name == "plan":
        return plan_schema_text()
    return Path(__file__).with_name(f"{name}.schema.json").read_text(encoding="utf-8")
