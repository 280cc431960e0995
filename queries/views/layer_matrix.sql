SELECT principal_id, scope, basis, state, bool_or(layer = 'host_integrity') AS host_integrity,
    bool_or(layer = 'compute_isolation') AS compute_isolation,
    bool_or(layer = 'network_segmentation') AS network_segmentation,
    bool_or(layer = 'data_protection') AS data_protection, bool_or(layer = 'identity_control') AS identity_control,
    bool_or(layer = 'monitoring') AS monitoring, count(*) AS layer_count
FROM base.layer_defeats GROUP BY ALL
