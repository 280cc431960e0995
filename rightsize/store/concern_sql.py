"""Define the SQL that finds the rows needed to analyse one principal, in temporary tables; see `store.concern`."""

from __future__ import annotations

from rightsize.rbac.text import OPERATION_FORM
from rightsize.store.ddl import RESOLVED
from rightsize.store.sql import folded, tidy_scope

# Members of groups by listings or by an eligible membership; and all assignments ever seen, still listed or not.
TABLES = (
    f"CREATE OR REPLACE TEMP TABLE c_aliases AS {RESOLVED}",
    f"""CREATE OR REPLACE TEMP TABLE c_edges AS
        SELECT {folded("member_id")} AS member, {folded("group_id")} AS holder FROM base.group_closure
        UNION SELECT {folded("principal_id")}, {folded("group_id")} FROM base.group_schedule_instances
        WHERE access = 'member'""",
    f"""CREATE OR REPLACE TEMP TABLE c_held AS
        SELECT row_number() OVER () AS n, * FROM (
            SELECT DISTINCT {folded("principal_id")} AS holder, {folded("role_definition_id")} AS role,
                {folded("role_assignment_id")} AS id, {folded(tidy_scope('"scope"'))} AS place
            FROM base.role_assignments)""",
    f"""CREATE OR REPLACE TEMP TABLE c_patterns AS
        SELECT DISTINCT {folded("role_definition_id")} AS role, {folded("pattern")} AS pattern
        FROM base.role_permissions WHERE kind IN ('action', 'data_action')""",
    f"""CREATE OR REPLACE TEMP TABLE c_actors AS
        SELECT a.actor_key, {folded("coalesce(a.principal_id, alias.principal_id)")} AS who
        FROM base.actors AS a LEFT JOIN c_aliases AS alias ON alias.alias = a.principal_name""",
    "CREATE OR REPLACE TEMP TABLE c_settled (who VARCHAR)",
    "CREATE OR REPLACE TEMP TABLE c_reached (holder VARCHAR)",
)
UP = """WITH RECURSIVE up(who, holder) AS (
        SELECT DISTINCT who, who FROM {start}
        UNION SELECT up.who, e.holder FROM up JOIN c_edges AS e ON e.member = up.holder)"""
ABOVE = """WITH RECURSIVE above(holder) AS (
        SELECT who FROM {start} UNION SELECT e.holder FROM above JOIN c_edges AS e ON e.member = above.holder)"""
DOWN = """WITH RECURSIVE down(holder) AS (
        SELECT holder FROM {start} UNION SELECT e.member FROM down JOIN c_edges AS e ON e.holder = down.holder)"""
# Callers that the newest holders may concern and that were not examined before, with their calls.
ACTS = (
    f"""CREATE OR REPLACE TEMP TABLE c_some AS
        WITH ids AS (SELECT id FROM c_ids UNION SELECT id FROM c_held JOIN c_new USING (holder)),
        keys AS (
            SELECT assignment_key FROM base.assignment_names
            WHERE {folded("role_assignment_id")} IN (SELECT id FROM ids))
        SELECT DISTINCT who FROM c_actors
        WHERE who IS NOT NULL AND who NOT IN (SELECT who FROM c_settled) AND (
            who IN ({DOWN.format(start="c_new")} SELECT holder FROM down)
            OR actor_key IN (
                SELECT actor_key FROM base.usage_days
                WHERE plane IN ('control', 'data') AND assignment_key IN (SELECT assignment_key FROM keys))
            OR EXISTS (SELECT 1 FROM c_open JOIN c_new USING (holder)))""",
    """CREATE OR REPLACE TEMP TABLE c_acts AS
        SELECT DISTINCT c.who, u.operation_key, u.scope_key, u.assignment_key
        FROM base.usage_days AS u JOIN c_actors AS c USING (actor_key)
        WHERE u.plane IN ('control', 'data') AND c.who IN (SELECT who FROM c_some)""",
)
# Roles that may have allowed an operation: one of their allowing patterns matches it. A text that is not an operation
# may be any operation, and so may one that stands for another (`loose`). A `/*/` may stand for `/`; with several
# wildcards, `*/` may stand for any rest of a segment.
GRANTS = f"""CREATE OR REPLACE TEMP TABLE c_grants AS
    WITH used AS (
        SELECT operation_key, folded,
            NOT regexp_matches(folded, '{OPERATION_FORM}') OR list_contains($loose, folded) AS loose
        FROM base.operation_names WHERE operation_key IN (SELECT DISTINCT operation_key FROM c_acts)),
    forms AS (
        SELECT DISTINCT pattern, unnest([pattern, CASE WHEN pattern LIKE '%*%*%' THEN replace(pattern, '*/', '*')
            ELSE replace(pattern, '/*/', '/') END]) AS form
        FROM c_patterns WHERE contains(pattern, '*')),
    wild AS (
        SELECT pattern, replace(replace(replace(replace(form, '!', '!!'), '_', '!_'), '%', '!%'), '*', '%') AS shape
        FROM forms),
    matched AS (
        SELECT operation_key, folded AS pattern FROM used
        UNION ALL SELECT operation_key, pattern FROM used JOIN wild ON used.folded LIKE wild.shape ESCAPE '!')
    SELECT DISTINCT role, operation_key FROM matched JOIN c_patterns USING (pattern)
    UNION SELECT role, operation_key FROM used, (SELECT DISTINCT role FROM c_held) WHERE loose"""
