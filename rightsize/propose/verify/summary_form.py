"""Check the form of a role's summary in a plan folder, which somebody may have edited, before a page shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_HOLDER = ("principal_id", "of", "role", "scope", "state")
_COUNTS = ("more_holders", "assignments", "breaks", "breaks_bound", "actions", "used", "events", "blind")
_BY_SERVICE = ("today", "stays", "here", "used")


def is_summary(found: object) -> bool:
    """Return whether a value is a summary that can be shown; older plans have none."""
    if found is None:
        return True
    if not isinstance(found, dict):
        return False
    holders = found.get("holders")
    others = found.get("other_services")
    return (
        _are(found, _COUNTS)
        and isinstance(found.get("job") or "", str)
        and isinstance(found.get("job_name") or "", str)
        and _is_texts(found.get("others", []))
        and _are({"more_others": 0, **found}, ("more_others",))
        and _rows(found.get("only_here", []), ("principal_id", "for_example"), ("operations",))
        and _rows(holders, _HOLDER, ())
        and isinstance(holders, list)
        and all(_is_texts(one.get("scopes")) for one in holders)
        and _rows(found.get("most_used"), ("action",), ("events", "days"))
        and _rows(found.get("kept_unseen"), ("why", "meaning", "for_example"), ("actions",))
        and _rows(found.get("removed"), ("why", "meaning"), ("least", "most"))
        and _rows(found.get("services"), ("service",), _BY_SERVICE)
        and isinstance(others, dict)
        and _are(others, ("services", *_BY_SERVICE))
    )


def _rows(found: object, texts: Sequence[str], numbers: Sequence[str]) -> bool:
    return isinstance(found, list) and all(
        isinstance(row, dict) and all(isinstance(row.get(name), str) for name in texts) and _are(row, numbers)
        for row in found
    )


def _are(found: Mapping[str, object], names: Sequence[str]) -> bool:
    return all(isinstance(found.get(name), (int, float)) and not isinstance(found.get(name), bool) for name in names)


def _is_texts(found: object) -> bool:
    return isinstance(found, list) and all(isinstance(one, str) for one in found)
