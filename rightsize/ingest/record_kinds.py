"""Name the ways in which records of logs become rows; a log source declares one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import duckdb

from rightsize.ingest.agents_in_logs import stage_agent_sightings, stage_token_permissions
from rightsize.ingest.audits import AUDIT_ROWS, project_audits, stage_from_audits
from rightsize.ingest.changed_objects import stage_objects_of_audits, stage_objects_of_requests
from rightsize.ingest.cloud_audits import cloud_audit_rows, project_cloud_audits
from rightsize.ingest.graph_requests import (
    normalised_requests,
    project_azure_ad_graph,
    project_graph,
    requests_to_azure_ad_graph,
)
from rightsize.ingest.m365_audits import normalised_m365, project_m365
from rightsize.ingest.nested import Fields
from rightsize.ingest.projections import PROJECTIONS, raw_events
from rightsize.ingest.request_bodies import stage_requests
from rightsize.ingest.requests import project_requests
from rightsize.ingest.risky_sign_ins import stage_risky_sign_ins
from rightsize.rules.log_source import LogSource
from rightsize.rules.log_sources import LOG_SOURCES
from rightsize.store.queries import query_text
from rightsize.store.staging import keyed, stage_events

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
    "entra_audit": RecordKind(_always(project_audits), "raw_audits", lambda: AUDIT_ROWS, _stage_audits),
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
