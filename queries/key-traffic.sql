-- title: Requests by keys, signatures or anonymous callers
-- description: For each resource the requests that no role authorised: account keys, shared access signatures and
--   anonymous reads. They prove use of the key; no log says who used it.
-- columns: resource, source, access, requests, days, last_day
SELECT resource, source, access, sum(events)::BIGINT AS requests, count(DISTINCT day) AS days, max(day) AS last_day
FROM request_access
WHERE access IN ('key', 'sas', 'anonymous')
GROUP BY resource, source, access
ORDER BY requests DESC, resource, access
