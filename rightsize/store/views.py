"""Define the views for SQL users beyond the declared ones, and write the page of all tables and views.

A listing is complete unless something speaks against it. Azure lists the assignments of a subscription with those above
it, so a complete one makes up for one that is not complete at a management group above.

Define the views about key vaults: their model, their access policies, and the use that the policies let through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rightsize.model.access_answers import (
    ACCESS_LISTINGS,
    ELIGIBILITY,
    MEMBERS,
    PLAIN,
    PLAIN_ABOVE,
    ROLE_ASSIGNMENTS,
    ROLE_DEFINITIONS,
    SUBSCRIPTION,
    AccessListing,
)
from rightsize.model.plan_file import file_of
from rightsize.model.schema import Column, ColumnType, Table
from rightsize.model.tables import EVIDENCE_TABLES, LISTED_MEMBER, TABLES
from rightsize.rules.tables import rows_of
from rightsize.rules.vaults import ALL, PLURALS, POLICIES, ROLES, VAULT
from rightsize.store.sql import RESOURCE, UNMAPPED, folded, literal

POLICY_DAYS = (
    "source VARCHAR, principal_id VARCHAR, principal_name VARCHAR, app_id VARCHAR, operation_key INTEGER, "
    "scope_key INTEGER, day DATE, events BIGINT, suspect BIGINT, first_seen TIMESTAMP, last_seen TIMESTAMP"
)
"""The columns of the table `policy_days`: requests that an access policy let through, by day."""


def _setting(name: str) -> str:
    return f"(settings::JSON ->> '{name}')"


_IS_VAULT = f"{folded('resource_type')} = '{VAULT}'"
# A vault without the setting decides by policies; without any setting nothing is known of it.
_MODEL = f"""CASE WHEN settings IS NULL THEN NULL
    WHEN lower({_setting("enableRbacAuthorization")}) = 'true' THEN '{ROLES}' ELSE '{POLICIES}' END"""
_LISTED = "json_type(settings::JSON, '$.accessPolicies') = 'ARRAY'"

_VAULTS = f"""
    SELECT scope, {_MODEL} AS model, {folded(_setting("tenantId"))} AS tenant_id,
        coalesce({_LISTED}, false) AS policies_known,
        lower({_setting("enabledForDeployment")}) = 'true' AS enabled_for_deployment,
        lower({_setting("enabledForDiskEncryption")}) = 'true' AS enabled_for_disk_encryption,
        lower({_setting("enabledForTemplateDeployment")}) = 'true' AS enabled_for_template_deployment,
        lower({_setting("enablePurgeProtection")}) = 'true' AS purge_protection
    FROM base.resources WHERE {_IS_VAULT}"""

_ALLOWED = ", ".join(
    f"({literal(row['kind'])}, {literal(permission)}, {literal(row['operation'])})"
    for row in rows_of("vault_permissions")
    for permission in (row["permission"], ALL)
)
_VAULT_KINDS = ", ".join(f"{{kind: '{kind}', words: json_extract_string(policy, '$.{kind}[*]')}}" for kind in PLURALS)

_POLICIES = f"""
    WITH policies AS (
        SELECT scope, {folded(_setting("tenantId"))} AS own,
            unnest(json_extract(settings::JSON, '$.accessPolicies[*]')) AS policy
        FROM base.resources WHERE {_IS_VAULT} AND {_LISTED}
    ), spelt AS (
        SELECT scope, own, policy, unnest([{_VAULT_KINDS}], recursive := true) FROM policies
    ), held AS (
        SELECT DISTINCT scope, policy ->> 'principal' AS principal_id, policy ->> 'application' AS app_id, kind,
            unnest(words) AS permission,
            coalesce(policy ->> 'tenant' <> '' AND policy ->> 'tenant' <> own, false) AS is_foreign
        FROM spelt WHERE policy ->> 'principal' <> ''
    )
    SELECT DISTINCT h.*, a.operation
    FROM held AS h LEFT JOIN (VALUES {_ALLOWED}) AS a(kind, permission, operation) USING (kind, permission)"""


def vault_views(resolved: str) -> Mapping[str, str]:
    """Return the SQL of the views; `resolved` is SQL of the principals by alias."""
    return {
        "vaults": _VAULTS,
        "vault_policies": _POLICIES,
        "vault_use_days": f"""
            SELECT coalesce(p.principal_id, alias.principal_id) AS principal_id, p.principal_name, p.app_id,
                o.spelling AS operation, s.spelling AS scope, p.day, sum(p.events)::BIGINT AS events,
                sum(p.suspect)::BIGINT AS suspect, min(p.first_seen) AS first_seen, max(p.last_seen) AS last_seen
            FROM base.policy_days AS p
            JOIN base.operation_names AS o USING (operation_key) JOIN base.scope_names AS s USING (scope_key)
            LEFT JOIN ({resolved}) AS alias ON p.principal_id IS NULL AND alias.alias = p.principal_name
            WHERE s.folded LIKE '%/providers/{VAULT}/%'
            GROUP BY ALL
            UNION ALL
            -- Records that do not say what let the request through.
            SELECT u.principal_id, u.principal_name, NULL, u.operation, u.scope, u.day,
                sum(u.succeeded + u.failed + u.started)::BIGINT, sum(u.suspect)::BIGINT, min(u.first_seen),
                max(u.last_seen)
            FROM usage_days AS u
            JOIN vaults AS v ON v.model = '{POLICIES}'
                AND v.scope = regexp_extract({folded("u.scope")}, '{RESOURCE}', 1)
            WHERE u.plane = 'data' AND u.succeeded + u.failed + u.started > 0
            GROUP BY ALL""",
    }


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


DAYS_BEYOND_ROLES = {
    "graph_days": (
        "app_id VARCHAR, principal_id VARCHAR, access VARCHAR, operation_key INTEGER, day DATE, first_seen TIMESTAMP, "
        "last_seen TIMESTAMP, succeeded BIGINT, failed BIGINT, started BIGINT, denied BIGINT, suspect BIGINT, "
        "other BIGINT"
    ),
    "m365_days": (
        "app_id VARCHAR, principal_id VARCHAR, principal_name VARCHAR, access VARCHAR, operation_key INTEGER, "
        "day DATE, first_seen TIMESTAMP, last_seen TIMESTAMP, succeeded BIGINT, suspect BIGINT"
    ),
    "policy_days": POLICY_DAYS,
}
"""The physical columns, as in `ddl`."""


def graph_views(resolved: str) -> dict[str, str]:
    """Return the views; `resolved` is SQL for the principal of each name."""
    return {
        "graph_usage_days": """
            SELECT g.app_id, g.principal_id, g.access, o.spelling AS operation, g.day, g.first_seen, g.last_seen,
                g.succeeded, g.failed, g.started, g.denied, g.suspect, g.other
            FROM base.graph_days AS g JOIN base.operation_names AS o USING (operation_key)""",
        "m365_usage_days": f"""
            SELECT m.app_id, coalesce(m.principal_id, alias.principal_id) AS principal_id, m.access,
                o.spelling AS operation, m.day, min(m.first_seen) AS first_seen, max(m.last_seen) AS last_seen,
                sum(m.succeeded)::BIGINT AS succeeded, sum(m.suspect)::BIGINT AS suspect
            FROM base.m365_days AS m JOIN base.operation_names AS o USING (operation_key)
            LEFT JOIN ({resolved}) AS alias ON m.principal_id IS NULL AND alias.alias = m.principal_name
            GROUP BY ALL""",
    }


SIGN_IN_DAYS = (
    "principal_id VARCHAR, principal_name VARCHAR, app_id VARCHAR, resource_id VARCHAR, kind VARCHAR, day DATE, "
    "resource_name VARCHAR, succeeded BIGINT, failed BIGINT, last_seen TIMESTAMP"
)
"""The columns of the table `sign_in_days`."""

CREDENTIAL_DAYS = (
    "principal_id VARCHAR, principal_name VARCHAR, app_id VARCHAR, resource_id VARCHAR, kind VARCHAR, "
    "federated_credential_id VARCHAR, day DATE, resource_name VARCHAR, succeeded BIGINT, failed BIGINT, "
    "first_seen TIMESTAMP, last_seen TIMESTAMP"
)
"""The columns of the table `credential_days`: sign-ins of workloads by day and federated credential."""


def trust_views(resolved: str) -> Mapping[str, str]:
    """Return the SQL of the views about credentials and vaults; `resolved` is SQL of the principals by alias."""
    return {
        "credential_sign_ins": f"""
            SELECT coalesce(i.principal_id, alias.principal_id) AS principal_id, i.app_id, i.resource_id, i.kind,
                i.federated_credential_id, i.day, max(i.resource_name) AS resource_name, sum(i.succeeded) AS succeeded,
                sum(i.failed) AS failed, min(i.first_seen) AS first_seen, max(i.last_seen) AS last_seen
            FROM (
                SELECT * FROM base.credential_days
                UNION ALL BY NAME
                SELECT r.* EXCLUDE (received) RENAME (sign_in_kind AS kind) FROM base.reduced_sign_ins AS r
                -- Whole records of the same sign-ins replace reduced rows, which do not say the credential.
                ANTI JOIN base.credential_days AS d ON d.day = r.day AND d.kind = r.sign_in_kind
                    AND d.app_id IS NOT DISTINCT FROM r.app_id AND d.resource_id IS NOT DISTINCT FROM r.resource_id
                    AND (d.principal_id = r.principal_id OR d.principal_name = r.principal_name)
                WHERE r.sign_in_kind IN ('service_principal', 'managed_identity')
            ) AS i
            LEFT JOIN ({resolved}) AS alias ON i.principal_id IS NULL AND alias.alias = i.principal_name
            GROUP BY ALL""",
        "credential_changes": """
            -- The directory audit log names the application, the Activity Log the credential.
            SELECT DISTINCT CASE WHEN u.plane = 'directory' THEN ltrim(s.folded, '/')
                    ELSE split_part(s.folded, '/federatedidentitycredentials/', 1) END AS object_id,
                split_part(s.folded, '/federatedidentitycredentials/', 2) AS name, u.day
            FROM base.usage_days AS u
            JOIN base.operation_names AS o USING (operation_key) JOIN base.scope_names AS s USING (scope_key)
            WHERE u.succeeded + u.failed + u.started > 0 AND (
                (u.plane = 'directory' AND o.folded LIKE 'microsoft.directory/applications/%')
                OR o.folded = 'microsoft.managedidentity/userassignedidentities/federatedidentitycredentials/write')""",
        **vault_views(resolved),
    }


_MEMBERS = f"('{MEMBERS.name}', 'transitiveMembers')"
_OF_SCOPES = f"('{ROLE_ASSIGNMENTS.name}', '{ELIGIBILITY.name}')"
_ID = f"""CASE WHEN starts_with("of", '{SUBSCRIPTION}') THEN split_part("of", '/', 3) ELSE "of" END"""
_SCOPE, _ROLE, _HOLDER = folded("scope"), folded("role_definition_id"), folded("a.principal_id")
_OF_SUBSCRIPTION = f"'{SUBSCRIPTION}' || split_part({{}}, '/', 3)"


def _command(kind: AccessListing) -> str:
    """Return SQL for `command_for` of a listing of this kind."""
    names = _MEMBERS if kind is MEMBERS else f"('{kind.name}')"
    place = """rtrim("of", '/')""" if "{of}/" in kind.command_above else '"of"'
    above = f"replace({literal(kind.command_above)}, '{{of}}', {place})" if kind.command_above else "NULL"
    return f"""
        WHEN listing IN {names} AND starts_with("of", '/') AND NOT starts_with("of", '{SUBSCRIPTION}')
            THEN CASE WHEN regexp_full_match("of", {literal(PLAIN_ABOVE)}) THEN {above} END
        WHEN listing IN {names} AND regexp_full_match({_ID}, {literal(PLAIN)})
            THEN replace({literal(kind.command)}, '{{id}}', {_ID})"""


_COMMANDS = f"CASE {''.join(map(_command, ACCESS_LISTINGS))} END"

LISTINGS = f"""
    WITH RECURSIVE stated AS (
        -- What a listing lacks may be in a record that was rejected.
        SELECT listing, "of", complete AND coalesce(rejected, 0) = 0 AS complete, rejected,
            CASE WHEN rejected > 0
                THEN rejected || CASE rejected WHEN 1 THEN ' record was rejected' ELSE ' records were rejected' END
                ELSE why END AS why
        FROM base.listings
    ), assigned AS (
        SELECT DISTINCT {_OF_SUBSCRIPTION.format(_SCOPE)} AS "of" FROM base.role_assignments
        WHERE state = 'active' AND starts_with({_SCOPE}, '{SUBSCRIPTION}')
    ), known AS (
        SELECT folded AS "of" FROM base.scopes WHERE kind = 'subscription' AND listed
        UNION SELECT scope FROM base.inventories WHERE starts_with(scope, '{SUBSCRIPTION}')
        UNION SELECT {_OF_SUBSCRIPTION.format("scope")} FROM base.resources WHERE starts_with(scope, '{SUBSCRIPTION}')
        UNION SELECT {_OF_SUBSCRIPTION.format('"of"')} FROM stated
        WHERE listing IN ('{ELIGIBILITY.name}', 'deny_assignments') AND starts_with("of", '{SUBSCRIPTION}')
    ), holders AS (
        SELECT DISTINCT {_HOLDER} AS "of" FROM base.role_assignments AS a
        LEFT JOIN base.principals AS p ON p.principal_id = {_HOLDER}
        WHERE 'Group' IN (a.principal_type, p.principal_type)
    ), groups AS (
        SELECT "of" FROM holders
        UNION
        SELECT c.member_id FROM base.group_closure AS c JOIN holders AS h ON h."of" = c.group_id
        JOIN base.principals AS p ON p.principal_id = c.member_id
        WHERE p.principal_type = 'Group' AND c.group_id NOT IN (
            SELECT "of" FROM stated WHERE listing = 'transitiveMembers' AND complete)
    ), lacking AS (
        SELECT '{ROLE_ASSIGNMENTS.name}' AS listing, "of", 'no listing of its role assignments is loaded' AS why
        FROM (FROM known EXCEPT FROM assigned)
        UNION ALL SELECT '{MEMBERS.name}', "of", 'no listing of its members is loaded' FROM groups
        WHERE "of" NOT IN (SELECT "of" FROM stated WHERE listing IN {_MEMBERS})
        UNION ALL SELECT '{ROLE_DEFINITIONS.name}', "of", 'no loaded listing has this role, which is assigned'
        FROM (SELECT {_ROLE} AS "of" FROM base.role_assignments WHERE role_definition_id IS NOT NULL
            EXCEPT SELECT {_ROLE} FROM base.role_definitions)
    ), every AS (
        SELECT listing, "of", complete, rejected, why FROM stated
        UNION ALL SELECT listing, "of", false, NULL, why FROM lacking
        WHERE (listing, "of") NOT IN (SELECT (listing, "of") FROM stated)
    ), whole AS (
        SELECT listing, "of" FROM stated WHERE complete AND listing IN {_OF_SCOPES}
        UNION SELECT '{ROLE_ASSIGNMENTS.name}', "of" FROM assigned
        WHERE "of" NOT IN (SELECT "of" FROM stated WHERE listing = '{ROLE_ASSIGNMENTS.name}' AND NOT complete)
    ), above AS (
        SELECT w.listing, s.parent AS "of" FROM whole AS w JOIN base.scopes AS s ON s.folded = w."of"
        WHERE s.kind = 'subscription'
        UNION SELECT a.listing, s.parent FROM above AS a JOIN base.scopes AS s ON s.folded = a."of"
        WHERE s.kind = 'management_group'
    ), made_up AS (
        SELECT listing, "of" FROM above
        UNION SELECT listing, '/' FROM whole
        UNION SELECT CASE listing WHEN '{MEMBERS.name}' THEN 'transitiveMembers' ELSE '{MEMBERS.name}' END, "of"
        FROM stated WHERE complete AND listing IN {_MEMBERS}
    ), judged AS (
        SELECT * REPLACE (complete OR (coalesce(rejected, 0) = 0 AND (listing, "of") IN (FROM made_up)) AS complete)
        FROM every
    )
    SELECT listing, "of", complete, rejected, CASE WHEN NOT complete THEN why END AS why,
        CASE WHEN NOT complete THEN {_COMMANDS} END AS command
    FROM judged"""
"""The view `listings`."""

_DECIDING = ", ".join(f"'{one.name}'" for one in ACCESS_LISTINGS if one.decides_no)
LACKS_FOR_NO = (
    f"NOT complete AND listing IN ({_DECIDING}, 'transitiveMembers') "
    f"""AND NOT (listing = '{ROLE_DEFINITIONS.name}' AND starts_with("of", '/'))"""
)
"""The condition on rows of `listings` for what makes a `no` unknown: of roles only those that are assigned."""

_LACKS = f"SELECT 1 FROM main.listings WHERE {LACKS_FOR_NO}"
_COMPLETE = f"NOT EXISTS ({_LACKS})"
_COMPLETE_AT_SCOPE = (
    f"""NOT EXISTS ({_LACKS} AND (NOT starts_with("of", '{SUBSCRIPTION}') OR "of" = {_SCOPE} """
    f"""OR starts_with("of", {_SCOPE} || '/')))"""
)
_OF_SUBSCRIPTIONS = ("layer_defeats", "layer_violations")


def completeness_of(name: str) -> str:
    """Return SQL for the column `complete` of an answer table: by the row's subscription where it is about one."""
    return _COMPLETE_AT_SCOPE if name in _OF_SUBSCRIPTIONS else _COMPLETE


