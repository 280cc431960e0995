"""Define the form of `plan.json`: its JSON Schema, the defaults that it leaves out, and its tables of evidence.

Every plan that is read is held against the schema, which is published. A proposal leaves out what goes without saying,
and readers fill it in again; the schema has the same defaults. What many proposals would repeat, the plan says once.
The tables stand beside it; they have today's grants, use, what did not exist, and chances (`analyze.plan_grants` reads
them back).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from rightsize.model.json_schemas import JSON_TYPES, SchemaChecks
from rightsize.model.options import PlanChoices, WindowOptions, declared
from rightsize.model.plan import PLANES_BEYOND, PROPOSAL_KINDS
from rightsize.model.tables import EVIDENCE_TABLES, Table

_KINDS = '"the words of the proposal kinds"'
"""Stands in the file of the schema for the words themselves, one a line."""
_OPTIONS = '"the options of model.options": {}'
"""Stands there for the options, one a line."""
_ALWAYS = ("generated_from", "proposals", "roles", "advice", "replay", "curve")
"""What plans of version 1 have."""
_ROWS = ("used_before", "break_probability")
"""Evidence of a proposal that has rows in version 1."""


def plan_schema_text() -> str:
    """Return the JSON Schema of `plan.json` as text."""
    text = Path(__file__).with_name("plan.schema.json").read_text(encoding="utf-8")
    options = (f'"{name}": {json.dumps(words)}' for name, words in _options_schema().items())
    return text.replace(_KINDS, ",\n      ".join(f'"{kind}"' for kind in PROPOSAL_KINDS)).replace(
        _OPTIONS, ",\n      ".join(options)
    )


def _options_schema() -> dict[str, dict[str, Any]]:
    """Return the schema of each option of a plan; a plan states the window that it has, whatever was asked."""
    hints, found = get_type_hints(PlanChoices), {}
    for name, option in declared(PlanChoices).items():
        parts = get_args(hints[name]) or (hints[name],)
        limits = {"minimum": option.least, "maximum": option.most}
        if name == "as_of":
            continue
        if get_origin(hints[name]) is tuple:
            words: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
        elif issubclass(parts[0], StrEnum):
            words = {"enum": [str(one) for one in parts[0]]}
        else:
            types = [JSON_TYPES[one] for one in parts if one is not NoneType or name not in declared(WindowOptions)]
            words = {"type": types if len(types) > 1 else types[0]}
        found[name] = words | {word: limit for word, limit in limits.items() if limit is not None}
    return found


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


WINDOW, BEFORE, DECLARED = "window", "before", "declared"
"""The values of `period`: use in the window, earlier use that still counts, and what code declares."""

KEPT_UNSEEN, REMOVED = "kept_unseen", "removed"
"""The values of `fate`: what stays though no log shows a use of it, and what goes."""

GRANTS, COUNTS, OPERATIONS, ABSENT, ABSENCE_PROOFS, CHANCES, READINGS = EVIDENCE_TABLES
"""The tables beside a plan. Of `OPERATIONS`, directory roles have one row for each principal and scope of an action."""
PAGE_TABLES = (OPERATIONS, ABSENT, ABSENCE_PROOFS)
"""The tables that only pages show: no proposal and no proof needs them."""


def file_of(table: Table) -> str:
    """Return the name of the file of a table in the plan folder."""
    return f"evidence/{table.name}.parquet"


_NUMBERS = ("break_probability_30d", "excess_before", "excess_after", "risk_before", "risk_after")
_STATE = "active"
_NAMED = 3
"""The largest number of things that would tell that a reason names."""
_DETAILS = re.compile(r": |; ")
"""Where the details begin in the reason of an assignment that stays."""
_USUAL = re.compile(r"( operations at [\d,]+ scopes?|, and the logs would have shown it)$")
"""The usual ends of the reason of a change, which the rest of its line implies."""
IN_TABLES = frozenset({one.name for one in GRANTS.columns} | {"latent", KEPT_UNSEEN, REMOVED, "break_probability"})
"""The keys of the evidence of a proposal for Azure roles that stand in tables."""
_OF_GRANT = ("role", "scope")


@dataclass(frozen=True, slots=True)
class SaidOnce:
    """The facts that a plan states once for all its proposals.

    Attributes:
        grows: Why an assigned role may come to grant more, by role.
    """

    grows: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> SaidOnce:
        """Return what a document of `plan.json` says once; whatever is no text is left out."""
        return cls(_texts(document.get("grows")))

    def tomorrow(self, assignments: Sequence[Any]) -> list[dict[str, str]]:
        """Return the roles of assignments that may come to grant more."""
        roles = {str(one.get("role")) for one in assignments if isinstance(one, dict)}
        return [{"role": role, "because": self.grows[role]} for role in sorted(roles & self.grows.keys())]


def clause_of_tells(tells: Iterable[str]) -> str:
    """Return the end of a reason that says what would decide it; empty where nothing would."""
    named = list(dict.fromkeys(tells))[:_NAMED]
    return f". To decide: {', or '.join(named)}" if named else ""


def _texts(value: object) -> dict[str, str]:
    found = value if isinstance(value, dict) else {}
    return {name: text for name, text in found.items() if isinstance(text, str)}


def short_reason(kind: str, reason: str) -> str:
    """Return the beginning of a reason that stands in `plan.json`: `cannot narrow`, or `keeps 4 of 28`."""
    if PROPOSAL_KINDS[kind].keeps:
        return _DETAILS.split(reason, maxsplit=1)[0]
    return _USUAL.sub("", reason)


def shortened(proposal: Mapping[str, Any], once: SaidOnce) -> dict[str, Any]:
    """Return a whole proposal without what `filled` fills in and what tables of evidence have.

    What programs read of every proposal stays: its plane, assignments, proof and numbers. For a person, the beginning
    of the reason stays, and today's role and scope where access goes and nothing takes its place.
    """
    proof, evidence, reason = dict(proposal["proof"]), proposal["evidence"], proposal["reason"]
    if proof["tomorrow"] == once.tomorrow(proposal["assignments"]):
        del proof["tomorrow"]
    left_out: Collection[str] = ()
    if proposal["plane"] not in PLANES_BEYOND:
        reason = short_reason(proposal["kind"], reason)
        goes = not proposal["assignments"] and PROPOSAL_KINDS[proposal["kind"]].changes
        left_out = IN_TABLES - {"state", *(_OF_GRANT if goes else ())}
    said = {name: value for name, value in evidence.items() if name not in left_out}
    if said.get("state") == _STATE:
        del said["state"]
    return {
        **proposal,
        "reason": reason,
        "evidence": said,
        "proof": proof,
        **{name: _short(proposal[name]) for name in _NUMBERS},
    }


def filled(proposal: Mapping[str, Any], once: SaidOnce) -> dict[str, Any]:
    """Return a proposal of `plan.json` with its defaults; a value of the wrong type stays, for a check to find.

    What stands in tables of evidence is not filled in.
    """
    found = dict(proposal)
    for name in _NUMBERS:
        if type(found.get(name)) is int and abs(found[name]) < 2**53:
            found[name] = float(found[name])
    proof, assignments = found.get("proof"), found.get("assignments")
    if isinstance(proof, dict):
        tomorrow = once.tomorrow(assignments if isinstance(assignments, list) else ())
        found["proof"] = {"tomorrow": tomorrow, **proof}
    if isinstance(found.get("evidence"), dict):
        found["evidence"] = {"state": _STATE, **found["evidence"]}
    return found


def _short(number: float) -> float:
    """Return a whole number as such: `12` in place of `12.0`."""
    return int(number) if isinstance(number, float) and number.is_integer() and abs(number) < 2**53 else number
