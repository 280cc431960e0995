"""Read the federated credentials of applications, which Graph lists with `$expand=federatedIdentityCredentials`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rightsize.ingest.entities.definitions import text_of
from rightsize.ingest.entities.look import Look, fold_keys
from rightsize.ingest.entities.shape import Row, Unusable
from rightsize.model.errors import InputError
from rightsize.rbac.text import fold


def has_trust(look: Look) -> bool:
    """Return whether a record lists the federated credentials of an application."""
    return isinstance(look.outer.get("federatedidentitycredentials"), list) and bool(look.text("id"))


def credentials_of(look: Look) -> Iterator[Row | Unusable]:
    """Yield a row of `federated_credentials` for each credential of an application; none where they are not listed."""
    if not has_trust(look):
        return
    audience = look.outer.get("signinaudience")
    of_app = {
        "object_id": look.text("id"),
        "app_id": look.text("appid") or None,
        "sign_in_audience": audience if isinstance(audience, str) else None,
    }
    for one in look.outer["federatedidentitycredentials"]:
        fields = fold_keys(one) if isinstance(one, Mapping) else {}
        try:
            yield of_app | read_credential(fields)
        except InputError as error:
            yield Unusable(error.message, one)


def read_credential(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a credential says, without its holder; raise InputError where that is not enough."""
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
