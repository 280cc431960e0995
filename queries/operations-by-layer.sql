-- title: Operations that defeat a layer of defence
-- description: Operations of the catalogue that weaken, disable or bypass controls of the layer, with the number of
--   assigned roles that grant each.
-- parameter: layer text = 'monitoring'  host_integrity, compute_isolation, network_segmentation, data_protection,
--   identity_control or monitoring
-- columns: operation, plane, effect, control, roles
SELECT l.operation, l.plane, l.effect, l.control,
       count(DISTINCT r.role_definition_id) FILTER (WHERE a.role_definition_id IS NOT NULL) AS roles
FROM operation_layers l
LEFT JOIN role_operations r ON r.operation = l.operation AND r.plane = l.plane
LEFT JOIN (SELECT DISTINCT role_definition_id FROM role_assignments) a ON a.role_definition_id = r.role_definition_id
WHERE l.layer = $layer
GROUP BY ALL
ORDER BY roles DESC, l.operation, l.plane