# Calls with each assignment that may have allowed them.
_CANDIDATES = f"""CREATE OR REPLACE TEMP TABLE c_pairs AS
    WITH acts AS (
        SELECT a.*, n.folded AS place, array_to_string(string_split(n.folded, '/')[:5], '/') AS area
        FROM c_acts AS a JOIN base.scope_names AS n USING (scope_key)),
    up AS ({UP.format(start="c_some")} SELECT * FROM up),
    held AS (
        SELECT *, array_to_string(parts[:5], '/') AS area, len(parts) > 5 AS inside
        FROM (SELECT *, string_split(place, '/') AS parts FROM c_held WHERE holder IN (SELECT holder FROM up)))
    SELECT acts.who, acts.operation_key, acts.scope_key, h.holder, h.n
    FROM acts JOIN up USING (who) JOIN held AS h ON h.holder = up.holder
    JOIN c_grants AS g ON g.role = h.role AND g.operation_key = acts.operation_key
    WHERE h.place NOT LIKE '/subscriptions/%' OR starts_with(acts.place || '/', h.place || '/')
        OR (h.inside AND h.area = acts.area)
    UNION
    -- The log's own word, and members whom no listing shows.
    SELECT acts.who, acts.operation_key, acts.scope_key, h.holder, h.n
    FROM acts JOIN base.assignment_names AS x USING (assignment_key)
    JOIN c_held AS h ON h.id = {folded("x.role_assignment_id")}
    UNION
    SELECT acts.who, acts.operation_key, acts.scope_key, o.holder, -1
    FROM acts JOIN c_grants AS g USING (operation_key) JOIN c_held AS h USING (role)
    JOIN c_open AS o ON o.holder = h.holder"""
GROWTH = (
    _CANDIDATES,
    f"""CREATE OR REPLACE TEMP TABLE c_found AS
        SELECT DISTINCT who FROM c_pairs JOIN c_new USING (holder)
        UNION SELECT DISTINCT who FROM c_acts JOIN base.assignment_names AS x USING (assignment_key)
        WHERE {folded("x.role_assignment_id")} IN (SELECT id FROM c_ids)""",
    "INSERT INTO c_settled SELECT who FROM c_found",
    "INSERT INTO c_reached SELECT holder FROM c_new",
    """CREATE OR REPLACE TEMP TABLE c_new AS
        SELECT DISTINCT holder FROM (
            SELECT holder, count(DISTINCT n) OVER (PARTITION BY who, operation_key, scope_key) AS choices
            FROM c_pairs JOIN c_found USING (who))
        WHERE choices > 1 AND holder NOT IN (SELECT holder FROM c_reached)""",
)
