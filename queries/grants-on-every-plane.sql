-- title: What a principal holds on every plane
-- description: Role assignments, application permissions, delegated permissions and directory roles of the principal
--   itself. `groups-of-principal` shows its access through groups.
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
