-- The calls from `$first` to `$last` that open a way to somebody, by the folded operations in `$opening`.
--
-- Columns: `actor_id, name, time`; `group`, the folded scope that is opened; `holder_id`, whom the call, a listing or
-- the audit log names as the holder, by name or through a group; `object_id`, the first object of a change of the
-- directory.
WITH calls AS (
    SELECT p.principal_id AS actor_id, o.folded AS name, s.folded AS place, e.time, e.event_key
    FROM base.events AS e JOIN base.operation_names AS o USING (operation_key)
    JOIN base.scope_names AS s USING (scope_key) JOIN ({people}) AS p USING (actor_key)
    WHERE o.folded IN (SELECT unnest($opening)) AND e.rank IN (1, 4) AND e.time::DATE BETWEEN $first AND $last
), named AS (
    SELECT c.* EXCLUDE (event_key), coalesce(b.assigned_principal_id, a.principal_id, d.other_id) AS holder_id,
        coalesce(d.object_id, nullif(ltrim(c.place, '/'), '')) AS object_id
    FROM calls AS c LEFT JOIN base.request_bodies AS b USING (event_key)
    LEFT JOIN base.role_assignments AS a
        ON a.role_assignment_id = string_split(c.place, '/')[-1] AND a.state = 'active'
    LEFT JOIN base.changed_objects AS d ON d.event_key = lower(hex(c.event_key))
)
SELECT DISTINCT actor_id, name, time, coalesce(g.member_id, holder_id) AS holder_id, object_id,
    regexp_replace(place, '/(providers/microsoft[.](authorization/roleassignments|managedservices'
        || '|insights/diagnosticsettings)|accesspolicies|federatedidentitycredentials)/.*$', '') AS "group"
FROM named LEFT JOIN group_closure AS g ON g.group_id = holder_id
