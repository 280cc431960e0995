"""Define the views about key vaults: their model, their access policies, and the use that the policies let through."""

from __future__ import annotations

from collections.abc import Mapping

from rightsize.rules.tables import rows_of
from rightsize.rules.vaults import ALL, PLURALS, POLICIES, ROLES, VAULT
from rightsize.store.sql import RESOURCE, folded, literal

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
_KINDS = ", ".join(f"{{kind: '{kind}', words: json_extract_string(policy, '$.{kind}[*]')}}" for kind in PLURALS)

_POLICIES = f"""
    WITH policies AS (
        SELECT scope, {folded(_setting("tenantId"))} AS own,
            unnest(json_extract(settings::JSON, '$.accessPolicies[*]')) AS policy
        FROM base.resources WHERE {_IS_VAULT} AND {_LISTED}
    ), spelt AS (
        SELECT scope, own, policy, unnest([{_KINDS}], recursive := true) FROM policies
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
