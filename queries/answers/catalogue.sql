-- How much the catalogue has of each kind.
SELECT
    (SELECT count(*) FROM operations) AS operations,
    (SELECT count(*) FROM operations WHERE is_data_action IS FALSE AND is_guess IS NOT TRUE) AS control,
    (SELECT count(*) FROM operations WHERE is_data_action IS TRUE AND is_guess IS NOT TRUE) AS data,
    (SELECT count(*) FROM operations WHERE is_data_action IS NOT NULL AND is_guess) AS guessed,
    (SELECT count(*) FROM operations WHERE is_data_action IS NULL) AS unknown,
    (SELECT count(*) FROM role_definitions WHERE role_type = 'BuiltInRole') AS built_in_roles,
    (SELECT count(*) FROM role_definitions WHERE role_type = 'CustomRole') AS custom_roles,
    (SELECT count(*) FROM directory_roles) AS directory_roles,
    (SELECT count(DISTINCT permission) FROM graph_permissions) AS graph_permissions,
    (SELECT count(DISTINCT (method, path)) FROM graph_permission_paths) AS graph_requests,
    (SELECT count(*) FROM api_permissions) AS permission_ids,
    (SELECT count(*) FROM first_party_apps) AS first_party_apps
