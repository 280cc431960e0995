"""Build SQL that projects the resource logs of requests to the raw columns of `queries/reduce/requests.sql`.

Each service has one log in three envelopes: records of diagnostic settings, with the special fields in `properties`;
the service's own table of Log Analytics; and AzureDiagnostics, whose columns are those properties with an underscore
and their type. A projection only moves values; the query interprets them.
"""

from __future__ import annotations

from collections.abc import Callable

from rightsize.ingest.log_schemas import with_log
from rightsize.ingest.nested import Fields, values_as_columns
from rightsize.rules.log_source import LogSource, Opened

_RAW = (
    "time", "service", "category", "operation_name", "resource_id", "object_id", "upn", "app_id", "named", "caller_ip",
    "correlation_id", "event_id", "http_status", "result", "known_access", "unauthorized", "names_parts",
    "unsure_failure", "target", "verb", "api_group", "kind", "subresource", "namespace", "impersonated", "reason",
    "role_assignment_id", "token_id", "session_id",
)  # fmt: skip
"""The raw columns of requests beside file_no, line, log, source and ordinal; all are text.

`service` is the word of `log_request_operations`. `named` is the caller by a name or an id of unknown kind.
`known_access` is what allowed the request, if the record has it, and `unauthorized` the same of an answer 401.
`names_parts` is not null where the resource id may name a part of a resource, `unsure_failure` where a failure may have
been a refusal. `target` is the requested URI or path. `verb`, `api_group`, `kind`, `subresource` and `namespace`
describe a request to Kubernetes, `reason` is its text for the decision, and `impersonated` is as whom the caller acts.
"""

_SAME = ("category", "operation_name", "resource_id", "caller_ip", "correlation_id", "event_id")

# Times as the portal, .NET and the API write them: 4/28/2021, 2:31:30.021 PM, and 1/1/2021 8:40:06 PM +00:00.
_TIME = """CASE WHEN time LIKE '%/%' THEN coalesce(strftime(try_strptime(
    replace(regexp_replace(time, ' [+]00:00$', ''), chr(8239), ' '),
    ['%m/%d/%Y, %I:%M:%S.%f %p', '%m/%d/%Y, %I:%M:%S %p', '%m/%d/%Y %I:%M:%S.%f %p', '%m/%d/%Y %I:%M:%S %p']),
    '%Y-%m-%dT%H:%M:%S.%fZ'), time) ELSE time END"""


def project_requests(log: LogSource) -> Callable[[Fields], str]:
    """Return the projection of a log of requests over a relation of fields."""
    columns = []
    for name in _RAW:
        value = _TIME if name == "time" else log.columns.get(name, name if name in _SAME else "CAST(NULL AS VARCHAR)")
        columns.append(f"{value} AS {name}")

    def project(fields: Fields) -> str:
        rows = with_log(fields.sql)
        for place, opened in enumerate(log.opened):
            rows = _opened(opened, f"opened_{place}", rows)
        return f"""
SELECT file_no, line, log, '{log.source}' AS source, {", ".join(columns)}, CAST(NULL AS BIGINT) AS ordinal
FROM ({rows})"""

    return project


def _opened(opened: Opened, values: str, rows: str) -> str:
    """Return SQL that adds the columns of a JSON text to a relation; text that is not JSON gives nulls."""
    paths = ", ".join(f"'{path}'" for spellings in opened.columns.values() for path in spellings)
    return f"""
SELECT *, {values_as_columns(opened.columns, (values, 0))} FROM (
    SELECT *, TRY(json_extract_string({opened.text}, [{paths}])) AS {values} FROM ({rows})
)"""