_KINDS = {
    "loaded": "Holds what exports said.",
    "derived": "Recomputed at the end of each load.",
    "answer": "Written by `analyze` and `propose`.",
    "view": "Computed when it is read.",
}
_TYPES = {
    ColumnType.TEXT: "text",
    ColumnType.TEXTS: "list of text",
    ColumnType.BOOL: "boolean",
    ColumnType.INT: "integer",
    ColumnType.REAL: "number",
    ColumnType.TIME: "time",
    ColumnType.DAY: "day",
}
_INTRODUCTION = """\
# Tables and views

Written from the declared schema; do not edit.

`rightsize sql` and `rightsize queries run` read these. Each table and column carries its line here as a comment in the
store, too. Times are UTC. Ids, operations and scopes compare without regard to the case of ASCII letters. Columns in
bold identify a row together. [Tables of evidence](plan-format.md#tables-of-evidence), which stand beside a plan, come
last.
"""


def write_schema_page() -> str:
    """Return the page as Markdown."""
    lines = [_INTRODUCTION]
    for kind, meaning in _KINDS.items():
        links = ", ".join(f"[`{table.name}`](#{table.name})" for table in TABLES if table.kind == kind)
        lines += [f"- {meaning.removesuffix('.')}: {links}"]
    lines.append("")
    for table in TABLES:
        lines.extend(_section(table, table.name))
    for table in EVIDENCE_TABLES:
        lines.extend(_section(table, file_of(table)))
    return "\n".join(lines).rstrip() + "\n"


def _section(table: Table, title: str) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield f"{_cell(table.grain[:1].upper() + table.grain[1:])}."
    yield ""
    yield "| column | type | meaning |"
    yield "| --- | --- | --- |"
    yield from (_row(column) for column in table.columns)
    yield ""


def _row(column: Column) -> str:
    name = f"**`{column.name}`**" if column.key else f"`{column.name}`"
    return f"| {name} | {_TYPES[column.type]} | {_cell(column.comment)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")
