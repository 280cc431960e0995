"""Read which permissions of which API an operation of the unified audit log of Microsoft 365 may need."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache

from rightsize.rbac.text import fold
from rightsize.rules.tables import rows_of


@dataclass(frozen=True, slots=True)
class AuditedNeed:
    """One API through which an operation may have come, and the permissions of it of which one allows the operation."""

    api_app_id: str
    permissions: tuple[str, ...]


@cache
def audited_needs(operation: str) -> tuple[AuditedNeed, ...]:
    """Return the needs of an operation such as `Exchange/Send?api=GUID`, one an API; empty if no rule knows it.

    Where the record names the API, the others are left out. The first row that knows an operation and API counts.
    """
    path, _, query = fold(operation).partition("?")
    workload, _, name = path.partition("/")
    named = query.removeprefix("api=")
    found: dict[str, AuditedNeed] = {}
    for row in rows_of("m365_operations"):
        api = row["api_app_id"]
        is_known = workload in row["workloads"].split("|") and any(
            fnmatchcase(name, pattern) for pattern in row["operations"].split("|")
        )
        if is_known and named in ("", api) and api not in found:
            found[api] = AuditedNeed(api, tuple(row["permissions"].split("|")))
    return tuple(found.values())


@cache
def audited_workloads() -> tuple[str, ...]:
    """Return the folded workloads whose operations the rules know, sorted."""
    return tuple(sorted({name for row in rows_of("m365_operations") for name in row["workloads"].split("|")}))


@cache
def audited_apis() -> frozenset[str]:
    """Return the application ids of the APIs of which the log shows some use."""
    return frozenset(row["api_app_id"] for row in rows_of("m365_operations"))
