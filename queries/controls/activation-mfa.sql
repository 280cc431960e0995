-- title: Activating a role that gives rights needs strong authentication
-- description: Role management policies of roles that give rights, without multifactor authentication and
--   authentication context on activation. Conditional Access may require it anyway; its policies are not loaded.
-- severity: high
-- subject: role_management_policy
-- needs: policies, catalogue
-- with: powers
-- tags: MCSB IM-6, NIST IA-2(1)
-- columns: resource, status, reason
SELECT r.policy_id AS resource,
       CASE WHEN r.requires_mfa OR nullif(r.authentication_context, '') IS NOT NULL THEN 'pass'
            WHEN r.requires_mfa IS NULL THEN 'unknown' ELSE 'fail' END AS status,
       concat('activating ', coalesce(d.role_name, r.role_definition_id), ' at ', r.scope,
              CASE status WHEN 'fail' THEN ' needs no second factor' WHEN 'unknown' THEN ': its rules are not loaded' END) AS reason
FROM role_management_policies r
JOIN powers w ON w.role_definition_id = r.role_definition_id AND w.gives_rights
LEFT JOIN role_definitions d ON d.role_definition_id = r.role_definition_id
