"""Recognise built-in roles that Azure made for a resource provider or another service of its own.

Such a role fits the need of a person by chance, grants what nobody asked for, and changes with its service. It is known
by its description, and where that says nothing by its name, so that roles which Azure adds later are known as well.
"""

from __future__ import annotations

import re
from functools import cache

from rightsize.rbac.text import fold
from rightsize.rules.tables import rows_of


@cache
def is_for_service(role_name: str, description: str) -> bool:
    """Return whether a built-in role is for a service of Azure: what the first matching rule says, else False."""
    texts = {"name": fold(role_name), "description": fold(description)}
    return next((is_for for part, pattern, is_for in _rules() if pattern.search(texts[part])), False)


@cache
def _rules() -> tuple[tuple[str, re.Pattern[str], bool], ...]:
    return tuple(
        (row["part"], re.compile(row["pattern"]), row["is_for_service"] == "true") for row in rows_of("service_roles")
    )
