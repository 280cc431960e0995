-- title: Who can defeat several layers of defence in one subscription, today and under the last plan
-- description: Granted and proposed access, the widest reach first, with the fewest operations that suffice today.
--   `rightsize analyze` computes what is granted and used, `rightsize propose` what the plan would leave.
-- columns: principal_id, name, principal_type, subscription, state, granted, used, proposed, enough
WITH used AS (
    SELECT principal_id, scope, list_sort(list(DISTINCT layer)) AS layers
    FROM layer_defeats WHERE basis = 'used' GROUP BY ALL
)
SELECT v.principal_id,
       coalesce(p.user_principal_name, p.display_name) AS name,
       p.principal_type,
       coalesce(s.display_name, v.scope) AS subscription,
       v.state,
       array_to_string(v.layers, ', ') AS granted,
       array_to_string(u.layers, ', ') AS used,
       array_to_string(w.layers, ', ') AS proposed,
       array_to_string(v.fewest, ', ') AS enough
FROM layer_violations v
LEFT JOIN layer_violations w
    ON w.basis = 'proposed' AND w.principal_id = v.principal_id AND w.scope = v.scope AND w.state = v.state
LEFT JOIN used u ON u.principal_id = v.principal_id AND u.scope = v.scope
LEFT JOIN principals p ON p.principal_id = v.principal_id
LEFT JOIN scopes s ON lower(s.scope) = v.scope
WHERE v.basis = 'granted'
ORDER BY v.reach DESC, v.layer_count DESC, v.principal_id, v.scope, v.state
