"""Read federated credentials and their subjects, agent blueprints, and administrative units.

Agent identities, agent users and blueprint principals are principals, which the listings of the directory have.
Microsoft's pages disagree about what can be inherited: the concept page of April 2026 knows `allAllowed` and `none`
for scopes and roles, the reference of Graph v1.0 also lists of scopes. Every form is read, and a word that neither
knows stays as it is written.
Sources: Microsoft Learn, Graph v1.0 resource types agentIdentityBlueprint, inheritablePermission, inheritableScopes;
Entra Agent ID, "Configure inheritable permissions for agent identity blueprints".

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

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from rightsize.ingest.entities import shape
from rightsize.ingest.entities.azure_roles import text_of
from rightsize.model.errors import InputError
from rightsize.model.text import GUID_FORM, fold


def has_trust(look: shape.Look) -> bool:
    """Return whether a record lists the federated credentials of an application."""
    return isinstance(look.outer.get("federatedidentitycredentials"), list) and bool(look.text("id"))


def credentials_of(look: shape.Look) -> Iterator[shape.Row | shape.Unusable]:
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
        fields = shape.fold_keys(one) if isinstance(one, Mapping) else {}
        try:
            yield of_app | read_credential(fields)
        except InputError as error:
            yield shape.Unusable(error.message, one)


def read_credential(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a credential says, without its holder; raise InputError where that is not enough."""
    expression = fields.get("claimsmatchingexpression")
    flexible = shape.fold_keys(expression) if isinstance(expression, Mapping) else {}
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


LISTING = "inheritablePermissions"
RELATIONS = (("owners", "object_owners", "owner_id"), ("sponsors", "object_sponsors", "sponsor_id"))
"""The expanded relations of an object: key, table, and the table's column of the related object."""

_BLUEPRINT = "agentidentityblueprint"
_CAST = rf"(?:microsoft\.)?graph\.{_BLUEPRINT}"
_BLUEPRINTS = re.compile(rf"applications(?:\(.*\))?/{_CAST}(?:\(.*\))?(?:/\$entity|/\$delta)?")
_INHERITABLE = re.compile(
    rf"applications(?:/{_CAST})?\('?(?P<id>[^()']+)'?\)(?:/{_CAST})?/inheritablepermissions(?:\(.*\))?(?P<one>/\$entity)?"
)
_ACCESS = {"inheritablescopes": ("delegated", "scopes"), "inheritableroles": ("application", "roles")}
_MODES = {"allallowed": "allAllowed", "enumerated": "enumerated", "none": "none", "no": "none"}
_NO_BLUEPRINT = (
    f"the blueprint of these permissions is unknown: name the file {LISTING}-ID, with the object id of the blueprint"
)


def is_blueprint(look: shape.Look, context: str) -> bool:
    """Return whether a record is a blueprint, by its type or by the `@odata.context` of its page."""
    entity_set = fold(context.partition("#")[2])
    if lists_blueprints(context):
        return bool(look.text("id"))
    typed = look.text("@odata.type").rpartition(".")[2] == _BLUEPRINT
    return typed and bool(look.text("id")) and (not entity_set or entity_set.startswith("applications"))


def context_of(look: shape.Look, context: shape.Context) -> str:
    """Return the `@odata.context` of a page, else that of the record."""
    own = look.outer.get("@odata.context")
    return context.odata_context or (own if isinstance(own, str) else "")


def lists_blueprints(context: str) -> bool:
    """Return whether a page has blueprints alone, by the cast in its `@odata.context`."""
    return bool(_BLUEPRINTS.fullmatch(fold(context.partition("#")[2])))


def _read_blueprint(record: Mapping[str, Any]) -> Iterator[shape.Row | shape.Beside | shape.Unusable]:
    look = shape.look_at(record)
    yield from blueprint_rows(look)
    yield from shape.beside("federated_credentials", credentials_of(look))


def blueprint_rows(look: shape.Look) -> Iterator[shape.Row | shape.Beside | shape.Unusable]:
    """Yield the row of a blueprint, and beside it its owners, its sponsors, and the permissions that agents inherit."""
    object_id, app_id = look.text("id"), look.text("appid")
    if not GUID_FORM.fullmatch(object_id) or not GUID_FORM.fullmatch(app_id):
        raise InputError("its `id` or `appId` is not a GUID")
    if look.outer.get("deleteddatetime"):
        raise InputError("it is a deleted blueprint")
    publisher = look.outer.get("verifiedpublisher")
    yield {
        "blueprint_app_id": app_id,
        "object_id": object_id,
        "display_name": text_of(look.outer, "displayname") or None,
        "publisher": text_of(shape.fold_keys(publisher), "displayname") or None
        if isinstance(publisher, Mapping)
        else None,
        "disabled_status": text_of(look.outer, "disabledbymicrosoftstatus") or None,
        "created_on": text_of(look.outer, "createddatetime") or None,
    }
    for key, table, column in RELATIONS:
        for one in _listed(look, key):
            other = shape.look_at(one).text("id") if isinstance(one, Mapping) else ""
            if GUID_FORM.fullmatch(other):
                yield shape.Beside(table, {"object_id": object_id, column: other, "app_id": app_id})
            else:
                yield shape.Unusable(f"one of its {key} has no `id`", one)
    if not isinstance(look.outer.get("inheritablepermissions"), list):
        return
    lost = 0
    for one in _listed(look, "inheritablepermissions"):
        try:
            rows = list(_read_inheritable(one, object_id))
        except InputError as error:
            lost += 1
            yield shape.Unusable(error.message, one)
            continue
        for row in rows:
            yield shape.Beside("inheritable_permissions", row)
    whole = not look.outer.get(f"{fold(LISTING)}@odata.nextlink")
    yield shape.Beside("listings", {"listing": LISTING, "of": object_id, "complete": whole, "rejected": lost})


