-- title: Activations end the same day
-- description: Role management policies of risky roles that allow activations longer than `hours`.
-- severity: low
-- subject: role_management_policy
-- needs: policies, catalogue
-- with: powers
-- tags: MCSB PA-2, NIST AC-6
-- parameter: hours integer = 8  longest activation that passes
-- columns: resource, status, reason
WITH lasting AS (
    SELECT r.*,
           24 * coalesce(try_cast(regexp_extract(r.maximum_activation, '^P(\d+)D', 1) AS INTEGER), 0)
           + coalesce(try_cast(regexp_extract(r.maximum_activation, 'T(\d+)H', 1) AS INTEGER), 0)
           + coalesce(try_cast(regexp_extract(r.maximum_activation, '(\d+)M$', 1) AS INTEGER), 0) / 60.0 AS hours
    FROM role_management_policies r
)
SELECT r.policy_id AS resource,
       CASE WHEN nullif(r.maximum_activation, '') IS NULL THEN 'unknown'
            WHEN r.hours > $hours THEN 'fail' ELSE 'pass' END AS status,
       concat('an activation of ', coalesce(d.role_name, r.role_definition_id), ' at ', r.scope,
              CASE status WHEN 'unknown' THEN ': its rules are not loaded'
                   ELSE concat(' may last ', r.maximum_activation) END) AS reason
FROM lasting r
JOIN powers w ON w.role_definition_id = r.role_definition_id AND w.risky > 0
LEFT JOIN role_definitions d ON d.role_definition_id = r.role_definition_id
