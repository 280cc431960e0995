-- title: Who can permanently give anybody any access
-- description: Permanent holders of Owner, User Access Administrator and Role Based Access Control Administrator,
--   members of groups included.
-- columns: principal_id, name, principal_type, through_group, role_name, scope, created_on, role_assignment_id
WITH standing AS (
    SELECT * FROM role_assignments
    WHERE state = 'active' AND end_on IS NULL
      AND role_definition_id IN (
          '8e3af657-a8ff-443c-a75c-2fe8c4bcb635',  -- Owner
          '18d7d88d-d35e-4fb5-a5c3-7773c20a72d9',  -- User Access Administrator
          'f58310d9-a9f6-439a-9e8d-f62e7b41a168'   -- Role Based Access Control Administrator
      )
),
held AS (
    SELECT s.*, s.principal_id AS holder, NULL AS through_group FROM standing s
    UNION ALL
    SELECT s.*, c.member_id, s.principal_id FROM standing s JOIN group_closure c ON c.group_id = s.principal_id
)
SELECT h.holder AS principal_id,
       coalesce(p.display_name, CASE WHEN h.through_group IS NULL THEN h.principal_name END) AS name,
       coalesce(p.principal_type, CASE WHEN h.through_group IS NULL THEN h.principal_type END) AS principal_type,
       h.through_group,
       coalesce(d.role_name, h.role_name) AS role_name,
       h.scope,
       h.created_on,
       h.role_assignment_id
FROM held h
LEFT JOIN principals p ON p.principal_id = h.holder
LEFT JOIN role_definitions d ON d.role_definition_id = h.role_definition_id
ORDER BY h.scope, role_name, principal_id, h.role_assignment_id, h.through_group
