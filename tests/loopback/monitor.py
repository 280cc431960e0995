"""Serve Log Analytics and Resource Graph: KQL, translated by duckdb-kql and run on the tenant's tables.

Sources: Microsoft Learn, "Azure Monitor Log Analytics API", response format, timespan, and limits of the service.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import threading
from collections.abc import Iterator
from typing import Any

import duckdb

from tests.loopback.content import Content
from tests.loopback.faults import partial_error
from tests.loopback.log_tables import COLUMNS, ensure_tables
from tests.loopback.wire import Answer, RefusalError, Request, arm_error, read_request

_TYPES = {
    "VARCHAR": "string",
    "TIMESTAMP": "datetime",
    "JSON": "dynamic",
    "BIGINT": "long",
    "HUGEINT": "long",
    "INTEGER": "int",
    "DOUBLE": "real",
    "BOOLEAN": "bool",
    "INTERVAL": "timespan",
    "UUID": "guid",
}
_DURATION = re.compile(r"P(?:([\d.]+)D)?(?:T(?:([\d.]+)H)?(?:([\d.]+)M)?(?:([\d.]+)S)?)?")
_CHUNK = 50_000
# What a query of a Basic table may not have: other tables, functions, and a range of time.
_NOT_OF_BASIC = re.compile(
    r"\b(let|join|find|search|externaldata|union|lookup)\b|TimeGenerated *[<>]|ago\(|ingestion_time"
)


class Monitor:
    """Answers queries of the workspace, and of Resource Graph."""

    def __init__(self, content: Content, record_limit: int) -> None:
        self._content, self.record_limit = content, record_limit
        self._lock = threading.Lock()
        self._listed = False
        # Rows of a page of Resource Graph.
        self.query_rows = 1_000
        # What happens after the tenant's last day has not happened yet.
        self.now = dt.datetime.combine(content.tenant.spec.end_day, dt.time()) + dt.timedelta(days=1)

    def answer(self, request: Request) -> Answer:
        """Answer a request of Log Analytics.

        Raises:
            RefusalError: With the error that it would answer.
        """
        if request.path == "/v1/$batch":
            return self._batch(request)
        if request.path.endswith("/v2/rest/query"):
            ensure_tables(self._content)
            return Answer(document=self._frames(request.json()))
        if not request.path.endswith(("/query", "/search")):
            return arm_error(404, "PathNotFoundError", "The requested path does not exist")
        parts = request.path.split("/")
        if parts[2] == "workspaces" and parts[3].lower() != self._content.workspace_id:
            return arm_error(404, "WorkspaceNotFoundError", "The workspace could not be found")
        asked = request.json() if request.method == "POST" else request.query
        if not isinstance(asked, dict) or not asked.get("query"):
            return arm_error(400, "BadArgumentError", "The request had some invalid properties")
        if request.path.endswith("/search") and (
            _NOT_OF_BASIC.search(re.sub(r"//.*", "", asked["query"])) or not asked.get("timespan")
        ):
            return arm_error(400, "BadArgumentError", "The query is not supported for tables of this plan")
        ensure_tables(self._content)
        return Answer(document=self._query(str(asked["query"]), asked.get("timespan")))

    def _batch(self, request: Request) -> Answer:
        responses = []
        for part in request.json()["requests"]:
            headers = {name.lower(): value for name, value in part.get("headers", {}).items()}
            path = part.get("path") or "/query"
            target = f"/v1/workspaces/{part['workspace']}{path}"
            inner = read_request("POST", request.base, target, headers, json.dumps(part["body"]).encode())
            try:
                answer = self.answer(inner)
            except RefusalError as refusal:
                answer = refusal.answer
            body = json.loads(answer.content())
            responses.append({"id": part["id"], "status": answer.status, "headers": {}, "body": body})
        return Answer(document={"responses": responses})

    def _frames(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        """Answer as Kusto does: a list of frames, with what was cut named in the last one."""
        answer = json.loads(self._query(str(asked["csl"]), None))
        table, is_cut = answer["tables"][0], "error" in answer
        columns = [{"ColumnName": one["name"], "ColumnType": one["type"]} for one in table["columns"]]
        message = f"The results of this query exceed the set limit (E_QUERY_RESULT_SET_TOO_LARGE): {self.record_limit}"
        errors = [{"error": {"code": "LimitsExceeded", "message": message}}] if is_cut else None
        return [
            {"FrameType": "DataSetHeader", "IsProgressive": False, "Version": "v2.0"},
            {"FrameType": "DataTable", "TableId": 0, "TableKind": "QueryProperties", "Columns": [], "Rows": []},
            {"FrameType": "DataTable", "TableId": 1, "TableKind": "PrimaryResult", "TableName": "PrimaryResult",
             "Columns": columns, "Rows": table["rows"]},
            {"FrameType": "DataSetCompletion", "HasErrors": is_cut, "Cancelled": False}
            | ({"OneApiErrors": errors} if errors else {}),
        ]  # fmt: skip

    def _query(self, text: str, timespan: object) -> bytes:
        con = self._content.cursor()
        try:
            first, end = read_timespan(str(timespan), self.now) if timespan else (None, None)
            tables = con.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'logs'").fetchall()
            for (table,) in tables:
                bounds = (
                    f" WHERE TimeGenerated >= TIMESTAMP '{first}' AND TimeGenerated <= TIMESTAMP '{end}'"
                    if first
                    else ""
                )
                con.execute(f"CREATE TEMP VIEW {table} AS FROM logs.{table}{bounds}")
            return self.run(con, text, self.record_limit)
        finally:
            con.close()

    def run(self, con: duckdb.DuckDBPyConnection, text: str, limit: int) -> bytes:
        """Return the answer to a query, as Log Analytics writes it."""
        sql = translate(con, text)
        described = con.execute(f"DESCRIBE {sql}").fetchall()
        columns = [{"name": name, "type": _TYPES.get(kind.split("(")[0], "string")} for name, kind, *_ in described]
        cells = ", ".join(_cell(column["name"], column["type"]) for column in columns)
        rows: list[str] = []
        for chunk in _chunks(con, f"SELECT json_array({cells})::VARCHAR FROM ({sql}) LIMIT {limit + 1}"):
            rows += chunk
        tail = ',"error":' + json.dumps(partial_error(limit)) if len(rows) > limit else ""
        head = json.dumps({"name": "PrimaryResult", "columns": columns})[:-1]
        return f'{{"tables":[{head},"rows":[{",".join(rows[:limit])}]}}]{tail}}}'.encode()

    def resource_graph(self, request: Request) -> Answer:
        """Answer a query of Resource Graph over `resources`, `resourcecontainers` and `authorizationresources`."""
        asked = request.json()
        self._list_resources()
        con = self._content.cursor()
        try:
            document = json.loads(self.run(con, asked["query"], 100_000))
        finally:
            con.close()
        table = document["tables"][0]
        names = [column["name"] for column in table["columns"]]
        data = [dict(zip(names, row, strict=True)) for row in table["rows"]]
        if wanted := [text.lower() for text in asked.get("subscriptions", ())]:
            data = [row for row in data if str(row.get("subscriptionId")).lower() in wanted]
        options = asked.get("options", {})
        start = int(options.get("$skipToken", 0))
        end = start + min(int(options.get("$top", 1_000)), 1_000, self.query_rows)
        return Answer(
            document={
                "totalRecords": len(data),
                "count": len(data[start:end]),
                "data": data[start:end],
                "facets": [],
                "resultTruncated": "true" if "error" in document or end < len(data) else "false",
                **({"$skipToken": str(end)} if end < len(data) else {}),
            }
        )

    def _list_resources(self) -> None:
        content = self._content
        with self._lock:
            if self._listed:
                return
            scopes = [
                {"id": scope.scope, "name": scope.name, "type": f"microsoft.resources/{scope.kind}s", "properties": {}}
                for scope in content.subscriptions
            ]
            access = [*content.role_assignments, *content.role_definitions]
            for table, found in (
                # Extensions of resources, such as role assignments, are in tables of their own.
                ("resources", [r for r in content.resources if not r["type"].lower().startswith("microsoft.author")]),
                ("resourcecontainers", scopes),
                ("authorizationresources", access),
            ):
                content.cursor().execute(
                    f"CREATE TABLE {table} AS SELECT r ->> '$.id' AS id, r ->> '$.name' AS name, "
                    "lower(r ->> '$.type') AS type, string_split(r ->> '$.id', '/')[3] AS subscriptionId, "
                    "string_split(r ->> '$.id', '/')[5] AS resourceGroup, "
                    "coalesce(r ->> '$.location', '') AS location, "
                    "r -> '$.properties' AS properties FROM (SELECT unnest($records::VARCHAR[])::JSON AS r)",
                    {"records": [json.dumps(record) for record in found]},
                )
            self._listed = True


def translate(con: duckdb.DuckDBPyConnection, text: str) -> str:
    """Return the SQL of a KQL query.

    Raises:
        RefusalError: With the error of a query that cannot be understood, or that cannot run here.
    """
    import duckdb_kql  # noqa: PLC0415  absent where nobody queries logs
    from duckdb_kql.translate import functions  # noqa: PLC0415

    # Functions of KQL that the translator does not know.
    for name, sql, arity in (("translate", "translate({2}, {0}, {1})", 3), ("hash", "(hash({0}) % {1})", 2)):
        functions.SCALAR_FUNCTIONS.setdefault(name, functions.FunctionSpec(name, "template", sql, (arity,)))
    try:
        return str(duckdb_kql.query(con, _with_known_columns(text)).sql_query())
    except (duckdb_kql.KqlError, duckdb.Error) as error:
        # Kusto's number of an unknown name.
        code = "SEM0100" if isinstance(error, duckdb.CatalogException) else "SemanticError"
        inner = {"code": code, "message": str(error)[:500]}
        document = {
            "code": "BadArgumentError",
            "message": "The request had some invalid properties",
            "innererror": {"code": "SemanticError", "message": "A semantic error occurred.", "innererror": inner},
        }
        raise RefusalError(Answer(400, {"error": document})) from None


def _with_known_columns(text: str) -> str:
    """Return a query with each `column_ifexists` replaced by the column, or by its default if no table has it."""
    known = {
        column for table, columns in COLUMNS.items() if table in text for column in re.findall(r"(\w+) \w+", columns)
    }
    return re.sub(r'column_ifexists\("(\w+)", ("")\)', lambda found: found[1] if found[1] in known else found[2], text)


def _cell(name: str, kind: str) -> str:
    quoted = '"' + name.replace('"', '""') + '"'
    if kind == "datetime":
        return f"strftime({quoted}, '%Y-%m-%dT%H:%M:%S.%fZ')"
    # A dynamic value comes as text with JSON in it.
    return f"CAST({quoted} AS VARCHAR)" if kind in ("dynamic", "timespan", "guid", "string") else quoted


def _chunks(con: duckdb.DuckDBPyConnection, sql: str) -> Iterator[list[str]]:
    result = con.execute(sql)
    while rows := result.fetchmany(_CHUNK):
        yield [row for (row,) in rows]


def read_timespan(text: str, now: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
    """Return the first moment of a timespan and the one after its last (ISO 8601: duration, or two ends).

    Raises:
        RefusalError: It cannot be read.
    """
    first, slash, last = text.partition("/")
    try:
        if not slash:
            return now - _duration(first), now
        if last.startswith("P"):
            start = _moment(first)
            return start, start + _duration(last)
        end = _moment(last)
        return (end - _duration(first) if first.startswith("P") else _moment(first)), end
    except ValueError:
        raise RefusalError(arm_error(400, "BadArgumentError", f"Invalid timespan '{text}'")) from None


def _moment(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    return moment.astimezone(dt.UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _duration(text: str) -> dt.timedelta:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(text)
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return dt.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
