-- title: No principal can weaken several layers of defence
-- description: Holders whose permanent roles can weaken `least` or more layers within one subscription: host, compute
--   isolation, network, data, identity control, monitoring. These layers all fail together with one principal.
-- severity: medium
-- subject: principal
-- needs: assignments, catalogue
-- with: held, powers, opaque
-- tags: MCSB PA-7, NIST AC-5
-- parameter: least integer = 3  fewest layers that fail
-- columns: resource, status, reason
WITH places AS (
    SELECT h.holder, h.who, w.layers, h.role_known,
           CASE WHEN h.level IN ('root', 'management_group') THEN h.scope
                ELSE regexp_extract(lower(h.scope), '^/subscriptions/[^/]+') END AS place
    FROM held h
    LEFT JOIN powers w ON w.role_definition_id = h.role_definition_id
    WHERE h.standing AND h.holder_type IN ('User', 'ServicePrincipal', 'ManagedIdentity')
),
counted AS (
    SELECT holder, min(who) AS who, place, list_sort(list_distinct(flatten(list(coalesce(layers, []))))) AS layers,
           bool_and(role_known) AS known
    FROM places GROUP BY holder, place
)
SELECT c.holder AS resource,
       CASE WHEN max(len(c.layers)) >= $least THEN 'fail'
            WHEN NOT bool_and(c.known) OR any_value(q.groups) > 0 THEN 'unknown' ELSE 'pass' END AS status,
       concat(min(c.who), ' can weaken ', max(len(c.layers)), ' layers',
              CASE WHEN max(len(c.layers)) > 0 THEN concat(
                  ' at ', arg_min(c.place, (-len(c.layers), c.place)), ': ',
                  array_to_string(arg_min(c.layers, (-len(c.layers), c.place)), ', ')) END) AS reason
FROM counted c
CROSS JOIN (SELECT count(*) AS groups FROM opaque) q
GROUP BY c.holder
