-- From calls to usage: one row a principal, operation, scope, plane, assignment and day.
--
-- Reads `event_keys`: time, day, principal_key, operation_key, scope_key, plane, assignment_key, outcome, suspect. Keys
-- are opaque: integers in DuckDB, strings on Spark. A null assignment is the call whose log names none.
-- A call whose outcome says nothing of authorisation is not in it.
SELECT
    principal_key,
    operation_key,
    scope_key,
    plane,
    assignment_key,
    day,
    min(time) AS first_seen,
    max(time) AS last_seen,
    sum(CASE WHEN outcome = 'succeeded' THEN 1 ELSE 0 END) AS succeeded,
    sum(CASE WHEN outcome = 'failed' THEN 1 ELSE 0 END) AS failed,
    sum(CASE WHEN outcome = 'started' THEN 1 ELSE 0 END) AS started,
    sum(CASE WHEN outcome = 'denied' THEN 1 ELSE 0 END) AS denied,
    sum(CASE WHEN suspect THEN 1 ELSE 0 END) AS suspect
FROM event_keys
WHERE outcome IN ('succeeded', 'failed', 'started', 'denied')
GROUP BY principal_key, operation_key, scope_key, plane, assignment_key, day
