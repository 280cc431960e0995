"""Write the queries that reduce a log where it is: one for each table, which stay within what a Basic table allows.

A query reads one table, has no functions of its own and no range of time; that is chosen beside it. The texts are the
templates of `queries/kql/` with the rules of `rules/`.
Source: Microsoft Learn, "Query data in a Basic and Auxiliary table", limitations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from rightsize.model.errors import InternalError
from rightsize.rbac.text import fold
from rightsize.rules.log_source import Counted
from rightsize.rules.log_sources import LOG_SOURCES
from rightsize.rules.tables import rows_of
from rightsize.store.queries import queries_folder

_SIGN_INS = {
    "SigninLogs": ('iff(IsInteractive == false, "non_interactive", "interactive")', "User"),
    "AADNonInteractiveUserSignInLogs": ('"non_interactive"', "User"),
    "AADServicePrincipalSignInLogs": ('"service_principal"', "ServicePrincipal"),
    "AADManagedIdentitySignInLogs": ('"managed_identity"', "ServicePrincipal"),
}
COUNTED: Mapping[str, Counted] = {
    table: log.counted for log in LOG_SOURCES if log.counted is not None for table in log.collected
}
"""The tables whose equal rows are counted, and how."""

REDUCED_TABLES = ("AzureActivity", *_SIGN_INS, *COUNTED)
"""The tables that are reduced where they are."""



@cache
def reduction_text(table: str) -> str:
    """Return the query that reduces a table.

    Raises:
        InternalError: The table is not reduced where it is.
    """
    if table not in REDUCED_TABLES:
        raise InternalError(f"there is no reduction of `{table}`")
    if table in _SIGN_INS:
        kind, who = _SIGN_INS[table]
        return _written("sign_ins", table=table, kind=kind, who=who, is_app=who != "User")
    if table in COUNTED:
        counted = COUNTED[table]
        return _written("counted", table=table, counted=counted, who=[counted.columns[name] for name in counted.who])
    return _written(
        "activity",
        statuses=_spellings((row["spelling"], row["meaning"]) for row in rows_of("log_statuses") if row["field"] == "status"),
        http_names=_spellings((row["spelling"], row["meaning"]) for row in rows_of("log_statuses") if row["field"] == "http"),
        error_codes=_spellings((row["code"], row["meaning"]) for row in rows_of("log_error_codes")),
    )


def principal_of(table: str) -> str:
    """Return KQL for the text that names the principal of a row of an answer."""
    counted = COUNTED.get(table)
    return f"strcat({', '.join(counted.who if counted else ('principal_id', 'principal_name', 'app_id'))})"


def _spellings(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the folded spellings of each meaning."""
    found: dict[str, set[str]] = {}
    for spelling, meaning in pairs:
        found.setdefault(meaning, set()).add(fold(spelling))
    return {meaning: sorted(found[meaning]) for meaning in sorted(found)}


def _written(template: str, **values: Any) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415  only queries of tables need it

    # KQL has braces of its own, and nothing in it is for a browser.
    environment = Environment(  # noqa: S701
        loader=FileSystemLoader(queries_folder()),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
    )
    return environment.get_template(f"kql/{template}.kql").render(**values)
