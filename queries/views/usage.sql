SELECT principal_id, principal_name, operation, scope, plane, role_assignment_id, min(first_seen) AS first_seen,
    max(last_seen) AS last_seen, sum(succeeded)::BIGINT AS succeeded, sum(failed)::BIGINT AS failed,
    sum(started)::BIGINT AS started, sum(denied)::BIGINT AS denied, sum(suspect)::BIGINT AS suspect,
    count(*) AS days
FROM usage_days
GROUP BY principal_id, principal_name, operation, scope, plane, role_assignment_id
