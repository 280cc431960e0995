-- title: Nobody uses Azure AD Graph
-- description: Applications that still send requests to Azure AD Graph, which Microsoft Graph replaced. Its permissions
--   are its own, and these applications stop when it is switched off. Applications of Microsoft pass.
-- severity: medium
-- subject: principal
-- needs: azure_ad_graph_log
-- tags: MCSB PA-7, NIST CM-7
-- columns: resource, status, reason
WITH calls AS (
    SELECT app_id, coalesce(app_id, principal_id) AS caller, principal_id, operation, time::DATE AS day
    FROM events WHERE source = 'azure_ad_graph_log'
),
requests AS (
    SELECT caller, operation, count(*) AS times,
           row_number() OVER (PARTITION BY caller ORDER BY count(*) DESC, operation) AS place
    FROM calls GROUP BY caller, operation
),
named AS (
    SELECT caller, count(*) AS kinds,
           string_agg(concat(operation, ' (', times, ')'), ', ' ORDER BY place) FILTER (place <= 5) AS most
    FROM requests GROUP BY caller
),
callers AS (
    SELECT caller, min(app_id) AS app_id, count(*) AS times, min(day) AS first_day, max(day) AS last_day
    FROM calls GROUP BY caller
),
applications AS (
    SELECT app_id, min(principal_id) AS principal_id, min(nullif(display_name, '')) AS display_name
    FROM principals WHERE app_id IS NOT NULL GROUP BY app_id
)
SELECT coalesce(p.principal_id, c.caller) AS resource,
       CASE WHEN m.app_id IS NULL THEN 'fail' ELSE 'pass' END AS status,
       concat(coalesce(p.display_name, m.display_name, c.caller), ' sent ', c.times,
              CASE c.times WHEN 1 THEN ' request' ELSE ' requests' END, ' to Azure AD Graph from ', c.first_day, ' to ', c.last_day, ': ', n.most,
              CASE WHEN n.kinds > 5 THEN concat(' and ', n.kinds - 5, ' others') END,
              CASE WHEN m.app_id IS NOT NULL THEN '; it is an application of Microsoft' END) AS reason
FROM callers c
JOIN named n USING (caller)
LEFT JOIN applications p ON p.app_id = c.app_id
LEFT JOIN first_party_apps m ON m.app_id = c.app_id
