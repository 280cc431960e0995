-- title: {title}
-- description: {description}
-- severity: {severity}
-- subject: role_assignment
-- needs: assignments, catalogue
-- with: held
-- tags: {tags}
-- columns: resource, status, reason
WITH reaching AS (
    SELECT o.role_definition_id, min(o.operation) AS example
    FROM role_operations o
    WHERE NOT o.conditional AND o.plane = 'control' AND regexp_matches(o.operation, '{pattern}', 'i')
    GROUP BY o.role_definition_id
)
SELECT h.role_assignment_id AS resource,
       CASE WHEN NOT h.role_known THEN 'unknown'
            WHEN h.standing AND r.example IS NOT NULL THEN 'fail' ELSE 'pass' END AS status,
       concat(h.who, ' has ', h.assigned,
              CASE WHEN NOT h.role_known THEN ', a role whose definition is not loaded'
                   WHEN r.example IS NOT NULL THEN concat(', and with it ', r.example) END) AS reason
FROM held h
LEFT JOIN reaching r ON r.role_definition_id = h.role_definition_id
WHERE h.through_group IS NULL AND h.level IN ('root', 'management_group', 'subscription')
