-- What a row of its own names comes before the set in which it would be counted.
WITH named AS (
    SELECT role_assignment_id, state, operation, plane, max(verdict) AS verdict,
        arg_max(reason, (verdict, events, reason)) AS reason, sum(events)::BIGINT AS events,
        max(last_seen) AS last_seen, min(principal_id) AS principal_id, min(scope) AS scope
    FROM base.verdicts
    WHERE role_assignment_id IS NOT NULL AND operation IS NOT NULL GROUP BY ALL
), held AS (
    SELECT role_assignment_id, state, principal_id, scope FROM role_assignments
    UNION ALL SELECT role_assignment_id, state, principal_id, scope FROM directory_role_assignments
), found AS (
    SELECT n.role_assignment_id, n.state, n.operation, n.plane,
        coalesce(h.principal_id, n.principal_id) AS principal_id, coalesce(h.scope, n.scope) AS scope,
        n.verdict, n.reason, coalesce(n.events, 0) AS events, n.last_seen
    FROM named AS n LEFT JOIN held AS h USING (role_assignment_id, state)
    UNION ALL
    SELECT v.role_assignment_id, v.state, s.operation, v.plane, v.principal_id, v.scope, v.verdict, v.reason, 0,
        NULL
    FROM base.verdicts AS v JOIN base.verdict_operation_sets AS s USING (set_id)
    WHERE NOT EXISTS (
        SELECT 1 FROM named AS n WHERE n.role_assignment_id = v.role_assignment_id AND n.state = v.state
            AND n.plane = v.plane AND n.operation = s.operation)
)
SELECT f.role_assignment_id, f.state, f.operation, f.plane, f.principal_id, f.scope, f.verdict, f.reason,
    o.observable_by, f.events, f.last_seen
FROM found AS f LEFT JOIN base.operations AS o USING (operation)
