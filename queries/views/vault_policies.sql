WITH policies AS (
    SELECT scope, {folded[(settings::JSON ->> 'tenantId')]} AS own,
        unnest(json_extract(settings::JSON, '$.accessPolicies[*]')) AS policy
    FROM base.resources
    WHERE {folded[resource_type]} = '{vault}' AND json_type(settings::JSON, '$.accessPolicies') = 'ARRAY'
), spelt AS (
    SELECT scope, own, policy, unnest([{kinds}], recursive := true) FROM policies
), held AS (
    SELECT DISTINCT scope, policy ->> 'principal' AS principal_id, policy ->> 'application' AS app_id, kind,
        unnest(words) AS permission,
        coalesce(policy ->> 'tenant' <> '' AND policy ->> 'tenant' <> own, false) AS is_foreign
    FROM spelt WHERE policy ->> 'principal' <> ''
)
SELECT DISTINCT h.*, a.operation
FROM held AS h LEFT JOIN (VALUES {allowed}) AS a(kind, permission, operation) USING (kind, permission)
