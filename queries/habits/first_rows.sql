-- The rows of `usage_days` from `$first` to `$last` that show the first time of each activity.
--
-- These are, at least, the first rows of each principal with each operation, each subscription or resource group and
-- each plane, and all its rows with the operations in `$always`, folded, from `$lately` on.
WITH groups AS (
    SELECT actor_key, min(first_seen) AS first_seen, arg_min(scope_key, first_seen) AS scope_key FROM (
        SELECT actor_key, scope_key, min(first_seen) AS first_seen FROM base.usage_days WHERE {span}
        GROUP BY actor_key, scope_key
    ) JOIN base.scope_names USING (scope_key)
    GROUP BY actor_key, {group_of}
), operations AS (
    SELECT actor_key, operation_key, min(first_seen) AS first_seen FROM base.usage_days WHERE {span}
    GROUP BY actor_key, operation_key
), planes AS (
    SELECT actor_key, plane, min(first_seen) AS first_seen FROM base.usage_days WHERE {span}
    GROUP BY actor_key, plane
), chosen AS (
    SELECT u.rowid AS found FROM base.usage_days AS u SEMI JOIN groups USING (actor_key, scope_key, first_seen)
    WHERE {span}
    UNION SELECT u.rowid FROM base.usage_days AS u SEMI JOIN operations
        USING (actor_key, operation_key, first_seen) WHERE {span}
    UNION SELECT u.rowid FROM base.usage_days AS u SEMI JOIN planes USING (actor_key, plane, first_seen)
    WHERE {span}
    UNION SELECT u.rowid FROM base.usage_days AS u SEMI JOIN (
        SELECT operation_key FROM base.operation_names WHERE folded IN (SELECT unnest($always))
    ) USING (operation_key) WHERE {span} AND day >= $lately
)
SELECT p.principal_id, o.spelling AS operation, s.spelling AS scope, u.plane, u.day, u.first_seen, u.last_seen,
    u.succeeded, u.failed, u.started, u.denied
FROM base.usage_days AS u JOIN ({people}) AS p USING (actor_key)
JOIN base.operation_names AS o USING (operation_key) JOIN base.scope_names AS s USING (scope_key)
WHERE u.rowid IN (SELECT found FROM chosen)
