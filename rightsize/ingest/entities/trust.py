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

from rightsize.ingest.entities.agents import blueprint_rows, context_of, is_blueprint, lists_blueprints
from rightsize.ingest.entities.credentials import credentials_of, has_trust, read_credential
from rightsize.ingest.entities.fields import field
from rightsize.ingest.entities.look import Look, look_at
from rightsize.ingest.entities.shape import Beside, ColumnShape, ObjectShape, Row, Unusable, beside
from rightsize.ingest.shapes import Context

_BELOW = "/federatedidentitycredentials/"
_IDENTITY = "/providers/microsoft.managedidentity/userassignedidentities/"


def _is_of_identity(look: Look) -> bool:
    return _IDENTITY in look.text("id") and _BELOW in look.text("id") and look.has("issuer")


def _read_trust(record: Mapping[str, Any]) -> Iterator[Row | Beside | Unusable]:
    look = look_at(record)
    yield from credentials_of(look)
    if is_blueprint(look, ""):
        yield from beside("agent_blueprints", blueprint_rows(look))


class _TrustShape(ObjectShape):
    """Applications with their federated credentials; a page of blueprints alone is one of blueprints."""

    def recognises(self, record: Mapping[str, Any], context: Context) -> bool:
        """Return whether a record has this shape."""
        look = look_at(record)
        return self.recogniser(look) and not lists_blueprints(context_of(look, context))


def _read_of_identity(record: Mapping[str, Any]) -> Iterator[Row]:
    look = look_at(record)
    scope, _, _ = look.text("id").rpartition(_BELOW)
    yield {"object_id": scope} | read_credential({**look.outer, **look.inner})


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


TRUST_SHAPES = (
    _TrustShape(
        "application_federated_credentials",
        "application_federated_credentials",
        has_trust,
        "federated_credentials",
        _read_trust,
    ),
    ObjectShape(
        "identity_federated_credentials",
        "identity_federated_credentials",
        _is_of_identity,
        "federated_credentials",
        _read_of_identity,
    ),
    ColumnShape("administrative_units", "administrative_units", _is_unit, _UNIT, _INSERT_UNITS),
    ColumnShape("observed_subjects", "observed_subjects", _is_observed, _OBSERVED, _INSERT_OBSERVED),
)
