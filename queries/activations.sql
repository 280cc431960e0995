-- title: Activations and what was done with them
-- description: After `analyze`: every activation that could be rebuilt, the latest first. Reads of resources are not
--   in the logs.
-- columns: start_on, hours, plane, principal_id, name, role_name, scope, justified, approved, seen_in, events, done
SELECT v.start_on,
       round(v.hours, 1) AS hours,
       v.plane,
       v.principal_id,
       p.display_name AS name,
       coalesce(d.role_name, e.role_name, v.role_definition_id) AS role_name,
       v.scope,
       v.justified,
       v.approved,
       v.seen_in,
       v.events,
       v.done
FROM activations v
LEFT JOIN principals p ON p.principal_id = v.principal_id
LEFT JOIN role_definitions d ON d.role_definition_id = v.role_definition_id
LEFT JOIN directory_roles e ON e.directory_role_id = v.role_definition_id
ORDER BY v.start_on DESC, v.activation_id
