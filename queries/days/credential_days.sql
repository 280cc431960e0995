-- Sign-ins of workloads by credential; a log that does not say the credential gives null.
SELECT principal_id, principal_name, app_id, resource_id, kind, federated_credential_id, time::DATE AS day,
    max(resource_name) AS resource_name, count(*) FILTER (WHERE succeeded) AS succeeded,
    count(*) FILTER (WHERE NOT succeeded) AS failed, min(time) FILTER (WHERE succeeded) AS first_seen,
    max(time) FILTER (WHERE succeeded) AS last_seen
FROM base.sign_in_rows WHERE {days} AND kind IN ('service_principal', 'managed_identity') GROUP BY ALL
