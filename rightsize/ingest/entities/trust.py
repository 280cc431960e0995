"""Read the federated credentials of applications and managed identities, and administrative units of the directory.

Graph lists the federated credentials of applications with `$expand=federatedIdentityCredentials`; Resource Manager
lists those of a user-assigned identity below it. `az ad app federated-credential list` prints them without their
application, so that output cannot be used.
Sources: Microsoft Learn, Graph resource types federatedIdentityCredential and administrativeUnit; REST reference of
Microsoft.ManagedIdentity.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rightsize.ingest.entities.definitions import text_of
from rightsize.ingest.entities.fields import field
from rightsize.ingest.entities.look import Look, fold_keys, look_at
from rightsize.ingest.entities.shape import ColumnShape, ObjectShape, Reader, Recogniser, Row, Unusable
from rightsize.model.errors import InputError
from rightsize.rbac.text import fold

_BELOW = "/federatedidentitycredentials/"
_IDENTITY = "/providers/microsoft.managedidentity/userassignedidentities/"


def has_trust(look: Look) -> bool:
    """Return whether a record lists the federated credentials of an application."""
    return isinstance(look.outer.get("federatedidentitycredentials"), list) and bool(look.text("id"))


def _is_of_identity(look: Look) -> bool:
    return _IDENTITY in look.text("id") and _BELOW in look.text("id") and look.has("issuer")


def _read_trust(record: Mapping[str, Any]) -> Iterator[Row | Unusable]:
    look = look_at(record)
    app_id = look.text("appid") or None
    for one in look.outer["federatedidentitycredentials"]:
        fields = fold_keys(one) if isinstance(one, Mapping) else {}
        try:
            yield {"object_id": look.text("id"), "app_id": app_id} | _credential(fields)
        except InputError as error:
            yield Unusable(error.message, one)


def _read_of_identity(record: Mapping[str, Any]) -> Iterator[Row]:
    look = look_at(record)
    scope, _, _ = look.text("id").rpartition(_BELOW)
    yield {"object_id": scope} | _credential({**look.outer, **look.inner})


def _credential(fields: Mapping[str, Any]) -> dict[str, Any]:
    expression = fields.get("claimsmatchingexpression")
    said = text_of(fold_keys(expression), "value") if isinstance(expression, Mapping) else ""
    name, issuer = text_of(fields, "name") or text_of(fields, "id"), text_of(fields, "issuer").strip()
    subject = text_of(fields, "subject").strip() or said.strip()
    if not name or not issuer or not subject:
        raise InputError("one of its federated credentials lacks a name, issuer or subject")
    return {"name": fold(name), "issuer": issuer, "subject": subject, "is_expression": subject == said.strip()}


_UNIT = (
    field("unit_id", "id", kind="id", mandatory=True),
    field("display_name", "displayName"),
    field("is_restricted", "isMemberManagementRestricted", kind="bool"),
)
_INSERT_UNITS = """
INSERT INTO stage_administrative_units (file_id, line, unit_id, display_name, is_restricted)
SELECT file_id, line, unit_id, display_name, coalesce(is_restricted, false) FROM entity_rows
"""


def _is_unit(look: Look) -> bool:
    return not look.type and "ismembermanagementrestricted" in look.outer and bool(look.text("id"))


def _shape(name: str, recogniser: Recogniser, reader: Reader) -> ObjectShape:
    return ObjectShape(name, name, recogniser, "federated_credentials", reader)


TRUST_SHAPES = (
    _shape("application_federated_credentials", has_trust, _read_trust),
    _shape("identity_federated_credentials", _is_of_identity, _read_of_identity),
    ColumnShape("administrative_units", "administrative_units", _is_unit, _UNIT, _INSERT_UNITS),
)
