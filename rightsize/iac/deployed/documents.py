"""Read a file with a deployment, and say which operations it takes, each with the resource and rule that ask for it.

A file is a template, Bicep, what-if output, a plan or a state of Terraform. Every resource is written and read back,
read alone where nothing changes, and removed where the code removes or replaces it. What its body refers to has linked
checks, at the target's own scope. `rules/deployment_needs` has what comes besides. What no file shows, such as the
route table of a subnet that exists, is none of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rightsize.iac.deployed.bicep import read_bicep_file
from rightsize.iac.deployed.deployments import (
    CREATE,
    DELETE,
    READ,
    SUBSCRIPTION,
    UPDATE,
    WRITES,
    Change,
    Deployment,
    Reference,
    child_id,
    group_of,
    references_in,
    spelt_type,
    subscription_of,
    type_of,
)
from rightsize.iac.deployed.templates import DEPLOYMENT, is_template, parameters_of, read_template
from rightsize.iac.deployed.terraform import is_terraform, read_terraform
from rightsize.iac.templates import NOTHING_BESIDE, Beside
from rightsize.model.errors import InputError
from rightsize.model.role_forms import load_relaxed_json
from rightsize.rules import resource_types

_DOES = {"create": CREATE, "delete": DELETE, "nochange": READ, "noeffect": READ, "ignore": ""}
"""The effects on a resource by its `changeType` in what-if output; any other type writes the resource."""
FORMS_HINT = (
    "give a compiled ARM template or a Bicep file, or the JSON of `az deployment group what-if --no-pretty-print` or "
    "`terraform show -json`"
)
"""What to give instead of a thing that is no deployment."""


def read_deployment(
    content: bytes, name: str, beside: Beside = NOTHING_BESIDE, at: str = "", parameters: bytes | None = None
) -> Deployment:
    """Return what a file deploys.

    Args:
        content: The file.
        name: Its name, which tells Bicep.
        beside: The files beside it.
        at: The scope of the deployment, where the file does not say it.
        parameters: A file of parameters of a template, as JSON.

    Raises:
        InputError: It cannot be read, or is nothing that deploys.
    """
    try:
        given = _given(parameters) if parameters is not None else {}
        if name.endswith(".bicep"):
            return _bicep(content, name, beside, at, given)
        return _json(load_relaxed_json(content), at, given)
    except InputError as error:
        hint = error.hint or (None if name.endswith(".bicep") else FORMS_HINT)
        raise InputError(f"`{name}`: {error.message}", hint=hint) from None
    except RecursionError:
        raise InputError(f"`{name}`: it is nested deeper than any deployment") from None


def _given(parameters: bytes) -> dict[str, object]:
    try:
        return parameters_of(load_relaxed_json(parameters))
    except InputError as error:
        hint = 'give it as `az` takes it: {"parameters": {NAME: {"value": VALUE}}}'
        raise InputError(f"its parameters: {error.message}", hint=hint) from None


def _bicep(content: bytes, name: str, beside: Beside, at: str, given: Mapping[str, object]) -> Deployment:
    """Return what a Bicep file deploys, by the compiled template beside it where there is one."""
    compiled = f"{name.replace(chr(92), '/').rsplit('/', 1)[-1].removesuffix('.bicep')}.json"
    written = beside.read(compiled)
    if written is not None:
        try:
            document = load_relaxed_json(written)
        except InputError:
            document = None
        metadata = document.get("metadata") if isinstance(document, Mapping) else None
        generator = metadata.get("_generator") if isinstance(metadata, Mapping) else None
        is_compiled = isinstance(generator, Mapping) and generator.get("name") == "bicep"
        if isinstance(document, Mapping) and is_template(document) and is_compiled:
            found = read_template(document, at, given)
            found.unknown.append(
                f"`{compiled}` beside it was read, its compiled template: compile it anew if it is older"
            )
            return found
    return read_bicep_file(content.decode("utf-8-sig", "replace"), beside, at, given)


def _json(document: Any, at: str, given: Mapping[str, object]) -> Deployment:
    if is_template(document):
        return read_template(document, at, given)
    if is_terraform(document):
        return read_terraform(document, at)
    changes = _what_if(document)
    if changes is not None:
        return _read_what_if(changes, at)
    raise InputError("it is no template, plan, state or what-if output", hint=FORMS_HINT)


def _what_if(document: Any) -> list[Any] | None:
    """Return the changes of what-if output; None where the document is none."""
    inner = document.get("properties", document) if isinstance(document, Mapping) else None
    changes = inner.get("changes") if isinstance(inner, Mapping) else None
    is_said = isinstance(changes, list) and all(isinstance(one, Mapping) and "changeType" in one for one in changes)
    return changes if is_said else None


def _read_what_if(changes: list[Any], at: str) -> Deployment:
    """Return what Azure foresees of a deployment: it names each resource, and what it refers to."""
    ids = [one["resourceId"] for one in changes if isinstance(one.get("resourceId"), str)]
    place = at or (
        group_of(ids[0]) if ids and "/resourcegroups/" in ids[0].lower() else f"/subscriptions/{SUBSCRIPTION}"
    )
    found = Deployment("what-if", place)
    found.add(Change("the deployment", DEPLOYMENT, child_id(place, DEPLOYMENT, "{deployment}"), frozenset([CREATE])))
    for change in changes:
        made, does = change.get("resourceId"), _DOES.get(str(change["changeType"]).lower(), UPDATE)
        if isinstance(made, str) and made and does:
            body = change.get("after") if isinstance(change.get("after"), Mapping) else change.get("before")
            body = body if isinstance(body, Mapping) else {}
            kind = spelt_type(type_of(made))
            stated = {key: one for key, one in body.items() if key not in ("id", "dependsOn")}
            address = f"{kind} {'/'.join(made.rpartition('/providers/')[2].split('/')[2::2])}"
            found.add(Change(address, kind, made, frozenset([does]), body, tuple(references_in(stated, made))))
        if str(change["changeType"]).lower() == "unsupported":
            found.unknown.append(f"what-if does not know what becomes of `{made}`")
    return found


PROVIDERS_READ = "Microsoft.Resources/subscriptions/providers/read"


@dataclass(frozen=True, slots=True)
class Need:
    """An operation that a deployment takes.

    Attributes:
        operation: The operation.
        scope: Where it is asked for, with placeholders where the code does not say it.
        resource: The address of the resource in the code that takes it.
        rule: Why it is taken.
        only_if: When it is taken alone; empty where it always is.
        privilege: Whether it gives privilege.
    """

    operation: str
    scope: str
    resource: str
    rule: str
    only_if: str = ""
    privilege: bool = False


def needs_of(deployment: Deployment) -> list[Need]:
    """Return the operations that a deployment takes, each once for a scope and a resource, sorted."""
    found: dict[tuple[str, str, str], Need] = {}
    for need in _all(deployment):
        found.setdefault((need.scope.lower(), need.operation.lower(), need.resource), need)
    return [found[key] for key in sorted(found)]


def not_known(deployment: Deployment) -> list[str]:
    """Return what the file, or no rule, says of a deployment: one sentence each."""
    kinds = {change.terraform for change in deployment.changes if change.terraform.startswith("azurerm_")}
    unknown = sorted(kind for kind in kinds if not resource_types.is_known_to_terraform(kind))
    said = [f"no rule says what `{kind}` takes" for kind in unknown]
    said += [
        f"the type of `{one.address}` is not known" for one in deployment.changes if not one.kind and not one.terraform
    ]
    return list(dict.fromkeys([*deployment.unknown, *said]))


def _all(deployment: Deployment) -> Iterator[Need]:
    namespaces: dict[str, str] = {}
    for change in deployment.changes:
        if change.kind:
            yield from _of_change(change)
            yield from _linked(change)
            if change.does & WRITES:
                namespaces.setdefault(change.kind.split("/")[0], change.address)
        yield from _besides(change)
    for call in deployment.calls:
        yield _need(call.operation, call.id, "the code", call.words)
    if deployment.registers:
        at = subscription_of(deployment.at)
        yield _need(
            PROVIDERS_READ, at, "provider azurerm", "the provider lists which resource providers are registered"
        )
        for name, address in namespaces.items():
            words = "the provider registers the resource providers that are not registered yet"
            yield Need(f"{name}/register/action", at, address, words, f"{name} is not registered yet")


def _need(operation: str, scope: str, resource: str, rule: str) -> Need:
    return Need(operation, scope, resource, rule, "", resource_types.gives_privilege(operation))


def _of_change(change: Change) -> Iterator[Need]:
    """Yield what the change itself takes."""
    kind, is_part = change.kind, resource_types.is_removed_by_write(change.terraform)
    if change.does & WRITES:
        yield _need(f"{kind}/write", change.id, change.address, "write")
    if DELETE in change.does:
        yield _need(f"{kind}/{'write' if is_part else 'delete'}", change.id, change.address, "delete")
    if READ in change.does or change.does & WRITES:
        yield _need(f"{kind}/read", change.id, change.address, "read back" if change.does & WRITES else "read")


def _linked(change: Change) -> Iterator[Need]:
    """Yield what Azure checks on what a written resource refers to; a more special check stands for the usual one."""
    if not change.does & WRITES:
        return
    for reference in change.references:
        rows = resource_types.checks_of(change.kind, type_of(reference.id))
        place = f"{change.kind}.{reference.path}".lower()
        special = [
            row for row in rows if row["path_words"] and any(word in place for word in row["path_words"].split(" "))
        ]
        for row in special or [row for row in rows if not row["path_words"]]:
            if row["kind"] != resource_types.ENDPOINT or _is_approved(change, reference):
                words = f"linked check by `{reference.path}`: {row['source']}"
                yield _need(row["checked"], reference.id, change.address, words)


def _is_approved(change: Change, reference: Reference) -> bool:
    """Return whether a private endpoint is approved by who makes it, so that its target is checked."""
    if reference.path.lower().startswith("properties.manual"):
        return False
    is_connection = "serviceconnection" in reference.path.lower().replace("_", "")
    manual = next(_values(change.body, "private_service_connection.is_manual_connection"), False)
    return ("privatelinkservice" in reference.path.lower() or is_connection) and manual is not True


def _besides(change: Change) -> Iterator[Need]:
    """Yield what `rules/deployment_needs` says of a type."""
    for row in resource_types.needs_besides(change.terraform, change.kind):
        if _happens(row["does"], change) and _is_set(change.body, row["property"], change.references):
            for scope in _scopes(row["at"], change):
                yield _need(row["operation"], scope, change.address, row["source"])


def _happens(does: str, change: Change) -> bool:
    said = change.does
    is_read = READ in said or bool(said & WRITES)
    return {
        "any": True,
        "read": is_read,
        "write": bool(said & WRITES),
        "create": CREATE in said,
        "update": UPDATE in said,
        "delete": DELETE in said,
    }.get(does, False)


def _is_set(body: Mapping[str, Any], rule: str, references: tuple[Reference, ...]) -> bool:
    """Return whether a property has a value, or the one that a rule names; what it refers to is a value, too."""
    if not rule:
        return True
    path, is_named, wanted = rule.partition("=")
    values = list(_values(body, path))
    if is_named:
        return any(str(value).lower() == wanted.lower() for value in values)
    return any(value not in (None, False, "", [], {}) for value in values) or any(
        one.path == path or one.path.startswith(f"{path}.") for one in references
    )


def _values(body: object, path: str) -> Iterator[Any]:
    """Yield the values at a path of a body, whatever lists stand between."""
    name, _, rest = path.partition(".")
    for one in body if isinstance(body, list) else [body]:
        if isinstance(one, Mapping):
            value = next((value for key, value in one.items() if str(key).lower() == name.lower()), None)
            if rest and value is not None:
                yield from _values(value, rest)
            elif value is not None:
                yield value


def _scopes(at: str, change: Change) -> list[str]:
    """Return the scopes that a rule names for a resource."""
    if not at:
        return [change.id]
    if at == "group":
        return [group_of(change.id)]
    if at == "subscription":
        return [subscription_of(change.id)]
    if at == "parent":
        return ["/".join(change.id.split("/")[:-2])]
    texts = [one for value in _values(change.body, at) for one in (value if isinstance(value, list) else [value])]
    known = [one for one in texts if isinstance(one, str) and one.startswith("/")]
    return known or [one.id for one in change.references if one.path == at] or [group_of(change.id)]
