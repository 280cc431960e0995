-- title: Activity by day
-- description: Calls and principals of each day. It shows days that stand out or are missing.
-- parameter: from_day day = 0001-01-01  first day to show
-- parameter: to_day day = 9999-12-31  last day to show
-- columns: day, plane, principals, operations, calls, failed, denied
SELECT day,
       plane,
       count(DISTINCT coalesce(principal_id, principal_name)) AS principals,
       count(DISTINCT operation) AS operations,
       sum(succeeded + failed + started)::BIGINT AS calls,
       sum(failed)::BIGINT AS failed,
       sum(denied)::BIGINT AS denied
FROM usage_days
WHERE day BETWEEN $from_day AND $to_day
GROUP BY day, plane
ORDER BY day, plane
