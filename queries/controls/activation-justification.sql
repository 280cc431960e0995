-- title: Activating a risky role needs a reason
-- description: Role management policies of risky roles that require neither a justification nor a ticket.
-- severity: low
-- subject: role_management_policy
-- needs: policies, catalogue
-- with: powers
-- tags: MCSB PA-2, NIST AC-6(9)
-- columns: resource, status, reason
SELECT r.policy_id AS resource,
       CASE WHEN r.requires_justification OR r.requires_ticket THEN 'pass'
            WHEN r.requires_justification IS NULL THEN 'unknown' ELSE 'fail' END AS status,
       concat('activating ', coalesce(d.role_name, r.role_definition_id), ' at ', r.scope,
              CASE status WHEN 'fail' THEN ' needs no reason' WHEN 'unknown' THEN ': its rules are not loaded' END) AS reason
FROM role_management_policies r
JOIN powers w ON w.role_definition_id = r.role_definition_id AND w.risky > 0
LEFT JOIN role_definitions d ON d.role_definition_id = r.role_definition_id