def _listed(look: shape.Look, key: str) -> list[Any]:
    found = look.outer.get(key)
    return found if isinstance(found, list) else []


def _read_inheritable(record: object, blueprint_id: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of one API: what of its delegated permissions is inherited, and what of its application ones."""
    fields = shape.fold_keys(record) if isinstance(record, Mapping) else {}
    resource = fold(text_of(fields, "resourceappid"))
    if not GUID_FORM.fullmatch(resource):
        raise InputError("its `resourceAppId` is not a GUID")
    for key, (access, of) in _ACCESS.items():
        said = fields.get(key)
        if said is not None and not isinstance(said, Mapping):
            raise InputError(f"its `{key}` is not an object")
        mode, permissions = _mode(shape.fold_keys(said or {}), of)
        yield {
            "blueprint_id": blueprint_id,
            "resource_app_id": resource,
            "access": access,
            "mode": mode,
            "permissions": permissions,
        }


def _mode(fields: Mapping[str, Any], of: str) -> tuple[str, list[str]]:
    """Return the mode by its `kind`, else by its type, and the listed permissions."""
    listed = fields.get(of)
    if listed is not None and not (isinstance(listed, list) and all(isinstance(one, str) for one in listed)):
        raise InputError(f"its `{of}` is not a list of strings")
    # One tool writes several names as one text.
    permissions = sorted({name for text in listed or () for name in text.split()})
    typed = text_of(fields, "@odata.type").rpartition(".")[2]
    typed = typed[: -len(of)] if fold(typed).endswith(of) else typed
    said = text_of(fields, "kind").strip() or typed
    if not said:
        return ("enumerated" if permissions else "unsaid"), permissions
    return _MODES.get(fold(said), said), permissions


@dataclass(frozen=True, slots=True)
class _BlueprintShape(shape.ObjectShape):
    """Blueprints; on a page with a cast each record is one, else each record with the type."""

    def recognises(self, look: shape.Look, context: shape.Context) -> bool:
        """Return whether a record has this shape; `{}` stands for an empty page."""
        if not look.record:
            return lists_blueprints(context.odata_context)
        said = context_of(look, context)
        # A listing of the credentials of all applications is one of credentials; it may have a blueprint among others.
        return is_blueprint(look, said) and (lists_blueprints(said) or not has_trust(look))


@dataclass(frozen=True, slots=True)
class _InheritableShape:
    """The inheritable permissions of one blueprint, which only the page or the name of its file identifies."""

    name: str = "inheritable_permissions"

    @property
    def source(self) -> str:
        """Return the word for it in `loads`."""
        return self.name

    def recognises(self, look: shape.Look, context: shape.Context) -> bool:
        """Return whether a record has this shape; `{}` stands for an empty page."""
        if not look.record:
            return _INHERITABLE.fullmatch(fold(context.odata_context.partition("#")[2])) is not None
        return bool(look.text("resourceappid")) and any(key in look.outer for key in _ACCESS)

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the records of `relation` into the staging tables."""
        pages = con.execute(f"""
            SELECT DISTINCT file_id, coalesce(page, -1), coalesce(context, ''), coalesce(place, ''), has_next
            FROM (SELECT DISTINCT file_id, page FROM {relation}
                UNION SELECT file_id, page FROM stage_pages WHERE records = 0 AND context ILIKE '%/{LISTING}%'
                    AND (file_id, page) NOT IN (SELECT (file_id, line) FROM stage_listings))
            LEFT JOIN stage_pages USING (file_id, page) LEFT JOIN stage_names USING (file_id)""").fetchall()
        blueprints: dict[tuple[int, int], str] = {}
        listings: dict[tuple[int, int], dict[str, Any]] = {}
        for file_id, page, context, place, has_next in pages:
            found, is_one = _blueprint_of(context, place)
            blueprints[file_id, page] = found
            if found and has_next is not None:
                listings[file_id, page] = {
                    **{"file_id": file_id, "line": page, "listing": LISTING, "of": found},
                    **{"complete": not has_next and not is_one, "rejected": 0},
                }
        rows, rejects = [], []
        for file_id, page, line, text in con.execute(
            f"SELECT file_id, coalesce(page, -1), line, CAST(record AS VARCHAR) FROM {relation} ORDER BY 1, 3"
        ).fetchall():
            record = json.loads(text)
            blueprint = blueprints[file_id, page] or _blueprint_of(str(record.get("@odata.context") or ""), "")[0]
            try:
                if not blueprint:
                    raise InputError(_NO_BLUEPRINT)
                found_rows = list(_read_inheritable(record, blueprint))
            except InputError as error:
                rejects.append((file_id, line, error.message, text))
                if (file_id, page) in listings:
                    listings[file_id, page]["rejected"] += 1
            else:
                rows += [{"file_id": file_id, "line": line, **row} for row in found_rows]
        shape.insert_rows(con, self.name, rows)
        shape.insert_rows(con, "listings", list(listings.values()))
        shape.reject_rows(con, rejects)


def _blueprint_of(context: str, place: str) -> tuple[str, bool]:
    """Return the id of the blueprint that a page is about, empty if unknown, and whether the page has one record only.

    Args:
        context: Its `@odata.context`; empty for a list without an envelope.
        place: The names of the two folders around the file and of the file, separated by slashes.
    """
    found = _INHERITABLE.fullmatch(fold(context.partition("#")[2]))
    if found and GUID_FORM.fullmatch(found["id"]):
        return found["id"], bool(found["one"])
    for part in reversed(fold(place).split("/")[-2:]):
        if len(named := set(GUID_FORM.findall(part))) == 1:
            return named.pop(), bool(found and found["one"])
    return "", False


AGENT_SHAPES = (
    _BlueprintShape("agent_blueprints", "agent_blueprints", lambda look: bool(look.text("id")), "agent_blueprints",
                    _read_blueprint),
    _InheritableShape(),
)  # fmt: skip


_BELOW = "/federatedidentitycredentials/"
_IDENTITY = "/providers/microsoft.managedidentity/userassignedidentities/"


def _is_of_identity(look: shape.Look) -> bool:
    return _IDENTITY in look.text("id") and _BELOW in look.text("id") and look.has("issuer")


def _read_trust(record: Mapping[str, Any]) -> Iterator[shape.Row | shape.Beside | shape.Unusable]:
    look = shape.look_at(record)
    yield from credentials_of(look)
    if is_blueprint(look, ""):
        yield from shape.beside("agent_blueprints", blueprint_rows(look))


class _TrustShape(shape.ObjectShape):
    """Applications with their federated credentials; a page of blueprints alone is one of blueprints."""

    def recognises(self, look: shape.Look, context: shape.Context) -> bool:
        """Return whether a record has this shape."""
        return self.recogniser(look) and not lists_blueprints(context_of(look, context))


def _read_of_identity(record: Mapping[str, Any]) -> Iterator[shape.Row]:
    look = shape.look_at(record)
    scope, _, _ = look.text("id").rpartition(_BELOW)
    yield {"object_id": scope} | read_credential({**look.outer, **look.inner})


_UNIT = (
    shape.field("unit_id", "id", kind="id", mandatory=True),
    shape.field("display_name", "displayName"),
    shape.field("is_restricted", "isMemberManagementRestricted", kind="bool"),
)
_INSERT_UNITS = """
INSERT INTO stage_administrative_units (file_id, line, unit_id, display_name, is_restricted)
SELECT file_id, line, unit_id, display_name, coalesce(is_restricted, false) FROM entity_rows
"""

_OBSERVED = (
    shape.field("issuer", "issuer", "iss", mandatory=True),
    shape.field("subject", "subject", "sub", mandatory=True),
    shape.field("time", "time", kind="time", mandatory=True),
    shape.field("app_id", "app_id", "client_id", kind="id"),
    shape.field("credential_id", "credential_id", "federatedCredentialId"),
    shape.field("job_workflow_ref", "job_workflow_ref"),
    shape.field("run", "run"),
)
_INSERT_OBSERVED = """
INSERT INTO stage_observed_subjects (file_id, line, issuer, subject, time, app_id, credential_id, job_workflow_ref, run)
SELECT file_id, line, rtrim(trim(issuer), '/'), trim(subject), time, coalesce(app_id, ''),
    nullif(lower(trim(credential_id)), ''), nullif(trim(job_workflow_ref), ''), nullif(trim(run), '')
FROM entity_rows WHERE time IS NOT NULL
"""


def _is_unit(look: shape.Look) -> bool:
    return not look.type and "ismembermanagementrestricted" in look.outer and bool(look.text("id"))


def _is_observed(look: shape.Look) -> bool:
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
    shape.ObjectShape(
        "identity_federated_credentials",
        "identity_federated_credentials",
        _is_of_identity,
        "federated_credentials",
        _read_of_identity,
    ),
    shape.ColumnShape("administrative_units", "administrative_units", _is_unit, _UNIT, _INSERT_UNITS),
    shape.ColumnShape("observed_subjects", "observed_subjects", _is_observed, _OBSERVED, _INSERT_OBSERVED),
)
