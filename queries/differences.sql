-- title: Where other tools judge access differently
-- description: After `analyze`: permissions and identities that app governance, Defender for Cloud or Advisor judges
--   differently, beside our verdict and its evidence. `we_say_used` and `we_say_unused` contradict; `we_lack` is access
--   that only they know. With `every` also what agrees, and what one side cannot decide.
-- parameter: every boolean = false  also rows without a contradiction
-- columns: difference, tool, they_say, we_say, reason, principal_id, name, plane, access, permission, scope, calls, last_seen, days_covered, judged_on, title
WITH theirs AS (
    SELECT j.*, coalesce(j.principal_id, p.principal_id) AS client,
        coalesce(nullif(n.display_name, ''), nullif(p.display_name, ''), j.principal_name) AS name
    FROM tool_judgements AS j
    LEFT JOIN (SELECT app_id, min(principal_id) AS principal_id, min(display_name) AS display_name FROM principals
        WHERE app_id IS NOT NULL GROUP BY app_id) AS p ON p.app_id = j.app_id
    LEFT JOIN principals AS n ON n.principal_id = j.principal_id
),

-- Permissions of APIs: what several grants give counts as used if one of them was.
grants AS (
    SELECT app_role_assignment_id AS grant_id, principal_id AS client, 'application' AS access, resource_id
    FROM app_role_assignments
    UNION ALL SELECT permission_grant_id, client_id, 'delegated', resource_id FROM permission_grants
),
permissions AS (
    SELECT lower(g.client) AS client, g.access, lower(a.app_id) AS api_app_id, lower(v.operation) AS permission,
        min(struct_pack(place := CASE v.verdict WHEN 'used' THEN 0 WHEN 'unused' THEN 2 ELSE 1 END,
            verdict := v.verdict, reason := v.reason)) AS best,
        sum(v.events)::BIGINT AS calls, max(v.last_seen) AS last_seen
    FROM verdicts AS v JOIN grants AS g ON g.grant_id = v.role_assignment_id
    LEFT JOIN principals AS a ON a.principal_id = g.resource_id
    WHERE v.plane = 'graph' AND v.verdict <> 'unexplained'
    GROUP BY ALL
),
of_permissions AS (
    SELECT t.tool, t.says AS they_say, o.best.verdict AS we_say, o.best.reason AS reason, t.client AS principal_id,
        t.name, t.plane, t.access, t.permission, NULL::VARCHAR AS scope, o.calls, o.last_seen,
        CASE WHEN t.api_app_id = '00000003-0000-0000-c000-000000000000' THEN 'graph_activity_log'
            ELSE 'm365_audit_log' END AS log,
        t.read_on, t.title,
        CASE WHEN o.client IS NULL THEN 'we_lack'
            WHEN t.says = 'unknown' THEN 'they_cannot_decide'
            WHEN o.best.verdict = t.says THEN 'same'
            WHEN o.best.verdict = 'used' THEN 'we_say_used'
            WHEN o.best.verdict = 'unused' THEN 'we_say_unused'
            ELSE 'we_cannot_decide' END AS difference
    FROM theirs AS t
    LEFT JOIN permissions AS o ON o.client = lower(t.client) AND o.access = t.access
        AND o.permission = lower(t.permission) AND coalesce(o.api_app_id, t.api_app_id) = coalesce(t.api_app_id, o.api_app_id)
    WHERE t.plane = 'graph'
),

