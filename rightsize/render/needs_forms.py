"""Write what a deployment takes as a SARIF log of what would be refused, or as a comment on a pull request.

Names of files, resources and scopes come from the code of a pull request: each is escaped for where it stands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from rightsize.render.check_forms import MAX_RESULTS, sarif_log, sarif_text
from rightsize.render.escape import for_markdown, for_terminal

NEED_COLUMNS = ("operation", "scope", "resource", "rule", "only_if", "privilege", "file")
ANSWER_COLUMNS = (*NEED_COLUMNS, "allowed", "because", "denied_by", "unknown", "lacks")
_RULES = {
    "refused": (
        "The deployment would be refused",
        "error",
        "No role of the principal allows an operation that it takes.",
    ),
    "undecided": (
        "It is not known whether the deployment would be refused",
        "warning",
        "A listing is not complete, or an activation or a condition decides.",
    ),
}
_SHOWN = 100
_COMMENT = ("operation", "scope", "resource", "rule")


def write_sarif(missing: Sequence[Mapping[str, Any]], undecided: Sequence[Mapping[str, Any]]) -> str:
    """Return a SARIF log: an error for each operation that would be refused, a warning for each that may be.

    Args:
        missing: The rows of what would certainly be refused.
        undecided: The rows of which it is not known.
    """
    rules = [
        {
            "id": f"needs_{name}",
            "shortDescription": {"text": title},
            "fullDescription": {"text": text},
            "defaultConfiguration": {"level": level},
        }
        for name, (title, level, text) in _RULES.items()
    ]
    found = [*((0, row) for row in missing), *((1, row) for row in undecided)]
    results = [_result(number, row) for number, row in found[:MAX_RESULTS]]
    return sarif_log("needs", rules=rules, results=results, notes=[])


def _result(number: int, row: Mapping[str, Any]) -> dict[str, Any]:
    name = list(_RULES)[number]
    said = "is not allowed" if number == 0 else f"may be refused: {row['unknown'] or row['allowed']}"
    text = f"{row['operation']} {said} at {row['scope']}, and {row['resource']} takes it ({row['rule']})"
    key = hashlib.sha256(f"{row['operation']} {row['scope']} {row['resource']}".lower().encode()).hexdigest()
    path = "/".join(quote(part, safe="") for part in str(row["file"]).split("/") if part not in ("", ".", ".."))
    return {
        "ruleId": f"needs_{name}",
        "ruleIndex": number,
        "level": list(_RULES.values())[number][1],
        "message": {"text": sarif_text(text)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": path or "code"},
                    "region": {"startLine": 1, "startColumn": 1, "endColumn": 1},
                },
                "logicalLocations": [{"fullyQualifiedName": for_terminal(str(row["resource"])), "kind": "resource"}],
            }
        ],
        "partialFingerprints": {"rightsizeNeed/v1": key},
    }


def write_comment(
    principal: str | None,
    rows: Sequence[Mapping[str, Any]],
    missing: Sequence[Mapping[str, Any]],
    undecided: Sequence[Mapping[str, Any]],
    not_known: Sequence[str],
) -> str:
    """Return a comment on a pull request: what would be refused, or all that the deployment takes.

    Args:
        principal: Who deploys; None where nobody is asked about.
        rows: All that the deployment takes.
        missing: Those that would certainly be refused.
        undecided: Those of which it is not known.
        not_known: What the code does not say.
    """
    if principal is None:
        head, shown = f"### The deployment takes {len(rows):,} operations", list(rows)
    else:
        who = for_markdown(principal)
        head = f"### {who} may do all {len(rows):,} that the deployment takes"
        if missing:
            head = f"### {who} would be refused {len(missing):,} of {len(rows):,} that the deployment takes"
        elif undecided:
            head = f"### It is not known whether {who} may do {len(undecided):,} of {len(rows):,}"
        shown = [*missing, *undecided]
    lines = [head, ""]
    if shown:
        lines += [f"| {' | '.join(_COMMENT)} |", f"|{'---|' * len(_COMMENT)}"]
        lines += [f"| {' | '.join(for_markdown(str(row[name])) for name in _COMMENT)} |" for row in shown[:_SHOWN]]
    if len(shown) > _SHOWN:
        lines.append(f"\nand {len(shown) - _SHOWN:,} more")
    lines += ["", *(f"- {for_markdown(one)}" for one in not_known[:_SHOWN])]
    return "\n".join(lines).rstrip() + "\n"
