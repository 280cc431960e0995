"""Read the escalation rules: the identities, secrets or access that a permission gives beyond its own operations."""

from __future__ import annotations

from functools import cache

import polars as pl

from rightsize.rbac.text import fold
from rightsize.rules.tables import rows_of

GAINS = (
    "resource",
    "identity",
    "secrets",
    "access",
    "tenant",
    "applications",
    "blueprints",
    "groups",
    "all_groups",
    "users",
    "all_users",
    "owned",
    "membership",
    "azure",
    "directory",
)
"""The gains of rules. In this order: the identities of a resource, an identity, the secrets of a resource, any role at
a scope, the whole directory, any application, any agent blueprint, groups without or with directory roles, users
without or with directory roles, the owned objects, membership of a group, and the access of a user in Azure or in the
directory."""


@cache
def escalation_rules(plane: str) -> pl.DataFrame:
    """Return the rules of a plane: `rule, permission, kind, target, unless, gains, certain, what`, permissions folded.

    `unless` is a setting of the resource, as in the table `resources`, that prevents this escalation. Rules of one
    `kind` share target and setting.

    Args:
        plane: control, data, graph, directory, owner, group for groups under Privileged Identity Management, agent for
            what blueprints and agent identities act as, delegated for permissions that applications use as their users
            (`target` is the API), federated for outside subjects, or resource for access that a resource gives.
    """
    rows = [
        {
            "rule": row["rule"],
            "permission": fold(row["permission"]),
            "kind": "?".join(filter(None, (fold(row["target"]), row["unless"]))),
            "target": fold(row["target"]),
            "unless": row["unless"] or None,
            "gains": row["gains"],
            "certain": row["certainty"] == "certain",
            "what": row["what"],
        }
        for row in rows_of("escalation")
        if row["plane"] == plane
    ]
    texts = ("rule", "permission", "kind", "target", "unless", "gains", "what")
    return pl.DataFrame(rows, schema_overrides=dict.fromkeys(texts, pl.String) | {"certain": pl.Boolean})
