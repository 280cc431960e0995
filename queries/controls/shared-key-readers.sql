-- title: Few can read keys that bypass roles
-- description: Holders of a role that reads storage, database, bus or search keys at a subscription or above. A key
--   bypasses roles and Conditional Access, and its calls do not name a principal.
-- severity: high
-- subject: role_assignment
-- needs: assignments, catalogue
-- with: held
-- tags: MCSB IM-8, MCSB DP-8, NIST IA-5
-- columns: resource, status, reason
WITH keys AS (
    SELECT o.role_definition_id, count(*) AS operations, min(o.operation) AS example
    FROM role_operations o
    WHERE o.plane = 'control' AND NOT o.conditional AND regexp_matches(o.operation, '/list\w*keys?(/action)?$', 'i')
    GROUP BY o.role_definition_id
)
SELECT h.role_assignment_id AS resource,
       CASE WHEN NOT h.role_known THEN 'unknown'
            WHEN h.standing AND k.operations > 0 THEN 'fail' ELSE 'pass' END AS status,
       concat(h.who, ' has ', h.assigned,
              CASE WHEN NOT h.role_known THEN ', a role whose definition is not loaded'
                   WHEN k.operations > 0 THEN concat(', and with it ', k.example) END) AS reason
FROM held h
LEFT JOIN keys k ON k.role_definition_id = h.role_definition_id
WHERE h.through_group IS NULL AND h.level IN ('root', 'management_group', 'subscription')
