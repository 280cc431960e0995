"""Tell what a file with a deployment is, and read it: template, Bicep, what-if output, plan or state of Terraform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rightsize.iac.deployed.bicep import read_bicep_file
from rightsize.iac.deployed.deployments import (
    CREATE,
    DELETE,
    READ,
    SUBSCRIPTION,
    UPDATE,
    Change,
    Deployment,
    child_id,
    group_of,
    references_in,
    spelt_type,
    type_of,
)
from rightsize.iac.deployed.templates import DEPLOYMENT, is_template, parameters_of, read_template
from rightsize.iac.deployed.terraform import is_terraform, read_terraform
from rightsize.iac.templates import NOTHING_BESIDE, Beside
from rightsize.model.errors import InputError
from rightsize.model.role_forms import load_relaxed_json

_DOES = {"create": CREATE, "delete": DELETE, "nochange": READ, "noeffect": READ, "ignore": ""}
"""The effects on a resource by its `changeType` in what-if output; any other type writes the resource."""
_HINT = (
    "give a compiled ARM template or a Bicep file, or the JSON of `az deployment group what-if --no-pretty-print` or "
    "`terraform show -json`"
)


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
        given = parameters_of(load_relaxed_json(parameters)) if parameters is not None else {}
        if name.endswith(".bicep"):
            return _bicep(content, name, beside, at, given)
        return _json(load_relaxed_json(content), at, given)
    except InputError as error:
        raise InputError(f"`{name}`: {error.message}", hint=error.hint) from None
    except RecursionError:
        raise InputError(f"`{name}`: it is nested deeper than any deployment") from None


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
    raise InputError("it is no template, plan, state or what-if output", hint=_HINT)


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
