"""Read federated credentials, subjects that signed in by them, and administrative units of the directory.

Graph lists the federated credentials of applications with `$expand=federatedIdentityCredentials`; Resource Manager
lists those of a user-assigned identity below it. `az ad app federated-credential list` prints them without their
application, so that output cannot be used. Only newer versions of both interfaces show the expression of a flexible
credential; an older one leaves its subject empty.

Subjects that signed in come from the logs of the platform that issued the tokens: records with the claims of a token
(`iss`, `sub`), or a table with the columns `issuer`, `subject` and `time`.
Sources: Microsoft Learn, Graph resource types federatedIdentityCredential and administrativeUnit; REST reference of
Microsoft.ManagedIdentity, api-version 2025-01-31-preview.
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
    audience = look.outer.get("signinaudience")
    of_app = {
        "object_id": look.text("id"),
        "app_id": look.text("appid") or None,
        "sign_in_audience": audience if isinstance(audience, str) else None,
    }
    for one in look.outer["federatedidentitycredentials"]:
        fields = fold_keys(one) if isinstance(one, Mapping) else {}
        try:
            yield of_app | _credential(fields)
        except InputError as error:
            yield Unusable(error.message, one)


def _read_of_identity(record: Mapping[str, Any]) -> Iterator[Row]:
    look = look_at(record)
    scope, _, _ = look.text("id").rpartition(_BELOW)
    yield {"object_id": scope} | _credential({**look.outer, **look.inner})


def _credential(fields: Mapping[str, Any]) -> dict[str, Any]:
    expression = fields.get("claimsmatchingexpression")
    flexible = fold_keys(expression) if isinstance(expression, Mapping) else {}
    said = text_of(flexible, "value").strip()
    name, issuer = text_of(fields, "name") or text_of(fields, "id"), text_of(fields, "issuer").strip()
    subject = text_of(fields, "subject").strip() or said
    # An interface that is older than expressions gives a flexible credential without its subject.
    hidden = not subject and "subject" in fields
    if not name or not issuer or not (subject or hidden):
        raise InputError("one of its federated credentials lacks a name, issuer or subject")
    audiences, version = fields.get("audiences"), flexible.get("languageversion")
    return {
        "name": fold(name),
        "issuer": issuer,
        "subject": subject or None,
        "is_expression": subject == said,
        "credential_id": fold(text_of(fields, "id")) or None,
        "spelling": name,
        "audiences": [one for one in audiences if isinstance(one, str)] if isinstance(audiences, list) else None,
        "description": text_of(fields, "description") or None,
        "language_version": version if type(version) is int else None,
    }


_UNIT = (
    field("unit_id", "id", kind="id", mandatory=True),
    field("display_name", "displayName"),
    field("is_restricted", "isMemberManagementRestricted", kind="bool"),
)
_INSERT_UNITS = """
INSERT INTO stage_administrative_units (file_id, line, unit_id, display_name, is_restricted)
SELECT file_id, line, unit_id, display_name, coalesce(is_restricted, false) FROM entity_rows
"""

_OBSERVED = (
    field("issuer", "issuer", "iss", mandatory=True),
    field("subject", "subject", "sub", mandatory=True),
    field("time", "time", kind="time", mandatory=True),
    field("app_id", "app_id", "client_id", kind="id"),
    field("credential_id", "credential_id", "federatedCredentialId"),
    field("job_workflow_ref", "job_workflow_ref"),
    field("run", "run"),
)
_INSERT_OBSERVED = """
INSERT INTO stage_observed_subjects (file_id, line, issuer, subject, time, app_id, credential_id, job_workflow_ref, run)
SELECT file_id, line, rtrim(trim(issuer), '/'), trim(subject), time, coalesce(app_id, ''),
    nullif(lower(trim(credential_id)), ''), nullif(trim(job_workflow_ref), ''), nullif(trim(run), '')
FROM entity_rows WHERE time IS NOT NULL
"""


def _is_unit(look: Look) -> bool:
    return not look.type and "ismembermanagementrestricted" in look.outer and bool(look.text("id"))


def _is_observed(look: Look) -> bool:
    keys = look.outer.keys()
    told = {"issuer", "subject", "time"} <= keys or {"iss", "sub", "time"} <= keys
    return told and not look.type and not {"name", "properties", "category", "operationname"} & keys


def _shape(name: str, recogniser: Recogniser, reader: Reader) -> ObjectShape:
    return ObjectShape(name, name, recogniser, "federated_credentials", reader)


TRUST_SHAPES = (
    _shape("application_federated_credentials", has_trust, _read_trust),
    _shape("identity_federated_credentials", _is_of_identity, _read_of_identity),
    ColumnShape("administrative_units", "administrative_units", _is_unit, _UNIT, _INSERT_UNITS),
    ColumnShape("observed_subjects", "observed_subjects", _is_observed, _OBSERVED, _INSERT_OBSERVED),
)
