"""Read what the permissions of an access policy of a key vault allow, as data actions of Azure RBAC.

`rules/vault_permissions.csv` has a row for each permission and data action. A permission may allow a *part* of an
action only: `list` allows to list secrets, and `readMetadata` also to show a deleted one.
Sources: Microsoft Learn, Key Vault REST reference; "Prepare for Key Vault API version 2026-02-01 and later": a vault
whose `enableRbacAuthorization` is null continues to use access policies, only new ones get roles by default.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache

from rightsize.model.text import fold
from rightsize.rules.tables import rows_of

VAULT = "microsoft.keyvault/vaults"
ROLES, POLICIES = "roles", "policies"
"""The models of a vault: what decides about its data."""
MODEL = "enableRbacAuthorization"
"""The setting of a vault that says it: roles where it is true, else policies."""
ALL = "all"
PLURALS: Mapping[str, str] = {"key": "keys", "secret": "secrets", "certificate": "certificates", "storage": "storage"}
"""The kinds of permissions, and their names in an access policy."""


@cache
def operations_by_permission() -> Mapping[tuple[str, str], frozenset[str]]:
    """Return the folded data actions of each `(kind, permission)`, `all` included."""
    found: dict[tuple[str, str], set[str]] = {}
    for row in rows_of("vault_permissions"):
        for permission in (row["permission"], ALL):
            found.setdefault((row["kind"], permission), set()).add(fold(row["operation"]))
    return {key: frozenset(operations) for key, operations in found.items()}


def in_part(permissions: Collection[tuple[str, str]]) -> frozenset[str]:
    """Return the folded data actions of which `(kind, permission)` allow a part only, all parts together included."""
    rows = [(row, {(row["kind"], row["permission"]), (row["kind"], ALL)}) for row in rows_of("vault_permissions")]
    known = set(permissions)
    held = {fold(row["operation"]) for row, words in rows if words & known}
    lacks = {fold(row["operation"]) for row, words in rows if row["extent"] == "part" and not words & known}
    whole = {fold(row["operation"]) for row, words in rows if row["extent"] == "whole" and words & known}
    return frozenset((held & lacks) - whole)


@cache
def spellings() -> Mapping[str, str]:
    """Return the data actions of key vaults as Azure writes them, by folded name."""
    return {fold(row["operation"]): row["operation"] for row in rows_of("vault_permissions")}


def is_metadata_read(operation: str) -> bool:
    """Return whether a data action of key vaults reads neither a secret nor uses or changes anything."""
    name = fold(operation)
    return name.endswith(("/read", "/readmetadata/action"))


@cache
def without_permission() -> frozenset[str]:
    """Return the folded names of log operations that need no permission of the vault."""
    rows = rows_of("log_request_operations")
    return frozenset(
        fold(row["operation"]) for row in rows if row["service"] == "key_vault" and row["access"] == "none"
    )
