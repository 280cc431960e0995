-- The suspect counts of sealed days, whose calls were pruned.
UPDATE base.usage_days AS u SET suspect = CASE judged.how
    WHEN 2 THEN succeeded + failed + started WHEN 1 THEN suspect ELSE 0 END
FROM (
    SELECT u.rowid AS sealed_row, max(CASE
        WHEN w.signal_id IS NULL THEN 0
        WHEN w.basis = 'address' OR u.last_seen < w.start_on OR u.first_seen > w.end_on THEN 1
        ELSE 2 END) AS how
    FROM base.usage_days AS u JOIN base.actors AS a USING (actor_key)
    LEFT JOIN ({resolved}) AS alias ON alias.alias = a.principal_name
    LEFT JOIN base.quarantine_windows AS w
        ON w.principal_id = coalesce(a.principal_id, alias.principal_id)
    WHERE u.day < $before AND (w.signal_id IS NOT NULL OR u.suspect > 0)
        AND coalesce(a.principal_id, alias.principal_id) IN (SELECT principal_id FROM changed_windows)
    GROUP BY u.rowid
) AS judged
WHERE judged.sealed_row = u.rowid