-- Identities in a subscription: what they or their groups hold there or above, and what they used below.
identities AS (
    SELECT DISTINCT client, lower(scope) AS scope FROM theirs WHERE plane = 'control' AND client IS NOT NULL
),
holders AS (
    SELECT client, scope, client AS holder FROM identities
    UNION SELECT i.client, i.scope, c.group_id FROM identities AS i JOIN group_closure AS c ON c.member_id = i.client
),
near AS (
    SELECT h.client, h.scope, v.verdict, v.reason, v.operations, v.events, v.last_seen
    FROM holders AS h JOIN verdicts AS v ON v.principal_id = h.holder AND v.plane IN ('control', 'data')
    WHERE (lower(v.scope) || '/') LIKE (h.scope || '/%')
        OR (v.verdict <> 'used' AND (v.scope = '/' OR lower(v.scope) LIKE '/providers/microsoft.management/%'))
),
assigned AS (
    SELECT DISTINCT h.client, h.scope
    FROM holders AS h JOIN role_assignments AS a ON a.principal_id = h.holder
    WHERE (lower(a.scope) || '/') LIKE (h.scope || '/%')
        OR a.scope = '/' OR lower(a.scope) LIKE '/providers/microsoft.management/%'
),
counts AS (
    SELECT client, scope, coalesce(sum(events) FILTER (verdict = 'used'), 0)::BIGINT AS calls,
        max(last_seen) FILTER (verdict = 'used') AS last_seen,
        coalesce(sum(operations) FILTER (verdict = 'unused'), 0)::BIGINT AS unused,
        coalesce(sum(operations) FILTER (verdict IN ('unobservable', 'out_of_coverage')), 0)::BIGINT AS undecided
    FROM near GROUP BY ALL
),
reasons AS (
    SELECT client, scope, max(struct_pack(n := n, reason := reason)).reason AS reason
    FROM (SELECT client, scope, reason, sum(operations) AS n FROM near WHERE verdict <> 'used' GROUP BY ALL)
    GROUP BY ALL
),
of_identities AS (
    SELECT t.tool, t.says AS they_say,
        CASE WHEN a.client IS NULL THEN NULL WHEN c.calls > 0 AND c.unused = 0 AND c.undecided = 0 THEN 'used'
            WHEN c.calls > 0 THEN 'used_in_part' WHEN c.unused > 0 AND c.undecided = 0 THEN 'unused'
            ELSE 'cannot_decide' END AS we_say,
        r.reason, t.client AS principal_id, t.name, t.plane, NULL::VARCHAR AS access, NULL::VARCHAR AS permission,
        t.scope, c.calls, c.last_seen, 'activity_log' AS log, t.read_on, t.title,
        CASE WHEN t.client IS NULL THEN 'they_name_nobody'
            WHEN t.says = 'unknown' THEN 'they_cannot_decide'
            WHEN a.client IS NULL THEN 'we_lack'
            WHEN t.says IN ('inactive', 'used') AND c.calls > 0
                THEN CASE t.says WHEN 'inactive' THEN 'we_say_used' ELSE 'same' END
            WHEN t.says = 'overprovisioned' AND c.unused > 0 THEN 'same'
            WHEN coalesce(c.undecided, 1) > 0 THEN 'we_cannot_decide'
            WHEN t.says = 'overprovisioned' THEN 'we_say_used'
            WHEN t.says = 'used' THEN 'we_say_unused'
            ELSE 'same' END AS difference
    FROM theirs AS t
    LEFT JOIN assigned AS a ON a.client = t.client AND a.scope = lower(t.scope)
    LEFT JOIN counts AS c ON c.client = t.client AND c.scope = lower(t.scope)
    LEFT JOIN reasons AS r ON r.client = t.client AND r.scope = lower(t.scope)
    WHERE t.plane = 'control'
),
days AS (
    SELECT source AS log, lower(scope) AS covered, count(DISTINCT day) AS days
    FROM coverage WHERE state <> 'missing' GROUP BY ALL
)
SELECT f.difference, f.tool, f.they_say, f.we_say, f.reason, f.principal_id, f.name, f.plane, f.access, f.permission,
    f.scope, f.calls, f.last_seen,
    coalesce((SELECT max(d.days) FROM days AS d WHERE d.log = f.log AND (d.covered = '/' OR d.covered = lower(f.scope))),
        0) AS days_covered,
    f.read_on AS judged_on, f.title
FROM (SELECT * FROM of_permissions UNION ALL BY NAME SELECT * FROM of_identities) AS f
WHERE $every OR f.difference IN ('we_say_used', 'we_say_unused', 'we_lack')
ORDER BY list_position(['we_say_used', 'we_say_unused', 'we_lack', 'we_cannot_decide', 'they_cannot_decide',
        'they_name_nobody', 'same'], f.difference), f.tool, f.principal_id NULLS LAST, f.access, f.permission, f.scope,
    f.they_say, f.title, f.read_on
