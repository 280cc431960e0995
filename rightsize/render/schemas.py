"""The JSON Schemas of files that people write or programs read, as text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rightsize.model.proposal_kinds import PROPOSAL_KINDS

_KINDS = '"the words of the proposal kinds"'
"""Stands in the file of the schema of plans for the words themselves, one a line."""
DESCRIBED: Mapping[str, str] = {
    "plan": "plan.json, which `rightsize propose` writes",
    "review": "a line of review.jsonl, which `rightsize review` writes",
    "exemptions": "the file of `rightsize check --exemptions`, in TOML, JSON or CSV",
    "exclusions": "the file of `rightsize propose --exclude-from`, in TOML, JSON or CSV",
    "prices": "a row of the CSV file of `rightsize logs --prices`",
}
"""What each schema describes."""


def schema_text(name: str) -> str:
    """Return the JSON Schema of that name, which is one of `DESCRIBED`."""
    text = Path(__file__).with_name(f"{name}.schema.json").read_text(encoding="utf-8")
    return text.replace(_KINDS, ",\n      ".join(f'"{kind}"' for kind in PROPOSAL_KINDS))
