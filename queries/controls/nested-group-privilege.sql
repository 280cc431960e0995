-- title: Nested groups do not give rights
-- description: Roles that give rights and are held through `depth` or more nested groups. Access reviews look one
--   group deep.
-- severity: low
-- subject: principal
-- needs: assignments, catalogue
-- with: held, powers, opaque
-- tags: MCSB PA-4, NIST AC-6(7)
-- parameter: depth integer = 3  fewest nested groups that fail
-- columns: resource, status, reason
SELECT h.principal_id AS resource,
       CASE WHEN max(c.depth) >= $depth THEN 'fail'
            WHEN bool_or(q.group_id IS NOT NULL) THEN 'unknown' ELSE 'pass' END AS status,
       concat(any_value(h.assignee_name), ' has ', min(h.assigned),
              CASE WHEN q.group_id IS NOT NULL THEN ', and who is in it is not loaded'
                   ELSE concat(', with members ', coalesce(max(c.depth), 0), ' groups deep') END) AS reason
FROM held h
JOIN powers w ON w.role_definition_id = h.role_definition_id AND w.gives_rights
LEFT JOIN group_closure c ON c.group_id = h.principal_id
LEFT JOIN opaque q ON q.group_id = h.principal_id
WHERE h.through_group IS NULL AND h.assignee_type = 'Group'
GROUP BY h.principal_id, q.group_id
