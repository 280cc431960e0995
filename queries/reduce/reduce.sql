-- From calls to usage: one row a principal, operation, scope, plane, assignment and day.
--
-- Reads `event_keys`: time, day, principal_key, operation_key, scope_key, plane, assignment_key, outcome, suspect. Keys
-- are opaque: integers in DuckDB, strings on Spark. A null assignment is the call whose log names none.
-- A call whose outcome says nothing of authorisation is not in it. Counts, since a sum would be twice as wide and slow.
SELECT
    principal_key,
    operation_key,
    scope_key,
    plane,
    assignment_key,
    day,
    min(time) AS first_seen,
    max(time) AS last_seen,
    count(CASE WHEN outcome = 'succeeded' THEN 1 END) AS succeeded,
    count(CASE WHEN outcome = 'failed' THEN 1 END) AS failed,
    count(CASE WHEN outcome = 'started' THEN 1 END) AS started,
    count(CASE WHEN outcome = 'denied' THEN 1 END) AS denied,
    count(CASE WHEN suspect THEN 1 END) AS suspect
FROM event_keys
WHERE outcome <> 'other'
GROUP BY principal_key, operation_key, scope_key, plane, assignment_key, day
