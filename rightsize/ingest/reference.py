"""Create temporary tables of the rules that the queries of `queries/reduce/` join, the same on every engine."""

from __future__ import annotations

import duckdb

from rightsize.rbac.text import fold
from rightsize.rules.tables import rows_of


def create_reference_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Create the tables `log_…`, one for each rule file, and `log_storage_actions`."""
    statuses = {(row["field"], fold(row["spelling"]), row["meaning"]) for row in rows_of("log_statuses")}
    _create(con, "log_statuses (field VARCHAR, spelling VARCHAR, meaning VARCHAR)", sorted(statuses))
    codes = {(fold(row["code"]), row["meaning"]) for row in rows_of("log_error_codes")}
    _create(con, "log_error_codes (code VARCHAR, meaning VARCHAR)", sorted(codes))
    operations = [
        (row["service"], fold(row["operation"]), row["action"], row["plane"], row["level"])
        for row in rows_of("log_storage_operations")
    ]
    _create(
        con,
        "log_storage_operations (service VARCHAR, operation VARCHAR, action VARCHAR, plane VARCHAR, level VARCHAR)",
        sorted(operations),
    )
    actions: dict[str, tuple[str, str]] = {}
    for _, _, action, plane, level in operations:
        # If some request needs an action at a container, it is needed there, although others need it at the account.
        if actions.get(fold(action), ("", "account"))[1] == "account":
            actions[fold(action)] = (plane, level)
    _create(
        con,
        "log_storage_actions (action VARCHAR, plane VARCHAR, level VARCHAR)",
        sorted((action, *rest) for action, rest in actions.items()),
    )
    audits = [
        (fold(row["activity"]), fold(row["service"]), fold(row["property"]), row["action"], row["reason"])
        for row in rows_of("log_directory_audit")
    ]
    _create(
        con,
        "log_directory_audit (activity VARCHAR, service VARCHAR, property VARCHAR, action VARCHAR, reason VARCHAR)",
        sorted(audits),
    )
    _create_requests(con)


def _create_requests(con: duckdb.DuckDBPyConnection) -> None:
    """Create the rule tables for the logs of requests; a `*` in an operation becomes the `%` of LIKE."""
    operations = [
        (
            row["service"],
            fold(row["operation"]).replace("*", "%"),
            *(row[name] for name in ("action", "plane", "level", "access")),
            str("*" in row["operation"]).lower(),
        )
        for row in rows_of("log_request_operations")
    ]
    _create(
        con,
        "log_request_operations (service VARCHAR, operation VARCHAR, action VARCHAR, plane VARCHAR, level VARCHAR, "
        "access VARCHAR, is_pattern BOOLEAN)",
        sorted(operations),
    )
    verbs = [(row["verb"], row["kind"], row["subresource"], row["suffix"]) for row in rows_of("log_kubernetes_verbs")]
    _create(
        con, "log_kubernetes_verbs (verb VARCHAR, kind VARCHAR, subresource VARCHAR, suffix VARCHAR)", sorted(verbs)
    )
    groups = [(row["api_group"],) for row in rows_of("log_kubernetes_groups")]
    _create(con, "log_kubernetes_groups (api_group VARCHAR)", sorted(groups))


def _create(con: duckdb.DuckDBPyConnection, declaration: str, rows: list[tuple[str, ...]]) -> None:
    name = declaration.split(" ", 1)[0]
    con.execute(f"CREATE OR REPLACE TEMP TABLE {declaration}")
    # One statement with a list for each column: one for each row would take longer than most loads of a day.
    columns = ", ".join("unnest(?)" for _ in rows[0])
    con.execute(f"INSERT INTO {name} SELECT {columns}", [list(column) for column in zip(*rows, strict=True)])
