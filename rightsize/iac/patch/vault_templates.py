"""Edit Bicep and ARM templates that make key vaults: role assignments beside a vault first, then its model.

A vault is found by its name, which only one vault of Azure has: written out, or given by parameters of a file or of a
deployment. Its resource is edited where it says its model by a literal or not at all. All else of it stays.

An ARM template is edited as text, and the proof is that it reads as today's with these entries alone. What Bicep
compiled is not edited: the Bicep is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rightsize.iac.evaluation import evaluate
from rightsize.iac.expressions import Node
from rightsize.iac.patch.bicep_assignments import (
    BicepReader,
    members,
    parameters_of,
    parts_of_assignment,
    values_in,
    word_in,
)
from rightsize.iac.patch.bicep_patch import decorated_start, role_file, role_notes, second_bicep_reader, texts_in
from rightsize.iac.patch.grants import (
    Change,
    Code,
    Edit,
    Offer,
    Quote,
    Refused,
    Roles,
    Wanted,
    end_of_line,
    new_roles,
    overlap,
)
from rightsize.iac.patch.terraform_patch import Patch
from rightsize.iac.patch.vault_terraform import AMBIGUOUS, OTHERS, SAID_ALREADY, why_not_plain
from rightsize.iac.syntax_trees import Statement
from rightsize.model.errors import InputError
from rightsize.model.role_forms import load_relaxed_json
from rightsize.model.text import fold
from rightsize.rbac.assignments import assignment_id
from rightsize.rules.vaults import MODEL, VAULT

_ROLE_TYPE = "'Microsoft.Authorization/roleDefinitions'"
_ASSIGNMENT_KIND = "'Microsoft.Authorization/roleAssignments@2022-04-01'"


@dataclass(frozen=True, slots=True)
class _Site:
    """A resource that makes a vault, and the place of the values of parameters with which it does."""

    reader: BicepReader
    statement: Statement
    number: int
    others: frozenset[str]

    @property
    def path(self) -> str:
        return self.reader.path


def patch_vault_resources(
    code: Code,
    vaults: Mapping[str, Sequence[Change]],
    roles: Roles,
    role_files: Mapping[str, str],
    deployments: Sequence[object],
    quote: Quote,
    others: Sequence[Offer],
) -> Patch:
    """Return the proved edits of the Bicep that makes vaults; the arguments are those of `patch_bicep`.

    Args:
        code: The files.
        vaults: The changes of each vault that the plan switches, by its folded scope.
        roles: The roles of the tenant and the plan.
        role_files: A Bicep file for each new role, by its GUID.
        deployments: What `az deployment show` prints.
        quote: Returns a text as a Bicep string, with its quotes.
        others: The edits of assignments, which must not change the same places.
    """
    made = Patch()
    readers = list(_readers(code, deployments, made))
    for scope, changes in sorted(vaults.items()):
        sites = [site for reader in readers for site in _sites(reader, scope)]
        if not sites:
            made.missing += changes
            continue
        site = sites[0]
        offer: Offer | str = AMBIGUOUS if len(sites) > 1 else OTHERS if site.others else ""
        offer = offer or why_not_plain(scope, changes) or _offer(site, changes, code, role_files, quote)
        if isinstance(offer, Offer):
            offer = _refuted(site, scope, offer, code, roles) or offer
        if isinstance(offer, Offer) and overlap([edit for one in (*others, *made.offers, offer) for edit in one.both]):
            offer = "another edit changes the same place"
        if isinstance(offer, Offer):
            made.offers.append(offer)
            made.notes += role_notes(offer, site.path)
        else:
            line = code.line(site.path, site.statement.start)
            made.refused += [Refused(change, offer, site.path, line) for change in changes]
    return made


def _readers(code: Code, deployments: Sequence[object], made: Patch) -> Iterator[BicepReader]:
    for path in sorted(code.files):
        if path.endswith(".bicep") and VAULT in fold(code.files[path].decode("utf-8", "replace")):
            try:
                yield BicepReader(path, code.files, parameters_of(path, code, deployments))
            except (InputError, UnicodeDecodeError) as error:
                made.notes.append(f"`{path}` is not read: {error}")


def _sites(reader: BicepReader, scope: str) -> Iterator[_Site]:
    vault = scope.rpartition("/")[2]
    for statement in reader.statements:
        kind = statement.kind.parts[0] if statement.kind is not None and statement.kind.kind == "value" else ""
        body = statement.value
        is_made = (
            statement.keyword == "resource" and not statement.is_existing and fold(str(kind)).split("@")[0] == VAULT
        )
        if not is_made or body is None or body.kind != "object" or "name" not in members(body):
            continue
        names: dict[int, str] = {}
        for number in range(len(reader.parameters)):
            value = evaluate(members(body)["name"], reader.file(scope, number).scope)
            if isinstance(value, str):
                names[number] = fold(value)
        if vault in names.values():
            # Defaults may be the names of no vault: what a file of parameters or a deployment gives is one.
            others = frozenset(name for number, name in names.items() if number and name != vault)
            yield _Site(reader, statement, next(one for one, name in names.items() if name == vault), others)


def _offer(
    site: _Site, changes: Sequence[Change], code: Code, role_files: Mapping[str, str], quote: Quote
) -> Offer | str:
    content, statement = code.files[site.path], site.statement
    if statement.loop is not None or statement.refusal is not None or decorated_start(content, statement.start) is None:
        return "it is made in a loop, or its code cannot be read"
    model = _model_edit(site.path, statement, content)
    if isinstance(model, str):
        return model
    wanted = [one for change in changes for one in change.wanted]
    texts = [text for one in wanted for text in _declarations(site, one, quote)]
    texts = list(dict.fromkeys(texts))
    symbols = [text.split(" ")[1] for text in texts]
    if len(symbols) != len(set(symbols)) or any(word_in(content.decode(), name) for name in symbols):
        return "a new resource would have the name of another one"
    add = [Edit(site.path, statement.end, statement.end, "".join(f"\n\n{text}" for text in texts))] if texts else []
    for one in new_roles(changes).values():
        if role_file(site.path, one) not in code.files:
            add.append(Edit(role_file(site.path, one), 0, 0, role_files[one.grant.role]))
    if not add and model is None:
        return SAID_ALREADY
    return Offer(tuple(changes), tuple(add), (*add, *([model] if model else [])))


def _declarations(site: _Site, wanted: Wanted, quote: Quote) -> Iterator[str]:
    """Yield the resource of a new assignment, after the secret, key or certificate that it is made at."""
    vault = site.statement.name
    below = [one for one in wanted.grant.scope.partition(f"/{VAULT}/")[2].split("/")[1:] if one]
    place = vault
    if below:
        kind, item = below[0], wanted.scope.rpartition("/")[2]
        place = f"{vault}{kind.title()}{_symbol(item)}"
        yield (
            f"resource {place} 'Microsoft.KeyVault/vaults/{kind}@2023-07-01' existing = {{\n"
            f"  parent: {vault}\n  name: {quote(item)}\n}}"
        )
    first, *rest = wanted.word.split("_")
    name = f"{place}{_symbol(wanted.grant.principal_id[:8])}{first.title()}{''.join(map(str.title, rest))}"
    who = quote(wanted.grant.principal_id)
    yield (
        f"resource {name} {_ASSIGNMENT_KIND} = {{\n"
        f"  scope: {place}\n"
        f"  name: guid({place}.id, {who}, '{wanted.grant.role}')\n"
        "  properties: {\n"
        f"    roleDefinitionId: subscriptionResourceId({_ROLE_TYPE}, '{wanted.grant.role}')\n"
        f"    principalId: {who}\n"
        "  }\n"
        "}"
    )


def _symbol(text: str) -> str:
    return "".join(part.title() for part in re.split(r"[^A-Za-z0-9]+", text))


def _model_edit(path: str, statement: Statement, code: bytes) -> Edit | str | None:
    """Return the edit that lets roles decide, None where the code says so already, or why there is none."""
    body = statement.value
    properties = members(body).get("properties") if body is not None else None
    if properties is None or properties.kind != "object":
        return "its properties are not written out"
    node = next((value for name, value in members(properties).items() if fold(name) == fold(MODEL)), None)
    if node is not None:
        if node.kind != "value" or not isinstance(node.parts[0], bool):
            return f"`{MODEL}` is `{node.text}`, and what else uses that is not known: set it there"
        return None if node.parts[0] else Edit(path, node.start, node.end, "true")
    opening = end_of_line(code, code.index(b"{", properties.start) + 1)
    line = code.rfind(b"\n", 0, properties.start) + 1
    indent = " " * (len(code[line:]) - len(code[line:].lstrip(b" ")) + 2)
    if b"\n" not in code[properties.start : properties.end]:
        return "its properties stand on one line"
    return Edit(path, opening, opening, f"\n{indent}{MODEL}: true")


def _refuted(site: _Site, scope: str, offer: Offer, code: Code, roles: Roles) -> str | None:
    """Return why edits do not do what the plan says, or None: both phases are read back by both parsers."""
    added, final = code.edited(offer.add), code.edited(offer.both)
    old, new, last = (texts_in(one, site.path) for one in (code, added, final))
    vault = f"resource {site.statement.name}"
    came = new.keys() - old.keys()
    if any(new.get(name) != text for name, text in old.items()) or new.keys() != last.keys():
        return "with the new access added, something else has changed"
    if any(last[name] != text for name, text in new.items() if name != vault):
        return "with the model changed, something else has changed"
    reader = BicepReader(site.path, final.files, site.reader.parameters)
    after = {one.name: one for one in reader.statements}
    if _model_edit(site.path, after[site.statement.name], final.files[site.path]) is not None:
        return "with the model changed, the code does not say that roles decide"
    if _bare(after[site.statement.name]) != _bare(site.statement):
        return "with the model changed, something else of the vault has changed"
    fresh = [after[name.partition(" ")[2]] for name in came]
    given = {_granted(reader, one, scope, site.number, roles) for one in fresh if not one.is_existing}
    if given != {(one.grant.scope, one.grant.principal_id, one.grant.role)
                 for change in offer.changes for one in change.wanted}:  # fmt: skip
        return "the new assignments are not those of the plan"
    parser = second_bicep_reader()
    try:
        for name in (*sorted(came), vault):
            parser.parse(text=last[name].decode() + "\n")
    except Exception as error:  # whatever a foreign parser raises means that it does not read it
        return f"pycep cannot read the edit: {(str(error).strip().splitlines() or [type(error).__name__])[0]}"
    return None


def _bare(statement: Statement) -> dict[str, str]:
    """Return the texts of a vault's members and properties, without its model."""
    body = members(statement.value) if statement.value is not None else {}
    inner = members(body["properties"])
    texts = {name: node.text for name, node in body.items() if name != "properties"}
    return texts | {f"properties {name}": node.text for name, node in inner.items() if fold(name) != fold(MODEL)}


