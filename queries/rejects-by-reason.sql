-- title: Records that could not be used, by reason
-- description: Records that were rejected, with one example for each reason.
-- columns: source, reason, records, files, example_path, example_line
WITH placed AS (
    SELECT *, row_number() OVER (PARTITION BY source, reason ORDER BY path, line, sha256) AS place,
           count(*) OVER (PARTITION BY source, reason) AS records
    FROM rejects
),
files AS (SELECT source, reason, count(DISTINCT sha256) AS files FROM rejects GROUP BY source, reason)
SELECT p.source, p.reason, p.records, f.files, p.path AS example_path, p.line AS example_line
FROM placed p
JOIN files f ON f.source IS NOT DISTINCT FROM p.source AND f.reason IS NOT DISTINCT FROM p.reason
WHERE p.place = 1
ORDER BY p.records DESC, p.source, p.reason
