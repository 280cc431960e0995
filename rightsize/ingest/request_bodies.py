"""Stage what bodies in the Activity Log name: the role and principal of assignments, trusted subjects, identities."""

from __future__ import annotations

import duckdb

_GUID = "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
_LONGEST = 600
_ASSIGNMENT = "microsoft.authorization/roleassignments/%"

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
    """Stage the role and principal of role assignments, and the subjects and identities of other calls.

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
            FROM ({_with_bodies(file_ids)}) WHERE operation ILIKE '{_ASSIGNMENT}'
        )
        WHERE found IS NOT NULL
        """
    )
    _stage_others(con, file_ids)


def _with_bodies(file_ids: str) -> str:
    """Return SQL for the staged calls that have a body: `file_id, line, event_key, operation, request_body`."""
    return f"""
        SELECT file_id, line, event_key, operation, request_body
        FROM stage_events JOIN stage_event_operations USING (operation_no) JOIN (
            SELECT {file_ids} AS file_id, line, request_body FROM ingest_numbered WHERE request_body IS NOT NULL
        ) USING (file_id, line)"""


def _stage_others(con: duckdb.DuckDBPyConnection, file_ids: str) -> None:
    """Stage the subject that a federated credential trusts, and the principal of a resource's own identity.

    Source: REST references of Microsoft.ManagedIdentity and of "Managed service identity" (identity.principalId).
    """
    con.execute(f"""
        INSERT INTO stage_changed_objects (file_id, event_key, activity, object_id, object_name, other_name)
        SELECT file_id, lower(hex(event_key)), lower(operation),
            nullif(lower(regexp_extract(found[1], '^({_GUID})$', 1)), '') AS identity,
            left(nullif(trim(found[2]), ''), {_LONGEST}) AS subject, left(nullif(trim(found[3]), ''), {_LONGEST})
        FROM (
            SELECT file_id, event_key, operation, TRY(json_extract_string(request_body,
                ['$.identity.principalId', '$.properties.subject', '$.properties.issuer'])) AS found
            FROM ({_with_bodies(file_ids)}) WHERE operation NOT ILIKE '{_ASSIGNMENT}'
        )
        WHERE coalesce(identity, subject) IS NOT NULL""")
