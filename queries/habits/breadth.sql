-- Days with calls of what attackers seek on many resources, at least `$least` and twice the most of any day.
--
-- Classes that no principal of `asked` in store/habits.py used on so many scopes from `$since` on are left out.
--
-- Columns: `principal_id, of, risk, day, resources`; `made`, how many of the resources the principal created within
-- `$fresh` days by a call that is not itself of the class, as a snapshot's is, or destroyed as `prepared.sql` has it;
-- the `days` with such calls before, the `total` of resources on them and the `most`; `kind_days` and `kind_total` of
-- all principals of the kind before, of days with two resources or more.
WITH named AS MATERIALIZED (
    SELECT scope_key, min(scope_key) OVER (PARTITION BY resource) AS resource FROM (
        SELECT scope_key, {resource_of} AS resource FROM base.scope_names
    )
), spread AS (
    SELECT DISTINCT risk FROM (
        SELECT risk FROM base.usage_days JOIN ({sought}) USING (operation_key) JOIN ({people}) USING (actor_key)
        WHERE day BETWEEN $since AND $last AND {calls} > 0 AND risk IN (SELECT unnest($wide)) AND {asked}
        GROUP BY principal_id, risk, day HAVING count(DISTINCT scope_key) >= $least
    )
), calls AS MATERIALIZED (
    SELECT DISTINCT p.principal_id, c.risk, c.day, c.resource FROM (
        SELECT DISTINCT actor_key, risk, day, resource
        FROM base.usage_days JOIN ({sought}) USING (operation_key) JOIN named USING (scope_key)
        WHERE day BETWEEN $first AND $last AND {calls} > 0 AND risk IN (FROM spread)
    ) AS c JOIN ({people}) AS p USING (actor_key)
), counted AS (
    SELECT c.*, CASE WHEN k.principal_type = 'User' THEN 'person' ELSE 'workload' END AS "of" FROM (
        SELECT principal_id, risk, day, count(*) AS resources FROM calls GROUP BY ALL
    ) AS c LEFT JOIN base.principals AS k USING (principal_id)
), kinds AS (
    SELECT "of", risk, day, sum(days) OVER before AS kind_days, sum(total) OVER before AS kind_total FROM (
        SELECT "of", risk, day, count(*) FILTER (resources > 1) AS days,
            coalesce(sum(resources) FILTER (resources > 1), 0) AS total
        FROM counted GROUP BY ALL
    ) WINDOW before AS (PARTITION BY "of", risk ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
), known AS (
    SELECT *, count(*) OVER mine AS days, coalesce(sum(resources) OVER mine, 0)::BIGINT AS total,
        max(resources) OVER mine AS most
    FROM counted
    WINDOW mine AS (PARTITION BY principal_id, risk ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
), wide AS MATERIALIZED (
    SELECT * FROM known WHERE resources >= $least AND resources >= 2 * coalesce(most, 0)
), listed AS MATERIALIZED (
    SELECT * FROM calls SEMI JOIN wide USING (principal_id, risk, day)
), begun AS (
    SELECT resource, arg_min(actor_key, first_seen) AS actor_key, min(first_seen) AS first_seen,
        arg_min(operation_key, first_seen) AS operation_key
    FROM base.usage_days
    JOIN (SELECT * FROM named SEMI JOIN listed USING (resource)) USING (scope_key)
    WHERE day BETWEEN $first AND $last AND {calls} > 0 GROUP BY resource
), own AS (
    SELECT c.principal_id, c.risk, c.day, c.resource
    FROM listed AS c JOIN begun AS b USING (resource) JOIN ({people}) AS p USING (actor_key)
    JOIN base.operation_names AS o USING (operation_key)
    LEFT JOIN ({sought}) AS s ON s.operation_key = b.operation_key AND s.risk = c.risk
    WHERE p.principal_id = c.principal_id AND ends_with(o.folded, '/write') AND s.risk IS NULL
        AND c.day - b.first_seen::DATE <= $fresh
    UNION
    SELECT c.principal_id, c.risk, c.day, c.resource
    FROM (SELECT * FROM listed WHERE risk = 'destruction') AS c JOIN named USING (resource)
    JOIN base.usage_days AS u USING (scope_key) JOIN ({people}) AS p USING (actor_key)
    WHERE p.principal_id = c.principal_id AND c.day - u.day BETWEEN 1 AND $fresh
), made AS (
    SELECT principal_id, risk, day, count(*) AS made FROM own GROUP BY ALL
)
SELECT w.*, coalesce(k.kind_days, 0)::BIGINT AS kind_days, coalesce(k.kind_total, 0)::BIGINT AS kind_total,
    coalesce(m.made, 0) AS made
FROM wide AS w LEFT JOIN kinds AS k USING ("of", risk, day) LEFT JOIN made AS m USING (principal_id, risk, day)
