"""The speed limit: DuckDB's own projection of the same fields from the same file, and a group-by."""

import sys

import duckdb

OID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
con = duckdb.connect()
con.execute("SET threads = 2")
print(
    con.execute(
        f"""
        SELECT count(*) FROM (
            SELECT identity.claims."{OID}", lower(identity.authorization.action), lower(resourceId), time[:10], count(*)
            FROM read_json($path, format = 'newline_delimited', compression = 'gzip', columns = {{
                'time': 'VARCHAR', 'resourceId': 'VARCHAR', 'operationName': 'VARCHAR', 'resultType': 'VARCHAR',
                'correlationId': 'VARCHAR', 'callerIpAddress': 'VARCHAR', 'category': 'VARCHAR',
                'identity': 'STRUCT(claims STRUCT("{OID}" VARCHAR, appid VARCHAR, name VARCHAR),
                    "authorization" STRUCT(action VARCHAR, scope VARCHAR, evidence STRUCT(roleAssignmentId VARCHAR)))'
            }}) GROUP BY ALL)""",
        {"path": sys.argv[1]},
    ).fetchall()[0][0]
)
