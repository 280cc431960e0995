-- title: Eligible assignments are activated
-- description: Eligible assignments without any use, directly or through an activation.
-- severity: low
-- subject: role_assignment
-- needs: eligibility, analysis
-- with: held, used
-- tags: MCSB PA-4, NIST AC-6(7)
-- columns: resource, status, reason
SELECT h.role_assignment_id AS resource,
       CASE WHEN coalesce(u.used, 0) + coalesce(sum(x.used), 0) > 0 THEN 'pass'
            WHEN coalesce(any_value(u.unused), 0) = 0 OR any_value(u.out_of_coverage) > 0 THEN 'unknown' ELSE 'fail' END AS status,
       concat(any_value(h.who), ' may activate ', any_value(h.assigned),
              CASE status WHEN 'fail' THEN ' and used nothing of it in the window'
                   WHEN 'unknown' THEN ', and the logs do not cover its use' END) AS reason
FROM held h
LEFT JOIN used u ON u.role_assignment_id = h.role_assignment_id AND u.state = 'eligible'
LEFT JOIN role_assignments a ON a.state = 'activated' AND a.eligibility_id = h.role_assignment_id
LEFT JOIN used x ON x.role_assignment_id = a.role_assignment_id AND x.state = 'activated'
WHERE h.through_group IS NULL AND h.state = 'eligible'
GROUP BY h.role_assignment_id, u.used
