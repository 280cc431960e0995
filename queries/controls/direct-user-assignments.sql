-- title: People hold roles through groups
-- description: Active roles assigned to single users. Access reviews and offboarding often miss them.
-- severity: low
-- subject: role_assignment
-- needs: assignments
-- with: held
-- tags: MCSB PA-4, NIST AC-2
-- columns: resource, status, reason
SELECT h.role_assignment_id AS resource,
       CASE h.assignee_type WHEN 'User' THEN 'fail' WHEN 'Unknown' THEN 'unknown' ELSE 'pass' END AS status,
       concat(h.who, ' has ', h.assigned) AS reason
FROM held h
WHERE h.through_group IS NULL AND h.state = 'active' AND h.assignee_type IS NOT NULL
