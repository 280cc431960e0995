-- `principal_id, name, place, day`: what was destroyed by who had called there some days before.
--
-- Whoever takes things down stops, empties or marks them first; an attacker destroys what it finds.
SELECT DISTINCT p.principal_id, n.folded AS name, s.folded AS place, u.day
FROM base.usage_days AS u JOIN ({sought}) AS o USING (operation_key) JOIN base.operation_names AS n
    USING (operation_key) JOIN base.scope_names AS s USING (scope_key) JOIN ({people}) AS p USING (actor_key)
JOIN base.usage_days AS b ON b.scope_key = u.scope_key AND u.day - b.day BETWEEN 1 AND $fresh
JOIN ({people}) AS q ON q.actor_key = b.actor_key AND q.principal_id = p.principal_id
WHERE o.risk = 'destruction' AND u.day BETWEEN $first AND $last
