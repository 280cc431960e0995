"""Name the ways in which records of logs become rows, and stage what they show of agents, risk and bodies.

Only the tokens show which permissions an agent inherits. Each set of permissions is one row a day, not one a call.
The rows are staged without a line: a record of a log counts by its event or sign-in alone.
Sources: Microsoft Learn, MicrosoftGraphActivityLogs (Roles, Scopes, C_Idtyp); Graph beta resource type agentSignIn, of
which the sign-in tables have the same members.

A sign-in log has the risk known at that time. If a risk detection names the same sign-in, its later judgement counts.
Source: Microsoft Learn, Graph v1.0 resource type signIn: riskLevelDuringSignIn, riskState, riskDetail.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

import duckdb

from rightsize.ingest.entities.judgements import is_confirmed, is_dismissed
from rightsize.ingest.logs.directory_audits import (
    audit_rows,
    project_audits,
    stage_from_audits,
    stage_objects_of_audits,
    stage_objects_of_requests,
)
from rightsize.ingest.logs.microsoft_audits import cloud_audit_rows, normalised_m365, project_cloud_audits, project_m365
from rightsize.ingest.logs.projections import PROJECTIONS, raw_events
from rightsize.ingest.logs.requests import (
    normalised_requests,
    project_azure_ad_graph,
    project_graph,
    project_requests,
    requests_to_azure_ad_graph,
)
from rightsize.ingest.logs.values import Fields
from rightsize.model.text import GUID
from rightsize.rules.log_source import LogSource
from rightsize.rules.log_sources import LOG_SOURCES
from rightsize.store.merging.staging import keyed, stage_events
from rightsize.store.queries import query_text
from rightsize.store.sql import folded, nonempty

_NOT_AGENTIC = "notagentic"


def _guid(text: str) -> str:
    return f"CASE WHEN regexp_full_match({folded(text)}, '{GUID}') THEN {folded(text)} END"


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


_LEVELS = "'low', 'medium', 'high'"


def stage_risky_sign_ins(con: duckdb.DuckDBPyConnection, file_id: str, without: Collection[int]) -> None:
    """Stage the risky sign-ins of `ingest_rows` as signals.

    Args:
        con: A connection with `ingest_rows` and `raw_sign_ins`.
        file_id: SQL for the id of a row's file.
        without: Numbers of files that will be read again.
    """
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE risky_rows AS
        SELECT {file_id} AS file_id, line, 'risky_sign_in/' || sign_in_id AS signal_id, sign_in_id, time, principal_id,
            principal_name, ip, session_id, {folded("risk_level")} AS severity, {folded("risk_state")} AS status,
            {folded("risk_detail")} AS detail
        FROM ingest_rows JOIN (
            SELECT file_no, line, risk_level, risk_state, risk_detail FROM raw_sign_ins
            WHERE coalesce({folded("risk_state")}, '') NOT IN ('', 'none') OR {folded("risk_level")} IN ({_LEVELS})
        ) USING (file_no, line)
        WHERE problem IS NULL AND sign_in_id IS NOT NULL AND NOT list_contains($without, file_no)""",
        {"without": sorted(without)},
    )
    con.execute(f"""
        INSERT INTO stage_signals (file_id, line, signal_id, source, kind, product, name, severity, status,
            classification, first_time, last_time, created_on, updated_on, dismissed)
        SELECT file_id, line, signal_id, 'risky_sign_in', 'risky_sign_in', 'Microsoft Entra ID Protection',
            'risky sign-in', coalesce(severity, 'unknown'), status, detail, time, time, time, time,
            CASE WHEN {is_confirmed("status", "detail")} THEN false WHEN {is_dismissed("status")} THEN true END
        FROM risky_rows""")
    for kind, value, principal in (
        ("principal", f"coalesce(principal_id, {folded('principal_name')})", "principal_id"),
        ("ip", "ip", "NULL"),
        ("session", "session_id", "NULL"),
        ("sign_in", "sign_in_id", "NULL"),
    ):
        con.execute(f"""
            INSERT INTO stage_signal_entities (file_id, line, signal_id, entity_kind, value, principal_id)
            SELECT file_id, line, signal_id, '{kind}', {value}, {principal} FROM risky_rows
            WHERE {value} IS NOT NULL""")
    con.execute("DROP TABLE risky_rows")


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
    if not nonempty(con, {"bodies": "ingest_raw WHERE request_body IS NOT NULL"}):
        return
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


Connection = duckdb.DuckDBPyConnection

