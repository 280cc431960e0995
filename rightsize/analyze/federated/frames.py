"""Build the frames that every plane has (verdicts, counts, scores, findings) for federated credentials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from rightsize.analyze.federated.tables import CredentialVerdict
from rightsize.analyze.inputs import schema_of
from rightsize.analyze.planes import ASSIGNMENTS_SCHEMA, DENIED_SCHEMA, PRINCIPALS_SCHEMA
from rightsize.analyze.reasons import OutOfCoverage, Verdict, sentence_on
from rightsize.analyze.verdicts import VERDICTS_SCHEMA
from rightsize.analyze.window import Window
from rightsize.rules.trust_subjects import EXACT

WEIGHTS = {"low": 1.0, "medium": 4.0, "high": 16.0}
"""The weight of a credential by the risk of its subject, a convention as for the other planes."""

_FULL = 100.0
_WORDS = (Verdict.USED, Verdict.UNUSED, Verdict.UNOBSERVABLE, Verdict.OUT_OF_COVERAGE)


def verdict_rows(judged: Sequence[CredentialVerdict]) -> pl.DataFrame:
    """Return the rows of the table `verdicts`: one a credential; its operation is the subject or the expression."""
    rows: list[dict[str, Any]] = []
    for one in judged:
        seen = one.use or one.earlier
        rows.append(
            dict.fromkeys(VERDICTS_SCHEMA)
            | {
                "role_assignment_id": one.credential.grant,
                "state": "active",
                "principal_id": one.credential.principal_id or None,
                "plane": "trust",
                "scope": "/",
                "verdict": one.verdict.value,
                "reason": one.reason,
                "operation": one.credential.subject or one.trusts.means,
                "operations": 1,
                "covered_days": one.covered_days,
            }
            | (
                {"events": seen.sign_ins, "days": len(seen.days), "first_seen": seen.first_seen}
                | {"last_seen": seen.last_seen}
                if seen
                else {}
            )
        )
    return pl.DataFrame(rows, schema=VERDICTS_SCHEMA)


def _counts(judged: Sequence[CredentialVerdict]) -> dict[str, Any]:
    mass = sum(WEIGHTS[one.trusts.risk] for one in judged)
    excess = sum(WEIGHTS[one.trusts.risk] for one in judged if not is_in_use(one))
    counts = {word.value: sum(one.verdict is word for one in judged) for word in _WORDS}
    return counts | {
        "granted": len(judged),
        "creep": round(100 * (excess / mass) * min(1.0, excess / _FULL) ** 0.3, 1),
        "risk": round(100 * min(1.0, mass / _FULL) ** 0.3, 1),
    }


def is_in_use(one: CredentialVerdict) -> bool:
    """Return whether a credential was used in the window, or on another loaded day that counts."""
    return one.verdict is Verdict.USED or one.reason == OutOfCoverage.USED_BEFORE_WINDOW.value


def answer_rows(judged: Sequence[CredentialVerdict], window: Window) -> pl.DataFrame:
    """Return the rows of the table `credential_verdicts`."""
    rows = []
    for one in judged:
        seen, held = one.use or one.earlier, one.credential
        rows.append(
            {
                "grant_id": held.grant,
                "object_id": held.object_id,
                "name": held.name,
                "principal_id": held.principal_id or None,
                "platform": one.trusts.platform,
                "trusts": one.trusts.means,
                "breadth": one.trusts.breadth,
                "risk": one.trusts.risk,
                "why": one.trusts.why,
                "verdict": one.verdict.value,
                "reason": one.reason,
                "because": sentence_on(one.reason, one.covered_days, window.days),
                "sign_ins": seen.sign_ins if seen else 0,
                "days": len(seen.days) if seen else 0,
                "first_seen": seen.first_seen if seen else None,
                "last_seen": seen.last_seen if seen else None,
                "resources": list(seen.resources) if seen else [],
                "subjects": [subject.subject for subject in one.observed],
            }
        )
    return pl.DataFrame(rows, schema=schema_of("credential_verdicts"))


def principal_rows(judged: Sequence[CredentialVerdict]) -> pl.DataFrame:
    """Return counts and scores of each principal that outside subjects sign in as."""
    by_principal: dict[str, list[CredentialVerdict]] = {}
    for one in judged:
        if one.credential.principal_id:
            by_principal.setdefault(one.credential.principal_id, []).append(one)
    rows = [{"principal_id": who, "plane": "trust"} | _counts(held) for who, held in sorted(by_principal.items())]
    return pl.DataFrame(rows, schema=PRINCIPALS_SCHEMA)


def assignment_rows(judged: Sequence[CredentialVerdict]) -> pl.DataFrame:
    """Return one row per credential; its name is what it trusts."""
    rows = [
        dict.fromkeys(ASSIGNMENTS_SCHEMA)
        | {
            "role_assignment_id": one.credential.grant,
            "state": "active",
            "principal_id": one.credential.principal_id or None,
            "role_name": f"{one.trusts.platform}: {one.trusts.means}",
            "scope": "/",
            "plane": "trust",
        }
        | _counts([one])
        for one in judged
    ]
    return pl.DataFrame(rows, schema=ASSIGNMENTS_SCHEMA)


def denied_rows() -> pl.DataFrame:
    """Return no rows: a refused token names no credential."""
    return pl.DataFrame(schema=DENIED_SCHEMA)


def finding_rows(judged: Sequence[CredentialVerdict]) -> pl.DataFrame:
    """Return findings: credentials that nobody uses, and those that trust more than one workload."""
    rows = []
    for one in judged:
        said = {"subject": one.credential.grant, "principal_id": one.credential.principal_id or None}
        if one.verdict is Verdict.UNUSED:
            on = "any day of the window" if one.covered_days is None else f"any of {one.covered_days} covered days"
            text = f"trusts {one.trusts.means}, and the sign-in logs show no sign-in by it on {on}"
            rows.append(said | {"control": "federated_unused", "severity": "medium", "reason": text})
        if one.trusts.breadth != EXACT and one.trusts.risk != "low":
            text = f"trusts {one.trusts.means}: {one.trusts.why}"
            rows.append(said | {"control": "federated_wide", "severity": one.trusts.risk, "reason": text})
    return pl.DataFrame(rows, schema=schema_of("findings")).sort("control", "subject")
