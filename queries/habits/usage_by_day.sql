-- The calls of each principal on each day from `$first` to `$last`, as input of `active_days`.
SELECT p.principal_id, u.* EXCLUDE (actor_key)
FROM (
    SELECT actor_key, day, min(first_seen) AS first_seen, max(last_seen) AS last_seen,
        sum({calls})::BIGINT AS calls
    FROM base.usage_days WHERE day BETWEEN $first AND $last AND {calls} > 0 GROUP BY ALL
) AS u JOIN ({people}) AS p USING (actor_key)
