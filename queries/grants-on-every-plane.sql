-- title: What a principal holds itself, on every plane
-- description: Role assignments, permissions of applications, delegated permissions and directory roles that name the
--   principal; what it gets through groups is in `groups-of-principal`.
-- parameter: principal text  object id, user principal name or application id
-- columns: plane, access, granted, scope, state, conditional, grant_id
WITH wanted AS (
    SELECT translate(trim($principal), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') AS text
),
who AS (
    SELECT text AS principal_id FROM wanted
    UNION
    SELECT principal_id FROM principal_aliases WHERE alias = (SELECT text FROM wanted)
)
SELECT plane,
       access,
       granted,
       scope,
       state,
       conditional,
       grant_id
FROM granted
WHERE principal_id IN (SELECT principal_id FROM who)
ORDER BY plane, access, granted, scope, grant_id, state
