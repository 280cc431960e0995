-- title: Eligibility for rights ends
-- description: Eligible assignments of roles that give rights without a last day: nobody has to ask again.
-- severity: low
-- subject: role_assignment
-- needs: eligibility, catalogue
-- with: held, powers
-- tags: MCSB PA-4, NIST AC-2
-- columns: resource, status, reason
SELECT h.role_assignment_id AS resource,
       CASE WHEN h.end_on IS NULL THEN 'fail' ELSE 'pass' END AS status,
       concat(h.who, ' may activate ', h.assigned,
              CASE WHEN h.end_on IS NULL THEN ' for ever' ELSE concat(' until ', h.end_on::DATE) END) AS reason
FROM held h
JOIN powers w ON w.role_definition_id = h.role_definition_id AND w.gives_rights
WHERE h.through_group IS NULL AND h.state = 'eligible'
