"""Stage what logs show of agents: the permissions in the tokens of calls to Graph, and sign-ins that name an agent.

Only the tokens show which permissions an agent inherits. Each set of permissions is one row a day, not one a call.
The rows are staged without a line: a record of a log counts by its event or sign-in alone.
Sources: Microsoft Learn, MicrosoftGraphActivityLogs (Roles, Scopes, C_Idtyp); Graph beta resource type agentSignIn, of
which the sign-in tables have the same members.
"""

from __future__ import annotations

from collections.abc import Collection

import duckdb

from rightsize.store.sql import folded

_GUID = "'[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'"
_NOT_AGENTIC = "notagentic"


def _guid(text: str) -> str:
    return f"CASE WHEN regexp_full_match({folded(text)}, {_GUID}) THEN {folded(text)} END"


def stage_token_permissions(con: duckdb.DuckDBPyConnection, file_id: str, without: Collection[int]) -> None:
    """Stage the permissions in tokens of the requests of `raw_graph_requests`.

    Args:
        con: A connection with `raw_graph_requests`.
        file_id: SQL for the id of a row's file.
        without: Numbers of files that will be read again.
    """
    con.execute(
        f"""
        INSERT INTO stage_token_permissions (file_id, source, app_id, access, permissions, day, last_seen)
        SELECT file_id, 'graph_activity_log', {_guid("app_id")} AS app, access, array_to_string(list_sort(
                list_distinct(list_filter(regexp_split_to_array(said, '[^A-Za-z0-9_.:/-]+'), lambda one: one <> ''))),
                ' ') AS permissions, TRY_CAST(day AS DATE) AS called_on, max(TRY_CAST(last_time AS TIMESTAMP))
        FROM (
            SELECT {file_id} AS file_id, app_id, CASE
                    WHEN token_type = 'app' THEN 'application' WHEN token_type = 'user' THEN 'delegated'
                    WHEN user_id IS NOT NULL THEN 'delegated' WHEN token_roles IS NOT NULL THEN 'application' END
                    AS access,
                CASE access WHEN 'application' THEN token_roles WHEN 'delegated' THEN token_scopes END AS said,
                substr(time, 1, 10) AS day, max(replace(substr(time, 1, 19), 'T', ' ')) AS last_time
            FROM raw_graph_requests
            WHERE coalesce(token_roles, token_scopes) IS NOT NULL AND NOT list_contains($without, file_no)
            GROUP BY ALL
        )
        WHERE said IS NOT NULL AND app IS NOT NULL
        GROUP BY ALL HAVING permissions <> '' AND called_on IS NOT NULL""",
        {"without": sorted(without)},
    )


def stage_agent_sightings(con: duckdb.DuckDBPyConnection, file_id: str, without: Collection[int]) -> None:
    """Stage the sign-ins of `ingest_rows` that name an agent.

    Args:
        con: A connection with `ingest_rows` and `raw_sign_ins`.
        file_id: SQL for the id of a row's file.
        without: Numbers of files that will be read again.
    """

    def member(name: str) -> str:
        return f"coalesce(TRY(agent ->> '$.{name}'), TRY(agent ->> '$.{name[0].upper()}{name[1:]}'))"

    con.execute(
        f"""
        INSERT INTO stage_agent_sightings (file_id, principal_id, app_id, agent_type, subject_type,
            blueprint_app_id, parent_id, last_seen)
        SELECT file_id, principal_id, app_id, left(coalesce(agent_type, ''), 100),
            left(coalesce(subject_type, ''), 100), coalesce({_guid("parent_app")}, ''),
            coalesce({_guid("subject_parent")}, ''), time
        FROM (
            SELECT {file_id} AS file_id, principal_id, app_id, time, {member("agentType")} AS agent_type,
                {member("agentSubjectType")} AS subject_type, {member("parentAppId")} AS parent_app,
                {member("agentSubjectParentId")} AS subject_parent
            FROM ingest_rows JOIN (
                SELECT file_no, line, agent FROM raw_sign_ins WHERE agent LIKE '{{%'
            ) USING (file_no, line)
            WHERE problem IS NULL AND principal_id IS NOT NULL AND NOT list_contains($without, file_no)
        )
        WHERE lower(coalesce(nullif(agent_type, ''), '{_NOT_AGENTIC}')) <> '{_NOT_AGENTIC}'
            OR lower(coalesce(nullif(subject_type, ''), '{_NOT_AGENTIC}')) <> '{_NOT_AGENTIC}'""",
        {"without": sorted(without)},
    )
