-- title: Activating a role that gives rights needs an approval
-- description: Role management policies without approval, of roles that give rights, at subscriptions and above.
-- severity: medium
-- subject: role_management_policy
-- needs: policies, catalogue
-- with: powers
-- tags: MCSB PA-2, NIST AC-5
-- columns: resource, status, reason
SELECT r.policy_id AS resource,
       CASE WHEN r.requires_approval THEN 'pass' WHEN r.requires_approval IS NULL THEN 'unknown' ELSE 'fail' END AS status,
       concat('activating ', coalesce(d.role_name, r.role_definition_id), ' at ', r.scope,
              CASE status WHEN 'fail' THEN ' needs no approval' WHEN 'unknown' THEN ': its rules are not loaded' END) AS reason
FROM role_management_policies r
JOIN powers w ON w.role_definition_id = r.role_definition_id AND w.gives_rights
LEFT JOIN role_definitions d ON d.role_definition_id = r.role_definition_id
WHERE NOT regexp_matches(r.scope, '/resourceGroups/', 'i')
