-- title: The inputs of controls, and whether they are loaded
-- description: One row for each input that a control names under `needs`. Without it the answer of the control is
--   `unknown`, with the reason given here.
-- columns: need, met, reason
SELECT 'assignments' AS need, EXISTS (SELECT 1 FROM role_assignments) AS met,
       'no role assignments are loaded' AS reason
UNION ALL
SELECT 'definitions', EXISTS (SELECT 1 FROM role_definitions), 'no role definitions are loaded'
UNION ALL
SELECT 'custom_roles',
       EXISTS (SELECT 1 FROM role_definitions WHERE role_type = 'CustomRole')
           OR EXISTS (SELECT 1 FROM loads WHERE source = 'role_definitions'),
       'no listing of role definitions is loaded'
UNION ALL
SELECT 'catalogue', EXISTS (SELECT 1 FROM operations) AND EXISTS (SELECT 1 FROM role_operations),
       'no catalogue of operations is loaded, so it is not known what roles grant'
UNION ALL
SELECT 'users', EXISTS (SELECT 1 FROM listings WHERE listing = 'users' AND complete),
       'no complete listing of users is loaded'
UNION ALL
SELECT 'groups', EXISTS (SELECT 1 FROM listings WHERE listing = 'groups' AND complete),
       'no complete listing of groups is loaded'
UNION ALL
SELECT 'service_principals', EXISTS (SELECT 1 FROM listings WHERE listing = 'servicePrincipals' AND complete),
       'no complete listing of service principals is loaded'
UNION ALL
SELECT 'eligibility',
       EXISTS (SELECT 1 FROM role_assignments WHERE state = 'eligible')
           OR EXISTS (SELECT 1 FROM loads WHERE source = 'role_eligibility_instances'),
       'no eligible assignments of Privileged Identity Management are loaded'
UNION ALL
SELECT 'policies', EXISTS (SELECT 1 FROM role_management_policies WHERE rules IS NOT NULL),
       'no role management policies are loaded'
UNION ALL
SELECT 'analysis', EXISTS (SELECT 1 FROM verdicts),
       'no analysis is stored: run `rightsize analyze`'
UNION ALL
SELECT 'activity_log', EXISTS (SELECT 1 FROM coverage WHERE source = 'activity_log' AND state <> 'missing'),
       'no Activity Log is loaded'
UNION ALL
SELECT 'sign_in_log', EXISTS (SELECT 1 FROM coverage WHERE source = 'sign_in_log' AND state <> 'missing'),
       'no sign-in log is loaded'
UNION ALL
SELECT 'azure_ad_graph_log', EXISTS (SELECT 1 FROM loads WHERE source = 'azure_ad_graph_log'),
       'no log of requests to Azure AD Graph is loaded'
UNION ALL
SELECT 'signals', EXISTS (SELECT 1 FROM usage_days WHERE suspect > 0),
       'no loaded alert or risky sign-in is at the time of a call'
UNION ALL
SELECT 'directory_roles',
       EXISTS (SELECT 1 FROM directory_role_assignments) AND EXISTS (SELECT 1 FROM directory_roles),
       'no directory roles and their assignments are loaded'
UNION ALL
SELECT 'federated_credentials', EXISTS (SELECT 1 FROM federated_credentials),
       'no federated credentials are loaded'
UNION ALL
SELECT 'graph_permissions', EXISTS (SELECT 1 FROM app_role_assignments),
       'no application permissions of Microsoft Graph are loaded'
UNION ALL
SELECT 'consents', EXISTS (SELECT 1 FROM permission_grants), 'no delegated permission grants are loaded'
UNION ALL
SELECT 'graph_map', EXISTS (SELECT 1 FROM graph_permissions WHERE privilege_level IS NOT NULL),
       'the permission map of Microsoft Graph is not loaded'
UNION ALL
SELECT 'graph_grants', EXISTS (SELECT 1 FROM app_role_assignments) OR EXISTS (SELECT 1 FROM permission_grants),
       'no application permissions and no delegated permission grants are loaded'
UNION ALL
SELECT 'agents',
       EXISTS (SELECT 1 FROM principals WHERE object_type = 'agentIdentity')
           OR EXISTS (SELECT 1 FROM listings WHERE listing = 'servicePrincipals' AND complete),
       'no agent identities and no complete listing of service principals are loaded'
UNION ALL
SELECT 'sponsors',
       EXISTS (SELECT 1 FROM object_sponsors) OR EXISTS (SELECT 1 FROM loads WHERE source = 'object_sponsors'),
       'no sponsors of agents are loaded'
UNION ALL
SELECT 'inheritable',
       EXISTS (SELECT 1 FROM inheritable_permissions)
           OR EXISTS (SELECT 1 FROM listings WHERE listing = 'inheritablePermissions' AND complete),
       'the inheritable permissions of agent blueprints are not loaded'
UNION ALL
SELECT 'usage', EXISTS (SELECT 1 FROM usage_days), 'no use is loaded'
UNION ALL
SELECT 'subscriptions', EXISTS (SELECT 1 FROM scopes WHERE kind = 'subscription'), 'no subscription is known'
ORDER BY need
