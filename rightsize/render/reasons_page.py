"""Write the page of all reasons of verdicts from their words and sentences."""

from __future__ import annotations

from rightsize.analyze.reasons import (
    Attribution,
    OutOfCoverage,
    Unexplained,
    UnobservableReason,
    Unused,
    Verdict,
    sentence,
)

_HEAD = """# Reasons of verdicts

Written from the program; do not edit. [Verdicts](verdicts.md) has the rules. Rows of `verdicts` with
`role_definition_missing`, `no_catalogue` and `not_in_catalogue` have no number of operations, since it is not known.
"""
_KINDS = {
    Verdict.USED: Attribution,
    Verdict.UNUSED: Unused,
    Verdict.UNOBSERVABLE: UnobservableReason,
    Verdict.OUT_OF_COVERAGE: OutOfCoverage,
    Verdict.UNEXPLAINED: Unexplained,
}


def write_reasons_page() -> str:
    """Return the page as Markdown: one table a verdict, one row a reason."""
    lines = [_HEAD]
    for verdict, kind in _KINDS.items():
        lines += [f"## {verdict.value}", "", "| reason | meaning |", "| --- | --- |"]
        lines += [f"| `{reason.value}` | {sentence(reason)} |" for reason in kind]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"
