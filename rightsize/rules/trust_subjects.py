"""Say in plain words which outside workload a federated credential trusts, and how wide that is.

The rows of `trust_subjects.csv` are tried in order; each has a pattern of the issuer and of the subject, and a source.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from rightsize.rbac.claim_expressions import parse_expression, subject_of
from rightsize.rules.tables import rows_of

EXACT = "exact"
"""The breadth of a subject that is one workload."""

_HIDDEN = "a flexible expression that the export does not show"


@dataclass(frozen=True, slots=True)
class TrustedSubject:
    """What a credential trusts.

    Attributes:
        platform: The service that issues the tokens, as `GitHub Actions`; `other` where it is not known.
        means: What the subject is, in plain words.
        breadth: `exact`, or what the subject takes in: `pull_request`, `branches`, `repository`, `organisation` and
            others; `unknown` where the rules do not say.
        risk: low, medium or high.
        why: Why it is a risk; empty where it is none.
    """

    platform: str
    means: str
    breadth: str
    risk: str
    why: str


@cache
def recognise_subject(issuer: str, subject: str | None, *, is_expression: bool) -> TrustedSubject:
    """Return what an issuer and a subject are; for an expression the pattern of its subject counts.

    Args:
        issuer: The issuer.
        subject: The subject or the whole expression; None where the export does not show it.
        is_expression: Whether it is an expression.
    """
    if subject is None:
        return TrustedSubject(_platform_of(issuer), _HIDDEN, "unknown", "medium", "nobody can review what is not shown")
    text, is_wide = subject, False
    if is_expression:
        comparisons = parse_expression(subject)
        compared = subject_of(comparisons) if comparisons else None
        if comparisons and compared is None:
            said = " and ".join(f"{one.claim} {one.text}" for one in comparisons)
            return TrustedSubject(
                _platform_of(issuer), f"any run with {said}", "unknown", "medium", "the subject is not compared"
            )
        text = compared.text if compared else subject
        is_wide = compared is None or not compared.is_exact
    for row in rows_of("trust_subjects"):
        if (row["form"] == "expression") != is_wide or not re.fullmatch(row["issuer"], issuer.rstrip("/")):
            continue
        found = re.fullmatch(row["subject"], text, re.DOTALL)
        if found:
            # The values are not read as placeholders again.
            parts = re.split(r"\{(\w+)\}", row["means"])
            means = "".join((found[part] or "") if place % 2 else part for place, part in enumerate(parts))
            return TrustedSubject(row["platform"], means, row["breadth"], row["risk"], row["why"])
    return TrustedSubject("other", "a subject that no rule knows", "unknown", "medium", "no rule knows it")


def _platform_of(issuer: str) -> str:
    """Return the platform whose rows name the issuer's host, else `other`."""
    named = (row for row in rows_of("trust_subjects") if re.match("https://[a-z]", row["issuer"]))
    return next((row["platform"] for row in named if re.fullmatch(row["issuer"], issuer.rstrip("/"))), "other")
