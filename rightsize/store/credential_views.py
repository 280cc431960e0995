"""Define the tables of days of sign-ins, and the views of sign-ins by federated credential."""

from __future__ import annotations

from collections.abc import Mapping

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
    """Return the SQL of the views about federated credentials; `resolved` is SQL of the principals by alias."""
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
    }
