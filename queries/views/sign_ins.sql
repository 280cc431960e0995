-- What whole records and reduced rows both show counts as often as the better of them says.
SELECT coalesce(whole.principal_id, few.principal_id) AS principal_id, coalesce(whole.app_id, few.app_id) AS app_id,
    coalesce(whole.resource_id, few.resource_id) AS resource_id, coalesce(whole.kind, few.kind) AS kind,
    coalesce(whole.day, few.day) AS day, greatest(whole.resource_name, few.resource_name) AS resource_name,
    greatest(whole.succeeded, few.succeeded) AS succeeded, greatest(whole.failed, few.failed) AS failed,
    greatest(whole.last_seen, few.last_seen) AS last_seen
FROM (
    SELECT coalesce(i.principal_id, alias.principal_id) AS principal_id, i.app_id, i.resource_id, i.kind,
        i.day, max(i.resource_name) AS resource_name, sum(i.succeeded) AS succeeded, sum(i.failed) AS failed,
        max(i.last_seen) AS last_seen
    FROM base.sign_in_days AS i
    LEFT JOIN ({resolved}) AS alias ON i.principal_id IS NULL AND alias.alias = i.principal_name
    GROUP BY ALL
) AS whole FULL JOIN (
    SELECT coalesce(i.principal_id, alias.principal_id) AS principal_id, i.app_id, i.resource_id,
        i.sign_in_kind AS kind, i.day, max(i.resource_name) AS resource_name, sum(i.succeeded) AS succeeded,
        sum(i.failed) AS failed, max(i.last_seen) AS last_seen
    FROM base.reduced_sign_ins AS i
    LEFT JOIN ({resolved}) AS alias ON i.principal_id IS NULL AND alias.alias = i.principal_name
    GROUP BY ALL
) AS few ON whole.principal_id IS NOT DISTINCT FROM few.principal_id AND whole.app_id IS NOT DISTINCT FROM few.app_id
    AND whole.resource_id IS NOT DISTINCT FROM few.resource_id AND whole.kind IS NOT DISTINCT FROM few.kind
    AND whole.day IS NOT DISTINCT FROM few.day
