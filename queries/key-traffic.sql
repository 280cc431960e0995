-- title: Requests by keys and signatures, or by nobody
-- description: Per resource, the requests that no role let through: account keys, shared access policies, signatures, anonymous readers. They prove use of the key, and by whom no log can say.
-- columns: resource, source, access, requests, days, last_day
SELECT resource, source, access, sum(events)::BIGINT AS requests, count(DISTINCT day) AS days, max(day) AS last_day
FROM request_access
WHERE access IN ('key', 'sas', 'anonymous')
GROUP BY resource, source, access
ORDER BY requests DESC, resource, access
