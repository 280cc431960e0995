"""Declare the days of Microsoft Graph and of the unified audit log: their physical tables, and the views on them."""

from __future__ import annotations

GRAPH_DAYS = {
    "graph_days": (
        "app_id VARCHAR, principal_id VARCHAR, access VARCHAR, operation_key INTEGER, day DATE, first_seen TIMESTAMP, "
        "last_seen TIMESTAMP, succeeded BIGINT, failed BIGINT, started BIGINT, denied BIGINT, suspect BIGINT, "
        "other BIGINT"
    ),
    "m365_days": (
        "app_id VARCHAR, principal_id VARCHAR, principal_name VARCHAR, access VARCHAR, operation_key INTEGER, "
        "day DATE, first_seen TIMESTAMP, last_seen TIMESTAMP, succeeded BIGINT, suspect BIGINT"
    ),
}
"""The physical columns, as in `ddl`."""


def graph_views(resolved: str) -> dict[str, str]:
    """Return the views; `resolved` is SQL for the principal of each name."""
    return {
        "graph_usage_days": """
            SELECT g.app_id, g.principal_id, g.access, o.spelling AS operation, g.day, g.first_seen, g.last_seen,
                g.succeeded, g.failed, g.started, g.denied, g.suspect, g.other
            FROM base.graph_days AS g JOIN base.operation_names AS o USING (operation_key)""",
        "m365_usage_days": f"""
            SELECT m.app_id, coalesce(m.principal_id, alias.principal_id) AS principal_id, m.access,
                o.spelling AS operation, m.day, min(m.first_seen) AS first_seen, max(m.last_seen) AS last_seen,
                sum(m.succeeded)::BIGINT AS succeeded, sum(m.suspect)::BIGINT AS suspect
            FROM base.m365_days AS m JOIN base.operation_names AS o USING (operation_key)
            LEFT JOIN ({resolved}) AS alias ON m.principal_id IS NULL AND alias.alias = m.principal_name
            GROUP BY ALL""",
    }
