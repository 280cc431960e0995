-- Sign-ins by day.
SELECT principal_id, principal_name, app_id, resource_id, kind, time::DATE AS day,
    max(resource_name) AS resource_name, count(*) FILTER (WHERE succeeded) AS succeeded,
    count(*) FILTER (WHERE NOT succeeded) AS failed, max(time) AS last_seen
FROM base.sign_in_rows WHERE {days} GROUP BY ALL