_SIGN_INS = (
    "time, sign_in_id, principal_id, principal_name, app_id, resource_id, resource_name, kind, succeeded, "
    "correlation_id, token_id, session_id, ip, country, network_number, federated_credential_id"
)


def _stage_events(con: Connection, file_id: str, without: set[int]) -> None:
    of_use = "ingest_rows WHERE problem IS NULL AND NOT list_contains($without, file_no)"
    stage_events(con, keyed(file_id, of_use), {"without": sorted(without)})


def _stage_audits(con: Connection, file_id: str, without: set[int]) -> None:
    stage_from_audits(con, file_id, without)
    stage_objects_of_audits(con, file_id, without)
    _stage_events(con, file_id, without)


def _stage_graph_requests(con: Connection, file_id: str, without: set[int]) -> None:
    stage_token_permissions(con, file_id, without)
    stage_objects_of_requests(con, file_id, without)
    _stage_events(con, file_id, without)


def _stage_sign_ins(con: Connection, file_id: str, without: set[int]) -> None:
    stage_risky_sign_ins(con, file_id, without)
    stage_agent_sightings(con, file_id, without)
    con.execute(
        f"INSERT INTO stage_sign_in_rows (file_id, line, {_SIGN_INS}) SELECT {file_id}, line, {_SIGN_INS} "
        "FROM ingest_rows WHERE problem IS NULL AND NOT list_contains($without, file_no)",
        {"without": sorted(without)},
    )


def _no_more(con: Connection, file_id: str) -> None:
    """Stage nothing more."""


@dataclass(frozen=True, slots=True)
class RecordKind:
    """How records of a log become rows.

    Attributes:
        project: Returns the projection of a log of this kind over a relation of fields.
        relation: The name of the relation that the query reads.
        query: Returns the SQL that normalises rows of raw columns: `problem` is why a row cannot be used.
        stage: Stages the rows of `ingest_rows` without problems, but for those of some files.
        stage_more: Stages what else the raw rows have, after the events.
        is_event: Whether the raw columns are those of `queries/reduce/normalise.sql`.
        is_packed: Whether shared texts are read packed and normalised once, and nested values as columns.
    """

    project: Callable[[LogSource], Callable[[Fields], str]]
    relation: str
    query: Callable[[], str]
    stage: Callable[[Connection, str, set[int]], None] = _stage_events
    stage_more: Callable[[Connection, str], None] = _no_more
    is_event: bool = False
    is_packed: bool = False

    def raw_rows(self, log: str) -> str:
        """Return SQL for the relation that the query reads, from the rows of a log in `ingest_raw`."""
        return raw_events(log, "FROM ingest_numbered", "ingest_raw") if self.is_event else "FROM ingest_numbered"


def _always(project: Callable[[Fields], str]) -> Callable[[LogSource], Callable[[Fields], str]]:
    return lambda _: project


KINDS: Mapping[str, RecordKind] = {
    "activity": RecordKind(
        _always(PROJECTIONS["activity"]),
        "raw_events",
        partial(query_text, "reduce/normalise"),
        stage_more=stage_requests,
        is_event=True,
        is_packed=True,
    ),
    "cloud_audit": RecordKind(_always(project_cloud_audits), "raw_events", cloud_audit_rows, is_event=True),
    "storage": RecordKind(
        _always(PROJECTIONS["storage"]), "raw_events", partial(query_text, "reduce/normalise"), is_event=True
    ),
    "sign_in": RecordKind(
        _always(PROJECTIONS["sign_in"]), "raw_sign_ins", partial(query_text, "reduce/sign_ins"), _stage_sign_ins
    ),
    "entra_audit": RecordKind(_always(project_audits), "raw_audits", audit_rows, _stage_audits),
    "graph_activity": RecordKind(
        _always(project_graph), "raw_graph_requests", normalised_requests, _stage_graph_requests
    ),
    "azure_ad_graph": RecordKind(_always(project_azure_ad_graph), "raw_graph_requests", requests_to_azure_ad_graph),
    "m365_audit": RecordKind(_always(project_m365), "raw_m365_audits", normalised_m365),
    "requests": RecordKind(project_requests, "raw_requests", partial(query_text, "reduce/requests")),
}
"""The kinds by the word of `LogSource.records`; records of other words are read elsewhere, or only counted."""

USED_LOGS = {log.name: log for log in LOG_SOURCES if log.records in KINDS}
"""The logs whose records become rows here."""


def kind_of(log: str) -> RecordKind:
    """Return how records of one of `USED_LOGS` become rows."""
    return KINDS[USED_LOGS[log].records]
