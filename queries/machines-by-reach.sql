-- title: What falls with one machine, today and under the last plan
-- description: Resources with a managed identity, the widest reach first.
-- columns: resource, state, identities, resources, secrets, subscriptions, layers, cells, cells_proposed
SELECT r.subject AS resource, r.state, r.identities, r.resources, r.secrets, r.subscriptions,
       array_to_string(r.layers, ', ') AS layers, r.cells, coalesce(w.cells, 0) AS cells_proposed
FROM reach r
LEFT JOIN reach w ON w.basis = 'proposed' AND w.subject = r.subject AND w.kind = r.kind AND w.state = r.state
WHERE r.basis = 'granted' AND r.kind = 'resource'
ORDER BY r.cells DESC, r.identities DESC, r.subject, r.state
