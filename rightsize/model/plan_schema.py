"""The JSON Schema of `plan.json`: what is published, and what every plan that is read is held against."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from rightsize.model.json_schemas import SchemaChecks
from rightsize.model.proposal_kinds import PROPOSAL_KINDS

_KINDS = '"the words of the proposal kinds"'
"""Stands in the file of the schema for the words themselves, one a line."""
_ALWAYS = ("generated_from", "proposals", "roles", "advice", "replay", "curve")
"""What plans of version 1 have."""
_ROWS = ("used_before", "break_probability")
"""Evidence of a proposal that has rows in version 1."""


def plan_schema_text() -> str:
    """Return the JSON Schema of `plan.json` as text."""
    text = Path(__file__).with_name("plan.schema.json").read_text(encoding="utf-8")
    return text.replace(_KINDS, ",\n      ".join(f'"{kind}"' for kind in PROPOSAL_KINDS))


@cache
def plan_checks() -> SchemaChecks:
    """Return the checks of a plan of today's version."""
    return SchemaChecks(json.loads(plan_schema_text()))


@cache
def old_plan_checks(*, has_rows: bool) -> SchemaChecks:
    """Return the checks of a plan of version 1, which lacks what came later.

    Args:
        has_rows: Whether its proposals have the rows of evidence.
    """
    schema: dict[str, Any] = json.loads(plan_schema_text())
    properties, evidence = schema["properties"], schema["$defs"]["proposal_evidence"]["properties"]
    schema["required"] = list(_ALWAYS)
    properties["format_version"] = {"type": "integer"}
    properties["generated_from"]["properties"]["options"]["required"] = ["forget_days"]
    evidence["break_probability"]["required"] = []
    for name in _ROWS if has_rows else ():
        del evidence[name]
    return SchemaChecks(schema)
