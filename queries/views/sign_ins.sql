-- What whole records and reduced rows both show counts as often as the better of them says.
SELECT principal_id, app_id, resource_id, kind, day, max(resource_name) AS resource_name,
    max(succeeded) AS succeeded, max(failed) AS failed, max(last_seen) AS last_seen
FROM (
    SELECT coalesce(i.principal_id, alias.principal_id) AS principal_id, i.app_id, i.resource_id, i.kind,
        i.day, max(i.resource_name) AS resource_name, sum(i.succeeded) AS succeeded, sum(i.failed) AS failed,
        max(i.last_seen) AS last_seen
    FROM base.sign_in_days AS i
    LEFT JOIN ({resolved}) AS alias ON i.principal_id IS NULL AND alias.alias = i.principal_name
    GROUP BY ALL
    UNION ALL
    SELECT coalesce(i.principal_id, alias.principal_id), i.app_id, i.resource_id, i.sign_in_kind, i.day,
        max(i.resource_name), sum(i.succeeded), sum(i.failed), max(i.last_seen)
    FROM base.reduced_sign_ins AS i
    LEFT JOIN ({resolved}) AS alias ON i.principal_id IS NULL AND alias.alias = i.principal_name
    GROUP BY ALL
) GROUP BY ALL
