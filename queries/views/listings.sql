-- A listing is complete unless something speaks against it. Azure lists the assignments of a subscription with those
-- above it, so a complete one makes up for one that is not complete at a management group above.
WITH RECURSIVE stated AS (
    -- What a listing lacks may be in a record that was rejected.
    SELECT listing, "of", complete AND coalesce(rejected, 0) = 0 AS complete, rejected,
        CASE WHEN rejected > 0
            THEN rejected || CASE rejected WHEN 1 THEN ' record was rejected' ELSE ' records were rejected' END
            ELSE why END AS why
    FROM base.listings
), assigned AS (
    SELECT DISTINCT '/subscriptions/' || split_part({folded[scope]}, '/', 3) AS "of" FROM base.role_assignments
    WHERE state = 'active' AND starts_with({folded[scope]}, '/subscriptions/')
), known AS (
    SELECT folded AS "of" FROM base.scopes WHERE kind = 'subscription' AND listed
    UNION SELECT scope FROM base.inventories WHERE starts_with(scope, '/subscriptions/')
    UNION SELECT '/subscriptions/' || split_part(scope, '/', 3) FROM base.resources
    WHERE starts_with(scope, '/subscriptions/')
    UNION SELECT '/subscriptions/' || split_part("of", '/', 3) FROM stated
    WHERE listing IN ('role_eligibility_instances', 'deny_assignments') AND starts_with("of", '/subscriptions/')
), holders AS (
    SELECT DISTINCT {folded[a.principal_id]} AS "of" FROM base.role_assignments AS a
    LEFT JOIN base.principals AS p ON p.principal_id = {folded[a.principal_id]}
    WHERE 'Group' IN (a.principal_type, p.principal_type)
), groups AS (
    SELECT "of" FROM holders
    UNION
    SELECT c.member_id FROM base.group_closure AS c JOIN holders AS h ON h."of" = c.group_id
    JOIN base.principals AS p ON p.principal_id = c.member_id
    WHERE p.principal_type = 'Group' AND c.group_id NOT IN (
        SELECT "of" FROM stated WHERE listing = 'transitiveMembers' AND complete)
), lacking AS (
    SELECT 'role_assignments' AS listing, "of", 'no listing of its role assignments is loaded' AS why
    FROM (FROM known EXCEPT FROM assigned)
    UNION ALL SELECT 'members', "of", 'no listing of its members is loaded' FROM groups
    WHERE "of" NOT IN (SELECT "of" FROM stated WHERE listing IN ('members', 'transitiveMembers'))
    UNION ALL SELECT 'role_definitions', "of", 'no loaded listing has this role, which is assigned'
    FROM (SELECT {folded[role_definition_id]} AS "of" FROM base.role_assignments WHERE role_definition_id IS NOT NULL
        EXCEPT SELECT {folded[role_definition_id]} FROM base.role_definitions)
), every AS (
    SELECT listing, "of", complete, rejected, why FROM stated
    UNION ALL SELECT listing, "of", false, NULL, why FROM lacking
    WHERE (listing, "of") NOT IN (SELECT (listing, "of") FROM stated)
), whole AS (
    SELECT listing, "of" FROM stated WHERE complete AND listing IN ('role_assignments', 'role_eligibility_instances')
    UNION SELECT 'role_assignments', "of" FROM assigned
    WHERE "of" NOT IN (SELECT "of" FROM stated WHERE listing = 'role_assignments' AND NOT complete)
), above AS (
    SELECT w.listing, s.parent AS "of" FROM whole AS w JOIN base.scopes AS s ON s.folded = w."of"
    WHERE s.kind = 'subscription'
    UNION SELECT a.listing, s.parent FROM above AS a JOIN base.scopes AS s ON s.folded = a."of"
    WHERE s.kind = 'management_group'
), made_up AS (
    SELECT listing, "of" FROM above
    UNION SELECT listing, '/' FROM whole
    UNION SELECT CASE listing WHEN 'members' THEN 'transitiveMembers' ELSE 'members' END, "of"
    FROM stated WHERE complete AND listing IN ('members', 'transitiveMembers')
), judged AS (
    SELECT * REPLACE (complete OR (coalesce(rejected, 0) = 0 AND (listing, "of") IN (FROM made_up)) AS complete)
    FROM every
)
SELECT listing, "of", complete, rejected, CASE WHEN NOT complete THEN why END AS why,
    CASE WHEN NOT complete THEN {commands} END AS command
FROM judged
