"""Generate Activity Log exports of any size with DuckDB: 2 KB JSON lines as diagnostic settings write them."""

from __future__ import annotations

import datetime as dt
import gzip
from pathlib import Path

import duckdb

FIRST_DAY = dt.date(2026, 1, 1)
_DAY_SECONDS = 86_400

# Two records a call, its begin and its end. A tenth of the principals does most of the work at a thousand resources.
_CALLS = """
WITH drawn AS (
    SELECT i, i // 2 AS call, i % 2 AS is_end, hash(i // 2) AS h FROM range($first, $first + $rows) AS r(i)
), chosen AS (
    SELECT *, h % 1000 AS operation, least(h // 1000 % $principals, h // 7777777 % $principals) AS principal,
        h // 131 % 5 AS variant
    FROM drawn
), placed AS (
    SELECT *, hash(principal, variant) AS place, format('{:08x}-1111-4222-8333-444444444444', principal) AS object_id,
        format('{:08x}-aaaa-4bbb-8ccc-dddddddddddd', call) AS correlation,
        hash(principal, 1) % 12 + operation % 4 AS kind
    FROM chosen
)
SELECT *,
    TIMESTAMP '2026-01-01' + to_microseconds(
        (h % ($days * 86400)::UBIGINT)::BIGINT * 1000000 + is_end * 900000) + to_days($day::INTEGER) AS moment,
    format('/subscriptions/{:08x}-0000-4000-8000-000000000000/resourceGroups/rg-{}/providers/Microsoft.Bench/type{}/'
        'resource-{}', place % 20, place // 20 % 100, kind, place // 2000 % 200) AS scope,
    format('Microsoft.Bench/type{}/{}', kind, ['write', 'delete', 'start/action', 'write', 'listKeys/action']
        [(1 + operation % 5)::INTEGER]) AS action
FROM placed
"""

_RECORDS = """
SELECT
    'West Europe' AS RoleLocation,
    strftime(moment, '%Y-%m-%dT%H:%M:%S.%fZ') AS "time",
    upper(scope) AS resourceId, upper(action) AS operationName, 'Write' AS category,
    CASE WHEN is_end = 0 THEN 'Start' WHEN h % 50 = 0 THEN 'Failure' ELSE 'Success' END AS resultType,
    CASE WHEN is_end = 0 THEN 'Started.' WHEN h % 50 = 0 THEN 'Failed.Conflict' ELSE 'Succeeded.OK' END
        AS resultSignature,
    '0' AS durationMs, '198.51.100.20' AS callerIpAddress, correlation AS correlationId,
    {'authorization': {
        'action': action, 'scope': scope, 'evidence': {
            'role': 'Contributor', 'roleAssignmentScope': split_part(scope, '/providers/', 1),
            'roleAssignmentId': md5(format('{}/{}', principal, place % 3)),
            'roleDefinitionId': md5('contributor'), 'principalId': replace(object_id, '-', ''),
            'principalType': 'User'}},
     'claims': {
        'aud': 'https://management.core.windows.net/',
        'iss': 'https://sts.windows.net/0435ec09-65da-423a-bfd2-c1e314c836a9/',
        'iat': '1760878298', 'nbf': '1760878298', 'exp': '1760883398', 'aio': md5(correlation) || md5(object_id),
        'appid': 'c44b4083-3bb0-49c1-b47d-974e53cbdf3c', 'appidacr': '2',
        'http://schemas.microsoft.com/identity/claims/objectidentifier': object_id,
        'http://schemas.microsoft.com/identity/claims/tenantid': '0435ec09-65da-423a-bfd2-c1e314c836a9',
        'http://schemas.microsoft.com/identity/claims/scope': 'user_impersonation',
        'name': format('Person {}', principal), 'uti': left(md5(correlation), 22), 'ver': '1.0', 'idtyp': 'user',
        'http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier': md5(object_id),
        'http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn': format('person{}@example.com', principal)}
    } AS "identity",
    'Information' AS "level",
    {'eventCategory': 'Administrative', 'entity': scope, 'message': action,
     'hierarchy': '0435ec09-65da-423a-bfd2-c1e314c836a9/bench/' || split_part(scope, '/', 3),
     'statusCode': CASE WHEN is_end = 0 THEN '' WHEN h % 50 = 0 THEN 'Conflict' ELSE 'OK' END,
     'statusMessage': '', 'serviceRequestId': correlation} AS properties
FROM calls ORDER BY moment
"""


def write_activity(path: Path, rows: int, *, day: int = 0, days: int = 30, principals: int = 2_000) -> Path:
    """Write `rows` records of `days` days from the day numbered `day` on; the same ones each time, each call once.

    Args:
        path: The file, gzip where it ends in .gz.
        rows: Records, two a call.
        day: The first day, counted from FIRST_DAY; it also decides which calls these are.
        days: Over how many days the calls are spread.
        principals: How many people make them.
    """
    with duckdb.connect(config={"threads": "2"}) as con:
        values = {"first": day << 32, "rows": rows, "principals": principals, "days": days, "day": day}
        con.execute(f"CREATE TEMP TABLE calls AS {_CALLS}", values)
        packed = "gzip" if path.suffix == ".gz" else "uncompressed"
        con.execute(f"COPY ({_RECORDS}) TO '{path}' (FORMAT json, COMPRESSION {packed})")
    return path


