"""Build the request bodies of federated credentials, so that each can be made exactly as it is.

Sources: Microsoft Learn, Graph reference of federatedIdentityCredential (v1.0 and beta); REST reference of
Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from rightsize.analyze.federated.tables import APPLICATION, Credential
from rightsize.rbac.text import Folded
from rightsize.rules.trust import Comparison

MOST_CREDENTIALS = 20
"""The limit of credentials of an application or identity: Microsoft Learn, "workload identity federation limits"."""

_LANGUAGE = 1
_GRAPH = "https://graph.microsoft.com"
_ARM = "https://management.azure.com"
_ARM_VERSION, _ARM_FLEXIBLE = "2023-01-31", "2025-01-31-preview"


def body_of(
    one: Credential, *, name: str | None = None, subject: str | None = None, expression: str | None = None
) -> dict[str, Any]:
    """Return the body that makes a credential as it is, or with another name and subject or expression."""
    if subject is None and expression is None:
        subject, expression = (None, one.subject) if one.is_expression else (one.subject, None)
    said: dict[str, Any] = {"issuer": one.issuer, "audiences": list(one.audiences)}
    if expression is None:
        said["subject"] = subject
    else:
        version = _LANGUAGE if one.language_version is None else one.language_version
        said["claimsMatchingExpression"] = {"value": expression, "languageVersion": version}
    if one.holder != APPLICATION:
        return {"properties": said}
    described = {"description": one.description} if one.description else {}
    return {"name": name or one.name, **said, **described}


def request_to_make(one: Credential, name: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the request that makes a credential with a body of `body_of`."""
    flexible = "claimsMatchingExpression" in (body if one.holder == APPLICATION else body["properties"])
    if one.holder == APPLICATION:
        url = f"{_GRAPH}/{'beta' if flexible else 'v1.0'}/applications/{one.object_id}/federatedIdentityCredentials"
        return {"method": "POST", "url": url, "body": body}
    version = _ARM_FLEXIBLE if flexible else _ARM_VERSION
    url = f"{_ARM}{one.object_id}/federatedIdentityCredentials/{name}"
    return {"method": "PUT", "url": url, "version": version, "body": body}


def request_to_delete(one: Credential, name: str) -> dict[str, Any]:
    """Return the request that deletes a credential by its name."""
    if one.holder == APPLICATION:
        url = f"{_GRAPH}/v1.0/applications/{one.object_id}/federatedIdentityCredentials/{name}"
        return {"method": "DELETE", "url": url, "body": None}
    url = f"{_ARM}{one.object_id}/federatedIdentityCredentials/{name}"
    return {"method": "DELETE", "url": url, "version": _ARM_FLEXIBLE, "body": None}


def can_be_restored(one: Credential) -> bool:
    """Return whether the exports show all that is needed to make a credential again."""
    return one.subject is not None and bool(one.audiences)


def name_of_narrowed(one: Credential, subject: str) -> str:
    """Return the name of a credential for one subject: of letters, digits, dashes and underscores, at most 120."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", one.name).strip("-_")[:100] or "credential"
    return f"{stem}-{hashlib.sha256(subject.encode()).hexdigest()[:8]}"


def id_of_narrowed(one: Credential, subject: str, others: tuple[Comparison, ...]) -> Folded:
    """Return the id by which a plan names a credential for one subject, beside the other compared claims."""
    text = "\n".join((one.object_id, one.issuer, subject, *(str(other) for other in others)))
    return Folded(str(uuid5(NAMESPACE_URL, f"rightsize:trust:{text}")))
