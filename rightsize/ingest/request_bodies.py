"""Stage the role and principal that request bodies of role assignments in the Activity Log name."""

from __future__ import annotations

import duckdb

_GUID = "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"

# Clients write the keys of a body in two spellings, and the role as an id with any prefix.
_BODY_PATHS = ", ".join(
    f"'$.{outer}.{inner}'"
    for name in ("RoleDefinitionId", "PrincipalType", "PrincipalId")
    for outer, inner in (("Properties", name), ("properties", name[0].lower() + name[1:]))
)
# Only the response has the creation time. A condition on the assigned principal type checks the type in the request.
_ANSWERED = "'$.properties.createdOn', '$.Properties.CreatedOn'"
_ASSIGNED_TYPES = "'User', 'Group', 'ServicePrincipal', 'ForeignGroup', 'Device'"


def stage_requests(con: duckdb.DuckDBPyConnection, file_ids: str) -> None:
    """Stage the role and principal of role assignments that calls create or delete.

    The row that starts a call has the body of the request, the row that ends it that of the response. `file_ids` is
    SQL for the id of the part of a file that a row of `ingest_numbered` belongs to.
    Source: Microsoft Learn, "View activity logs for Azure RBAC changes".
    """
    role, kind, assignee = (f"coalesce(found[{place}], found[{place + 1}])" for place in (1, 3, 5))
    con.execute(
        f"""
        INSERT INTO stage_request_rows
        SELECT file_id, line, event_key,
            nullif(lower(regexp_extract({role}, '(^|/)({_GUID})$', 2)), '') AS assigned_role_id,
            list_filter([{_ASSIGNED_TYPES}], lambda known: lower(known) = lower({kind}))[1] AS assigned_type,
            CASE WHEN coalesce(found[7], found[8]) IS NULL THEN assigned_type END AS asked_type,
            nullif(lower(regexp_extract({assignee}, '^({_GUID})$', 1)), '') AS assigned_principal_id
        FROM (
            SELECT file_id, line, event_key,
                TRY(json_extract_string(request_body, [{_BODY_PATHS}, {_ANSWERED}])) AS found
            FROM stage_events JOIN (
                SELECT {file_ids} AS file_id, line, request_body FROM ingest_numbered WHERE request_body IS NOT NULL
            ) USING (file_id, line)
        )
        WHERE found IS NOT NULL
        """
    )