def _granted(
    reader: BicepReader, statement: Statement, scope: str, number: int, roles: Roles
) -> tuple[str, str, str | None] | None:
    """Return scope, holder and role of a new assignment; None where they are not decided."""
    parts = parts_of_assignment(statement)
    if parts is None or parts.scope is None:
        return None
    names = reader.file(scope, number).scope
    place = evaluate(Node("member", (parts.scope, "id", False), f"{parts.scope.text}.id"), names)
    below = next((one for one in reader.statements if one.name == parts.scope.text and one.is_existing), None)
    if below is not None and below.value is not None:
        item = evaluate(members(below.value)["name"], names)
        place = f"{scope}/{str(below.kind and below.kind.parts[0]).split('@')[0].rpartition('/')[2]}/{item}"
    role = evaluate(parts.role, names)
    who = evaluate(parts.principal, names)
    if not isinstance(place, str) or not isinstance(role, str) or not isinstance(who, str):
        return None
    return fold(place), fold(who), roles.role_of(role, by_name=False)


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
        offer = AMBIGUOUS if len(own) > 1 else OTHERS if len(first.names) > 1 else _arm_offer(first, scope, changes)
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


def _arm_offer(template: _Template, scope: str, changes: Sequence[Change]) -> Offer | str:
    """Return the edits of a template with their proof, or why there are none."""
    kinds = sum(fold(str(one.get("type"))) == VAULT for one in template.document["resources"] if isinstance(one, dict))
    if kinds > 1 or "copy" in template.document["resources"][template.number]:
        return OTHERS
    model = why_not_plain(scope, changes) or _arm_model(template)
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
    return _arm_refuted(template, offer, entries) or offer


def _arm_model(template: _Template) -> Edit | str | None:
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


def _arm_refuted(template: _Template, offer: Offer, entries: Sequence[Mapping[str, Any]]) -> str | None:
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
