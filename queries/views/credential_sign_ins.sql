SELECT coalesce(i.principal_id, alias.principal_id) AS principal_id, i.app_id, i.resource_id, i.kind,
    i.federated_credential_id, i.day, max(i.resource_name) AS resource_name, sum(i.succeeded) AS succeeded,
    sum(i.failed) AS failed, min(i.first_seen) AS first_seen, max(i.last_seen) AS last_seen
FROM (
    SELECT * FROM base.credential_days
    UNION ALL BY NAME
    SELECT r.* EXCLUDE (received) RENAME (sign_in_kind AS kind) FROM base.reduced_sign_ins AS r
    -- Whole records of the same sign-ins replace reduced rows, which do not say the credential.
    ANTI JOIN base.credential_days AS d ON d.day = r.day AND d.kind = r.sign_in_kind
        AND d.app_id IS NOT DISTINCT FROM r.app_id AND d.resource_id IS NOT DISTINCT FROM r.resource_id
        AND (d.principal_id = r.principal_id OR d.principal_name = r.principal_name)
    WHERE r.sign_in_kind IN ('service_principal', 'managed_identity')
) AS i
LEFT JOIN ({resolved}) AS alias ON i.principal_id IS NULL AND alias.alias = i.principal_name
GROUP BY ALL
