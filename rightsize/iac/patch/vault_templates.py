"""Edit ARM templates that make a key vault: role assignments before the other resources first, then its model.

A template is edited as text, and the proof is that it reads as today's with these entries alone. What Bicep compiled is
not edited: the Bicep is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rightsize.iac.patch.bicep_assignments import values_in
from rightsize.iac.patch.grants import Change, Code, Edit, Offer, Refused, new_roles
from rightsize.iac.patch.terraform_patch import Patch
from rightsize.iac.patch.vault_terraform import AMBIGUOUS, OTHERS, SAID_ALREADY, why_not_plain
from rightsize.model.errors import InputError
from rightsize.model.role_forms import load_relaxed_json
from rightsize.rbac.assignments import assignment_id
from rightsize.rbac.text import fold
from rightsize.rules.vaults import MODEL, VAULT

_PARAMETER = re.compile(r"\[\s*parameters\(\s*'([^']+)'\s*\)\s*\]")
_SETTING = re.compile(rf'"{MODEL}"\s*:\s*(true|false|"[^"]*")', re.IGNORECASE)
_POLICIES = re.compile(r'([ \t]*)"accessPolicies"\s*:', re.IGNORECASE)
_RESOURCES = re.compile(r'([ \t]*)"resources"\s*:\s*\[', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Template:
    """A template with its vault, and the names that the vault has by files of parameters and deployments."""

    path: str
    text: str
    document: Mapping[str, Any]
    number: int
    names: frozenset[str]


def patch_vault_templates(code: Code, vaults: Mapping[str, Sequence[Change]], deployments: Sequence[object]) -> Patch:
    """Return the proved edits of the ARM templates that make vaults.

    Args:
        code: The files.
        vaults: The changes of each vault that the plan switches, by its folded scope.
        deployments: What `az deployment show` prints.
    """
    made = Patch()
    templates = [one for path in sorted(code.files) for one in _templates(path, code, deployments)]
    for scope, changes in sorted(vaults.items()):
        own = [one for one in templates if scope.rpartition("/")[2] in one.names]
        if not own:
            made.missing += changes
            continue
        first = own[0]
        offer = AMBIGUOUS if len(own) > 1 else OTHERS if len(first.names) > 1 else _offer(first, scope, changes)
        if isinstance(offer, Offer):
            made.offers.append(offer)
            made.notes += _notes(first, changes)
        else:
            line = code.line(first.path, max(0, fold(first.text).find(VAULT)))
            made.refused += [Refused(change, offer, first.path, line) for change in changes]
    return made


def _notes(template: _Template, changes: Sequence[Change]) -> Iterator[str]:
    for one in new_roles(changes).values():
        yield f"make the role {one.role_name} before `{template.path}` is deployed, which assigns it by its id"


def _templates(path: str, code: Code, deployments: Sequence[object]) -> Iterator[_Template]:
    if not path.endswith(".json") or VAULT.encode() not in code.files[path].lower():
        return
    try:
        text = code.files[path].decode()
        document = json.loads(text)
    except (UnicodeDecodeError, ValueError):
        return
    is_template = isinstance(document, dict) and "deploymenttemplate" in fold(str(document.get("$schema")))
    resources = document.get("resources") if is_template else None
    is_compiled = is_template and isinstance(document.get("metadata"), dict) and "_generator" in document["metadata"]
    if not isinstance(resources, list) or is_compiled:
        return
    for number, one in enumerate(resources):
        if isinstance(one, dict) and fold(str(one.get("type"))) == VAULT:
            yield _Template(path, text, document, number, _names(one.get("name"), document, path, code, deployments))


def _names(
    name: object, document: Mapping[str, Any], path: str, code: Code, deployments: Sequence[object]
) -> frozenset[str]:
    """Return the names of a vault: written out, or by the values of a parameter, whose default is the last to count."""
    found = _PARAMETER.fullmatch(str(name))
    if found is None:
        return frozenset() if str(name).startswith("[") else frozenset({fold(str(name))})
    given: list[Mapping[str, object]] = []
    for other in code.names(path.rpartition("/")[0]):
        if other.endswith(".json") and b"deploymentParameters" in code.files[other]:
            try:
                read = load_relaxed_json(code.files[other])
            except InputError:
                continue
            given.append(values_in(read.get("parameters") if isinstance(read, Mapping) else None))
    for one in deployments:
        properties = one.get("properties") if isinstance(one, Mapping) else None
        given.append(values_in(properties.get("parameters") if isinstance(properties, Mapping) else None))
    names = {fold(str(values[found[1]])) for values in given if found[1] in values}
    declared = (document.get("parameters") or {}).get(found[1])
    default = declared.get("defaultValue") if isinstance(declared, Mapping) else None
    return frozenset(names or ({fold(default)} if isinstance(default, str) else ()))


def _offer(template: _Template, scope: str, changes: Sequence[Change]) -> Offer | str:
    """Return the edits of a template with their proof, or why there are none."""
    kinds = sum(fold(str(one.get("type"))) == VAULT for one in template.document["resources"] if isinstance(one, dict))
    if kinds > 1 or "copy" in template.document["resources"][template.number]:
        return OTHERS
    model = why_not_plain(scope, changes) or _model_edit(template)
    if isinstance(model, str):
        return model
    entries = list(_assignments(scope, changes))
    lists = list(_RESOURCES.finditer(template.text))
    if entries and len(lists) != 1:
        return "it has several lists of resources"
    add: list[Edit] = []
    if entries:
        indent = lists[0][1] * 2 or "    "
        texts = [json.dumps(one, indent=2).replace("\n", f"\n{indent}") for one in entries]
        place = len(template.text[: lists[0].end()].encode())
        add = [Edit(template.path, place, place, "".join(f"\n{indent}{text}," for text in texts))]
    if not add and model is None:
        return SAID_ALREADY
    offer = Offer(tuple(changes), tuple(add), (*add, *([model] if model else [])))
    return _refuted(template, offer, entries) or offer


def _model_edit(template: _Template) -> Edit | str | None:
    said = list(_SETTING.finditer(template.text))
    if len(said) > 1:
        return "it says the model of a vault more than once"
    if said and said[0][1].lower() == "true":
        return None
    if said and said[0][1].lower() != "false":
        return f"`{MODEL}` is `{said[0][1]}`, and what else uses that is not known: set it there"
    if said:
        place = len(template.text[: said[0].start(1)].encode())
        return Edit(template.path, place, place + len(said[0][1]), "true")
    policies = list(_POLICIES.finditer(template.text))
    if len(policies) != 1:
        return "it says neither the model nor the policies of the vault once"
    place = len(template.text[: policies[0].end(1)].encode())
    return Edit(template.path, place, place, f'"{MODEL}": true,\n{policies[0][1]}')


def _assignments(scope: str, changes: Sequence[Change]) -> Iterator[dict[str, Any]]:
    name = scope.rpartition("/")[2]
    for wanted in (one for change in changes for one in change.wanted):
        place = wanted.grant.scope.rpartition(f"/{VAULT}/")[2]
        id_ = assignment_id(wanted.grant.scope, wanted.grant.role, wanted.grant.principal_id, None)
        yield {
            "type": "Microsoft.Authorization/roleAssignments",
            "apiVersion": "2022-04-01",
            "name": id_.rpartition("/")[2],
            "scope": f"Microsoft.KeyVault/vaults/{place}",
            "dependsOn": [f"[resourceId('Microsoft.KeyVault/vaults', '{name}')]"],
            "properties": {"roleDefinitionId": wanted.role_path, "principalId": wanted.grant.principal_id},
        }


def _refuted(template: _Template, offer: Offer, entries: Sequence[Mapping[str, Any]]) -> str | None:
    """Return why edits do not do what the plan says, or None: what is read back is today's with these entries."""
    code = Code({template.path: template.text.encode()})
    try:
        added, final = (json.loads(code.edited(some).files[template.path]) for some in (offer.add, offer.both))
    except ValueError as error:
        return f"the edited template cannot be read: {error}"
    expected = {**template.document, "resources": [*entries, *template.document["resources"]]}
    if added != expected:
        return "with the new access added, something else has changed"
    vault = expected["resources"][len(entries) + template.number]
    properties = vault.get("properties")
    if not isinstance(properties, dict):
        return "the properties of the vault are not written out"
    spelt = next((name for name in properties if fold(name) == fold(MODEL)), MODEL)
    expected["resources"][len(entries) + template.number] = {**vault, "properties": {**properties, spelt: True}}
    return None if final == expected else "with the model changed, something else has changed"
