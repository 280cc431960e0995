-- title: No dynamic group holds a risky role
-- description: Groups with dynamic membership and a risky role. Whoever can write the attribute of the rule can give
--   the role.
-- severity: high
-- subject: principal
-- needs: assignments, groups, catalogue
-- with: held, powers
-- tags: MCSB PA-3, NIST AC-6
-- columns: resource, status, reason
SELECT h.principal_id AS resource,
       CASE WHEN bool_or(list_contains(coalesce(p.group_types, []), 'DynamicMembership')) AND max(w.risky) > 0
            THEN 'fail' ELSE 'pass' END AS status,
       concat(any_value(h.assignee_name), ' has ', coalesce(min(h.assigned) FILTER (w.risky > 0), min(h.assigned))) AS reason
FROM held h
JOIN principals p ON p.principal_id = h.principal_id AND p.principal_type = 'Group'
LEFT JOIN powers w ON w.role_definition_id = h.role_definition_id
WHERE h.through_group IS NULL
GROUP BY h.principal_id