def write_hours(folder: Path, rows: int, *, days: int = 30, packed: bool = False) -> Path:
    """Write the records of `write_activity` as diagnostic settings write them into a container: plain, a file an hour.

    `packed` gives gzip, as people keep such files. Source: Microsoft Learn, "Azure resource logs", the names of blobs.
    """
    place = "strftime(time::TIMESTAMP, 'y=%Y/m=%m/d=%d/h=%H/m=00')"
    with duckdb.connect(config={"threads": "2"}) as con:
        values = {"first": 0, "rows": rows, "principals": 2_000, "days": days, "day": 0}
        con.execute(f"CREATE TEMP TABLE calls AS {_CALLS}", values)
        found = con.execute(
            f"SELECT {place} AS place, string_agg(to_json(r)::VARCHAR, chr(10)) FROM ({_RECORDS}) AS r GROUP BY place"
        ).fetchall()
    for hour, lines in found:
        (folder / hour).mkdir(parents=True)
        text = f"{lines}\n".encode()
        name = "PT1H.json.gz" if packed else "PT1H.json"
        (folder / hour / name).write_bytes(gzip.compress(text, 6) if packed else text)
    return folder


def write_keyed_events(path: Path, rows: int) -> Path:
    """Write events as `queries/reduce/reduce.sql` reads them, of 90 days, as Parquet; a use has eight calls."""
    with duckdb.connect(config={"threads": "2"}) as con:
        con.execute(
            f"""
            COPY (
                SELECT TIMESTAMP '2026-01-01' + to_days((h // 97 % 90)::INTEGER)
                        + to_seconds((call % 86400)::BIGINT) AS time, time::DATE AS day,
                    (h % 20000)::INTEGER AS principal_key, (h // 20000 % 40 + h % 97 * 5)::INTEGER AS operation_key,
                    (h % 20000 * 7 + h // 800000 % 6)::INTEGER AS scope_key, 'control' AS plane,
                    CASE WHEN h % 3 > 0 THEN (h % 60000)::INTEGER END AS assignment_key,
                    CASE call // 64 % 20 WHEN 0 THEN 'failed' WHEN 1 THEN 'denied' ELSE 'succeeded' END AS outcome,
                    false AS suspect
                FROM (SELECT hash(i // 8) AS h, hash(i) AS call FROM range($rows) AS r(i)) ORDER BY day, call
            ) TO '{path}' (FORMAT parquet, COMPRESSION zstd)""",
            {"rows": rows},
        )
    return path


_ANALYTICS = """
SELECT moment AS TimeGenerated, 'AzureActivity' AS "Type", upper(action) AS OperationNameValue,
    upper(scope) AS _ResourceId, 'Administrative' AS CategoryValue,
    CASE WHEN h % 50 = 0 THEN 'Failure' ELSE 'Success' END AS ActivityStatusValue,
    format('person{}@example.com', principal) AS Caller, '198.51.100.20' AS CallerIpAddress,
    correlation AS CorrelationId, correlation AS EventDataId,
    format('{{"action":"{}","scope":"{}","evidence":{{"roleAssignmentId":"{}","roleDefinitionId":"{}",'
        '"principalId":"{}","principalType":"User"}}}}', action, scope, md5(format('{}/{}', principal, place % 3)),
        md5('contributor'), replace(object_id, '-', '')) AS "Authorization",
    format('{{"appid":"c44b4083-3bb0-49c1-b47d-974e53cbdf3c","idtyp":"user","oid":"{}"}}', object_id) AS Claims
FROM calls WHERE is_end = 1 ORDER BY moment
"""


def write_analytics(path: Path, rows: int, *, day: int, days: int, principals: int = 20_000) -> Path:
    """Write calls as Log Analytics exports AzureActivity to Parquet, one row each; else as `write_activity`."""
    with duckdb.connect(config={"threads": "2"}) as con:
        values = {"first": day << 32, "rows": 2 * rows, "principals": principals, "days": days, "day": day}
        con.execute(f"CREATE TEMP TABLE calls AS {_CALLS}", values)
        con.execute(f"COPY ({_ANALYTICS}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
    return path


def write_later_analytics(path: Path, earlier: Path, run: int, days: int) -> Path:
    """Write the calls of a file of `write_analytics` anew, `run` times `days` days later and under ids of their own.

    It costs a fifth of making them up.
    """
    with duckdb.connect(config={"threads": "2"}) as con:
        con.execute(
            f"""
            COPY (
                SELECT * REPLACE (
                    TimeGenerated + to_days($days::INTEGER) AS TimeGenerated,
                    substr(CorrelationId, 1, 9) || format('{{:04x}}', $run) || substr(CorrelationId, 14)
                        AS CorrelationId,
                    substr(EventDataId, 1, 9) || format('{{:04x}}', $run) || substr(EventDataId, 14) AS EventDataId)
                FROM read_parquet('{earlier}')
            ) TO '{path}' (FORMAT parquet, COMPRESSION snappy)""",
            {"run": run, "days": run * days},
        )
    return path
