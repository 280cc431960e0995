-- The windows in which the calls of principals, machines and addresses are suspect, by signal.
WITH named AS (
    SELECT DISTINCT signal_id, principal_id, 'principal' AS basis FROM main.signal_entities
    WHERE entity_kind = 'principal' AND principal_id IS NOT NULL
), machines AS (
    SELECT DISTINCT e.signal_id, i.principal_id, 'machine' AS basis
    FROM base.signal_entities AS e JOIN (
        SELECT scope, principal_id FROM base.resource_identities
        WHERE principal_id IS NOT NULL AND kind <> 'self'
        UNION SELECT {folded[name]}, principal_id
        FROM (SELECT unnest(alternative_names) AS name, principal_id FROM base.principals)
    ) AS i ON i.scope = e.value
    WHERE e.entity_kind = 'resource'
), who AS (FROM named UNION ALL FROM machines),
margins (kind, wide, before_hours, after_hours) AS (VALUES {margins})
SELECT s.signal_id, w.principal_id,
    CASE WHEN m.wide = 'address' THEN 'address' ELSE w.basis END AS basis,
    s.first_time - to_hours(m.before_hours) AS start_on, s.last_time + to_hours(m.after_hours) AS end_on
FROM standing_signals AS s JOIN margins AS m USING (kind) LEFT JOIN who AS w USING (signal_id)
WHERE (w.principal_id IS NOT NULL OR m.wide = 'address') AND (m.wide <> 'address' OR s.signal_id IN (
    SELECT signal_id FROM base.signal_entities WHERE entity_kind = 'ip'))
UNION ALL
SELECT 'decision/' || principal_id, principal_id, 'decision', from_time, to_time FROM standing_decisions
WHERE decision = 'quarantine' AND principal_id IS NOT NULL
