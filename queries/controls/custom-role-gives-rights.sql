-- title: No custom role gives rights without a condition
-- description: Custom roles that can assign roles, define roles or elevate access, without a condition in their
--   permission blocks.
-- severity: high
-- subject: role_definition
-- needs: custom_roles, catalogue
-- with: powers
-- tags: MCSB PA-7, NIST AC-6(1)
-- columns: resource, status, reason
SELECT d.role_definition_id AS resource,
       CASE WHEN coalesce(w.gives_rights, false) THEN 'fail' ELSE 'pass' END AS status,
       concat(d.role_name, CASE WHEN w.gives_rights THEN ' can give anybody any right' END) AS reason
FROM role_definitions d
LEFT JOIN powers w ON w.role_definition_id = d.role_definition_id
WHERE d.role_type = 'CustomRole'
