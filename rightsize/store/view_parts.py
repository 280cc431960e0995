"""Define parts of the SQL of views: what no rule maps, and members that two listings of directory roles have."""

from __future__ import annotations

from rightsize.model.tables.directory_roles import LISTED_MEMBER
from rightsize.store.sql import RESOURCE, UNMAPPED

UNMAPPED_OPERATIONS = f"""
    -- An activity of the directory is marked in its name, and has no resource.
    SELECT e.source, regexp_replace(o.spelling, '^{UNMAPPED}', '') AS operation, sum(e.events) AS events,
        count(DISTINCT regexp_extract(s.folded, '{RESOURCE}', 1)) AS resources, min(e.first_seen) AS first_seen,
        max(e.last_seen) AS last_seen
    FROM base.operation_days AS e
    JOIN base.operation_names AS o USING (operation_key) LEFT JOIN base.scope_names AS s USING (scope_key)
    WHERE e.access = 'unmapped' OR (e.plane = 'directory' AND starts_with(o.folded, '{UNMAPPED}'))
    GROUP BY e.source, o.spelling"""
"""The view `unmapped_operations`."""

NOT_LISTED_TWICE = f"""
    -- A member of the older listing of roles has no id of an assignment.
    NOT (starts_with(a.role_assignment_id, '{LISTED_MEMBER}') AND EXISTS (
        SELECT 1 FROM base.directory_role_assignments AS b
        WHERE NOT starts_with(b.role_assignment_id, '{LISTED_MEMBER}') AND b.state <> 'eligible'
            AND b.principal_id = a.principal_id AND b.directory_role_id = a.directory_role_id AND b.scope = a.scope))"""
"""A condition on directory role assignments `a`: no other row has the same holder, role and scope with its own id."""
