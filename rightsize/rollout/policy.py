"""Find out from a role's PIM rules whether they would refuse a request, before it is sent.

Source: Microsoft Learn, "Rules in PIM - mapping guide": the rules for an administrator's requests.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from typing import Any

from rightsize.rbac.text import fold
from rightsize.rollout.bundle import Held

_DURATION = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", re.IGNORECASE)
_SECONDS = (365 * 86_400, 30 * 86_400, 86_400, 3_600, 60, 1)


def refusal_of(rules: Iterable[Mapping[str, Any]], held: Held, now: dt.datetime, *, has_mfa: bool) -> str | None:
    """Return why a request for an assignment would be refused, or None.

    Args:
        rules: The rules of the role at its scope.
        held: The assignment, eligible or with an end.
        now: The time of the request.
        has_mfa: Whether the caller signed in with a second factor.
    """
    by_id: dict[str, Mapping[str, Any]] = {fold(str(rule.get("id"))): rule for rule in rules}
    kind = "assignment" if held.state == "active" else "eligibility"
    expiry = by_id.get(f"expiration_admin_{kind}", {})
    lasts = _lasts(held, now)
    if expiry.get("isExpirationRequired"):
        most = _seconds(str(expiry.get("maximumDuration") or ""))
        if lasts is None:
            return "the PIM rules require an end, and it has none"
        if most is not None and lasts > most:
            return f"the PIM rules allow {expiry['maximumDuration']}, and it would last longer"
    wanted = {fold(str(one)) for one in by_id.get(f"enablement_admin_{kind}", {}).get("enabledRules") or ()}
    if "multifactorauthentication" in wanted and not has_mfa:
        return "the PIM rules require multifactor authentication to assign it"
    if "ticketing" in wanted:
        return "the PIM rules require a ticket to assign it"
    return None


def _lasts(held: Held, now: dt.datetime) -> float | None:
    if held.until is not None:
        return (dt.datetime.fromisoformat(held.until) - now).total_seconds()
    return _seconds(held.lasts) if held.lasts else None


def _seconds(duration: str) -> float | None:
    found = _DURATION.fullmatch(duration)
    if found is None:
        return None
    return float(sum(int(number or 0) * each for number, each in zip(found.groups(), _SECONDS, strict=True)))
