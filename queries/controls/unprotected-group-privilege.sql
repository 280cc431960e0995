-- title: Groups that give rights are role-assignable
-- description: Groups with a role that gives rights and that are not role-assignable. Their owners, and every
--   administrator of groups or users, can add themselves, and no Azure log shows it.
-- severity: high
-- subject: principal
-- needs: assignments, groups, catalogue
-- with: held, powers
-- tags: MCSB PA-1, NIST AC-6(5)
-- columns: resource, status, reason
SELECT h.principal_id AS resource,
       CASE WHEN bool_and(p.is_role_assignable) THEN 'pass'
            WHEN bool_or(p.is_role_assignable IS NULL) THEN 'unknown' ELSE 'fail' END AS status,
       concat(any_value(h.assignee_name), ' has ', min(h.assigned),
              CASE status WHEN 'fail' THEN ', and its owners say who is in it'
                   WHEN 'unknown' THEN ', and the listing does not say whether it is role-assignable' END) AS reason
FROM held h
JOIN principals p ON p.principal_id = h.principal_id AND p.principal_type = 'Group'
JOIN powers w ON w.role_definition_id = h.role_definition_id AND w.gives_rights
WHERE h.through_group IS NULL
GROUP BY h.principal_id
