-- The risky operations of each role without a condition inside the role, and the layers that they can weaken.
-- `gives_rights` means that it can give anybody any right: by assignments, definitions, schedules or elevated access.
SELECT o.role_definition_id,
       count(*) FILTER (x.risk = 'privilege') AS privilege,
       count(*) FILTER (x.risk = 'secret') AS secret,
       count(*) FILTER (x.risk = 'code_execution') AS code_execution,
       count(*) FILTER (x.risk = 'destruction') AS destruction,
       count(*) FILTER (x.risk = 'evasion') AS evasion,
       count(*) FILTER (o.plane = 'data') AS data_operations,
       count(*) FILTER (x.verb IS DISTINCT FROM 'read') AS changing,
       count(*) FILTER (x.risk IN ('privilege', 'secret', 'code_execution', 'destruction', 'evasion')) AS risky,
       coalesce(bool_or(lower(o.operation) IN (
           'microsoft.authorization/roleassignments/write',
           'microsoft.authorization/roledefinitions/write',
           'microsoft.authorization/roleassignmentschedulerequests/write',
           'microsoft.authorization/roleeligibilityschedulerequests/write',
           'microsoft.authorization/elevateaccess/action'
       )), false) AS gives_rights,
       coalesce(list_sort(list(DISTINCT x.layer) FILTER (
           x.layer IS NOT NULL
           AND x.risk IN ('privilege', 'secret', 'code_execution', 'destruction', 'evasion', 'exposure')
       )), []) AS layers
FROM role_operations o
JOIN operations x ON x.operation = o.operation
WHERE NOT o.conditional
GROUP BY o.role_definition_id
