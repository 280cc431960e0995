"""Find the values that complete the beginning of a word: names in the store, saved questions and controls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from rightsize.store import controls, queries
from rightsize.store.connection import open_store

Kind: TypeAlias = Literal[
    "principal", "agent", "scope", "role", "operation", "excluded", "proposal", "question", "control"
]
"""The kind of name that completes a word."""
MOST = 200
"""The most values for one word; of more, the first ones and the last."""
SECONDS = 1.0
"""The time that the store has to answer."""

_NAMED = """
    SELECT user_principal_name AS value, display_name AS help FROM principals
    UNION ALL SELECT display_name, coalesce(user_principal_name, principal_type) FROM principals
"""
_IDS = """
    UNION ALL SELECT principal_id, display_name FROM principals WHERE $beginning <> ''
    UNION ALL SELECT app_id, display_name FROM principals WHERE $beginning <> '' AND app_id IS NOT NULL
"""
_AGENTS = """
    SELECT display_name AS value, principal_id AS help FROM principals
    WHERE contains(lower(coalesce(object_type, '')), 'agent') OR blueprint_app_id IS NOT NULL
"""
_SCOPES = """
    SELECT scope AS value, coalesce(display_name, resource_type, kind) AS help FROM scopes
    WHERE starts_with($beginning, '/') AND kind <> 'tenant_resource'
    UNION ALL
    SELECT any_value(value), any_value(scope) FROM (
        SELECT coalesce(nullif(display_name, ''), resource_group) AS value, scope FROM scopes
        WHERE kind IN ('management_group', 'subscription', 'resource_group') AND NOT starts_with($beginning, '/')
    ) GROUP BY lower(value) HAVING count(*) = 1
"""
_ROLES = "SELECT role_name AS value, role_type AS help FROM role_definitions"
_OPERATIONS = "SELECT operation AS value, display_name AS help FROM operations"
_PROPOSALS = "SELECT proposal_id AS value, replace(kind, '_', ' ') AS help FROM proposals"
_SQL: Mapping[Kind, str] = {
    "principal": _NAMED + _IDS,
    "agent": _AGENTS,
    "scope": _SCOPES,
    "role": _ROLES,
    "operation": _OPERATIONS,
    "excluded": f"{_NAMED} UNION ALL {_ROLES} UNION ALL {_SCOPES}",
    "proposal": _PROPOSALS,
}
_LISTED: Mapping[Kind, Callable[[], tuple[str, ...]]] = {
    "question": queries.question_names,
    "control": controls.control_names,
}


def values_beginning(db: Path, kind: Kind, beginning: str) -> list[tuple[str, str]]:
    """Return values of a kind that begin with a text, each with a description, sorted.

    Those in the same case go first; where there are none, the case does not matter. The store is only read, and has
    `SECONDS` to answer. Values that a shell could not show in one line are left out.

    Raises:
        InputError: There is no store, or another process writes it.
    """
    listed = _LISTED.get(kind)
    found = _in_store(db, _SQL[kind], beginning) if listed is None else [(name, "") for name in listed()]
    shown = [(value, _one_line(help_)) for value, help_ in found if value.isprintable() and not value.startswith("-")]
    same = [one for one in shown if one[0].startswith(beginning)]
    if same:
        return same
    folded = [one for one in shown if one[0].lower().startswith(beginning.lower())]
    # A shell replaces the word by what all values begin with, which must not be less than what was typed.
    return folded if len({value[: len(beginning)] for value, _ in folded}) == 1 else []


def _in_store(db: Path, values: str, beginning: str) -> list[tuple[str, str]]:
    statement = f"""
        WITH found AS (
            SELECT value, coalesce(min(help), '') AS help FROM ({values})
            WHERE starts_with(lower(value), lower($beginning)) AND value <> '' GROUP BY value
        ), ordered AS (
            SELECT value, help, row_number() OVER (ORDER BY value) AS place, count(*) OVER () AS total FROM found
        )
        SELECT value, help FROM ordered WHERE place < {MOST} OR place = total ORDER BY value
    """
    with open_store(db, read_only=True) as store:
        watch = threading.Timer(SECONDS, store.connection.interrupt)
        watch.daemon = True
        watch.start()
        try:
            return [(row["value"], row["help"]) for row in store.rows(statement, {"beginning": beginning})]
        finally:
            watch.cancel()


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)[:60]
