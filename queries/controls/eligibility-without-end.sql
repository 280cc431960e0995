-- title: Eligible assignments that give rights end
-- description: Eligible assignments, without an end, of roles that give rights. Nobody has to request them again.
-- severity: low
-- subject: role_assignment
-- needs: eligibility, catalogue
-- with: held, powers
-- tags: MCSB PA-4, NIST AC-2
-- columns: resource, status, reason
SELECT h.role_assignment_id AS resource,
       CASE WHEN h.end_on IS NULL THEN 'fail' ELSE 'pass' END AS status,
       concat(h.who, ' may activate ', h.assigned,
              CASE WHEN h.end_on IS NULL THEN ' without an end' ELSE concat(' until ', h.end_on::DATE) END) AS reason
FROM held h
JOIN powers w ON w.role_definition_id = h.role_definition_id AND w.gives_rights
WHERE h.through_group IS NULL AND h.state = 'eligible'
