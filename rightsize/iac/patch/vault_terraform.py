"""Edit Terraform that makes key vaults: role assignments beside a vault first, then its model.

A vault is found by its id in a state, as assignments are. Its block is edited only where it makes this vault alone and
says its model by a literal or not at all. All else of the block stays, its policies and `enabled_for_…` switches, too.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rightsize.iac.expressions import Node
from rightsize.iac.hcl_syntax import Block
from rightsize.iac.patch.grants import Change, Edit, Offer, Quote, Refused, Wanted, end_of_line, new_roles, overlap
from rightsize.iac.patch.proof import RefutedError, Subject, read_instances, second_reading, statements
from rightsize.iac.patch.repository import Bound, Repository
from rightsize.iac.patch.terraform_assignments import (
    ASSIGNMENT,
    DEFINITION,
    Held,
    address_of,
    is_vault,
    texts_of,
    vault_block,
)
from rightsize.iac.patch.terraform_edits import ROLE_FILE
from rightsize.iac.patch.terraform_patch import Patch
from rightsize.model.errors import InputError
from rightsize.model.text import GUID_FORM, fold
from rightsize.rules.vaults import MODEL

_NEW, _OLD = "rbac_authorization_enabled", "enable_rbac_authorization"
"""The setting in azurerm: the second is deprecated for the first, and gone in version 5 (registry.terraform.io)."""
AMBIGUOUS, OTHERS, SEVERAL, SAID_ALREADY = (
    "it could be several resources",
    "the resource makes other vaults, too, which stay as they are",
    "the resource makes several vaults, whose holders differ",
    "the code says already that roles decide, and nobody gets a role",
)


_PLACE = re.compile(r"(?:/(?:secrets|keys|certificates)/[a-z0-9-]{1,127})?")


def why_not_plain(scope: str, changes: Sequence[Change]) -> str | None:
    """Return why holders or places of new assignments are not written into code, or None: names come from outside."""
    for wanted in (one.grant for change in changes for one in change.wanted):
        if not GUID_FORM.fullmatch(wanted.principal_id) or not _PLACE.fullmatch(wanted.scope[len(scope) :]):
            return "a holder has no GUID, or a role is for no secret, key or certificate"
    return None


@dataclass(frozen=True, slots=True)
class _Site:
    """A vault of a state with the block that makes it."""

    bound: Bound
    held: Held
    path: str
    block: Block

    @property
    def scope(self) -> str:
        return fold(str(self.held.values.get("id", "")))


def patch_vault_blocks(
    repository: Repository,
    vaults: Mapping[str, Sequence[Change]],
    subject: Subject,
    blocks: Mapping[str, str],
    quote: Quote,
    others: Sequence[Offer],
) -> Patch:
    """Return the proved edits of the Terraform that makes vaults.

    Args:
        repository: Its configurations with their states.
        vaults: The changes of each vault that the plan switches, by its folded scope.
        subject: What a proof needs.
        blocks: The new roles as Terraform, by their GUID.
        quote: Returns a text as Terraform has it between quotes.
        others: The edits of assignments, which must not change the same places.
    """
    made = Patch()
    sites = list(_sites(repository))
    of_block: dict[tuple[str, int], list[_Site]] = defaultdict(list)
    for site in sites:
        of_block[site.path, site.block.start].append(site)
    for scope, changes in sorted(vaults.items()):
        own = [site for site in sites if site.scope == scope]
        if not own:
            made.missing += changes
            continue
        site = own[0]
        offer = _offer(site, own, of_block[site.path, site.block.start], vaults, subject, blocks, quote)
        if isinstance(offer, Offer):
            offer = _refuted(site, offer, subject) or offer
        if isinstance(offer, Offer) and _collides([*others, *made.offers, offer]):
            offer = "another edit changes the same place"
        lacks = repository.uncovered.get(site.path.rpartition("/")[0], [])
        if lacks:
            offer = f"{lacks[0]} uses this code, too, and no state of it was given"
        if isinstance(offer, Offer):
            made.offers.append(offer)
            made.notes += _notes(site, offer)
        else:
            line = repository.code.line(site.path, site.block.start)
            made.refused += [Refused(change, offer, site.path, line) for change in changes]
    return made


def _collides(offers: Sequence[Offer]) -> bool:
    return overlap([edit for one in offers for edit in one.both]) or overlap([e for one in offers for e in one.add])


def _sites(repository: Repository) -> Iterator[_Site]:
    for bound in repository.bound:
        for held in bound.environment.state.values():
            found = vault_block(repository.code, bound.environment.folder, held) if is_vault(held) else None
            if found is not None:
                yield _Site(bound, held, *found)


def _notes(site: _Site, offer: Offer) -> Iterator[str]:
    for wanted in new_roles(offer.changes).values():
        if site.held.module:
            yield f"make the role {wanted.role_name} first: `{site.path}` names it by its id"


def _offer(
    site: _Site,
    own: Sequence[_Site],
    alike: Sequence[_Site],
    vaults: Mapping[str, Sequence[Change]],
    subject: Subject,
    blocks: Mapping[str, str],
    quote: Quote,
) -> Offer | str:
    if len({(one.bound.environment.name, one.held.address) for one in own}) > 1:
        return AMBIGUOUS
    if len(alike) > 1:
        return SEVERAL if all(one.scope in vaults for one in alike) else OTHERS
    changes = tuple(vaults[site.scope])
    if why := why_not_plain(site.scope, changes):
        return why
    model = _model_edit(site, subject.code.files[site.path])
    if isinstance(model, str):
        return model
    wanted = [one for change in changes for one in change.wanted]
    names = Counter(_label(site, one) for one in wanted)
    texts = [_assignment(site, one, subject, quote, blocks) for one in wanted]
    if any(number > 1 for number in names.values()):
        return "two new assignments would have one name"
    add = [Edit(site.path, site.block.end, site.block.end, "".join(f"\n\n{text}" for text in texts))] if texts else []
    folder = site.bound.environment.folder
    for one in new_roles(changes).values() if not site.held.module else ():
        path = f"{folder}/{ROLE_FILE.format(one.word)}".lstrip("/")
        if one.grant.role not in blocks or path in subject.code.files:
            return f"the file `{path}` of a new role is there already, or the role cannot be written"
        add.append(Edit(path, 0, 0, blocks[one.grant.role]))
    if not add and model is None:
        return SAID_ALREADY
    return Offer(changes, tuple(add), (*add, *([model] if model else [])), block=(site.path, site.block.labels[-1]))


def _assignment(site: _Site, wanted: Wanted, subject: Subject, quote: Quote, blocks: Mapping[str, str]) -> str:
    """Return the block of a new assignment beside the vault, or below it at a secret, a key or a certificate."""
    there = f"{address_of('', site.block.labels[0], site.block.labels[1], site.held.key)}.id"
    below = wanted.scope[len(site.scope) :]
    scope = f'"${{{there}}}{quote(below)}"' if below else there
    role = ("role_definition_id", f'"{quote(wanted.role_path)}"')
    if wanted.is_new and not site.held.module and wanted.grant.role in blocks:
        role = ("role_definition_id", f"{DEFINITION}.{wanted.word}.role_definition_resource_id")
    elif subject.roles.role_of(wanted.role_name) == wanted.grant.role:
        role = ("role_definition_name", f'"{quote(wanted.role_name)}"')
    lines = {"scope": scope, role[0]: role[1], "principal_id": f'"{wanted.grant.principal_id}"'}
    width = max(map(len, lines))
    body = "".join(f"  {name:<{width}} = {text}\n" for name, text in lines.items())
    return f'resource "{ASSIGNMENT}" "{_label(site, wanted)}" {{\n{body}}}'


def _label(site: _Site, wanted: Wanted) -> str:
    """Return the name of a new assignment: that of the vault, of its holder and its role, and of the item."""
    item = re.sub(r"\W", "_", wanted.scope[len(site.scope) :].rpartition("/")[2])
    words = (site.block.labels[1], wanted.grant.principal_id[:8], wanted.word, item)
    return "_".join(filter(None, words))


def _model_edit(site: _Site, code: bytes) -> Edit | str | None:
    """Return the edit that lets roles decide, None where the code says so already, or why there is none."""
    block = site.block
    ignored = [node.text for one in block.inner("lifecycle") for name, node in one.attributes.items()
               if name == "ignore_changes"]  # fmt: skip
    if any(re.search(rf"\b(all|body|{_NEW}|{_OLD})\b", text) for text in ignored):
        return "its `lifecycle` ignores changes of the model"
    if block.labels[0] != "azurerm_key_vault":
        return _body_edit(site, code)
    known = [name for name in (_NEW, _OLD) if name in block.attributes]
    if known:
        return _literal_edit(site.path, known[0], block.attributes[known[0]])
    name = _NEW if _NEW in site.held.values else _OLD
    last = max((end for _, end in block.spans.values()), default=code.index(b"{", block.start) + 1)
    place = end_of_line(code, last)
    return Edit(site.path, place, place, f"\n\n  {name} = true")


def _literal_edit(path: str, name: str, node: Node) -> Edit | str | None:
    if node.kind != "value" or not isinstance(node.parts[0], bool):
        return f"`{name}` is `{node.text}`, and what else uses that is not known: set it there"
    return None if node.parts[0] else Edit(path, node.start, node.end, "true")


def _body_edit(site: _Site, code: bytes) -> Edit | str | None:
    """Return the same for `azapi_resource`, whose body has the properties, with `jsonencode` or without."""
    properties = _properties(site.block)
    if properties is None:
        return "its `body` is not written out"
    for key, value in properties.parts[0]:
        if _key(key) == MODEL:
            return _literal_edit(site.path, MODEL, value)
    opening = end_of_line(code, code.index(b"{", properties.start) + 1)
    line = code.rfind(b"\n", 0, properties.start) + 1
    indent = " " * (len(code[line : properties.start]) - len(code[line : properties.start].lstrip()) + 2)
    is_inline = b"\n" not in code[properties.start : properties.end]
    colon = ":" if any(b":" in code[key.end : value.start] for key, value in properties.parts[0]) else "="
    entry = f'"{MODEL}": true' if colon == ":" else f"{MODEL} = true"
    between = ("," if properties.parts[0] else "") if is_inline or colon == ":" else ""
    text = f" {entry}{between}" if is_inline else f"\n{indent}{entry}{between}"
    return Edit(site.path, opening, opening, text)


def _properties(block: Block) -> Node | None:
    body = block.attributes.get("body")
    if body is not None and body.kind == "call":
        inner = [one for part in body.parts for one in (part if isinstance(part, tuple) else (part,))]
        body = next((one for one in inner if isinstance(one, Node) and one.kind == "object"), None)
    found = [value for key, value in body.parts[0] if _key(key) == "properties"] if _is_object(body) and body else []
    return found[0] if found and _is_object(found[0]) else None


def _is_object(node: Node | None) -> bool:
    return node is not None and node.kind == "object"


def _key(node: Node | None) -> str:
    return "" if node is None else node.text.strip('"')


def _refuted(site: _Site, offer: Offer, subject: Subject) -> str | None:
    """Return why edits do not do what the plan says, or None: both phases are read back by both parsers."""
    added, final = subject.code.edited(offer.add), subject.code.edited(offer.both)
    paths = {edit.path for edit in offer.both}
    try:
        second_reading(subject.code, added, final, paths)
        then = read_instances(added, site.bound, subject)
        if read_instances(final, site.bound, subject).keys() != then.keys():
            return "with the model changed, the assignments are others"
    except (RefutedError, InputError) as error:
        return str(error)
    old, new = (Counter(text for text, _ in statements(one, site.path)) for one in (subject.code, added))
    came = new - old
    if old - new or any(not text.startswith(b'resource "azurerm_role_assignment"') for text in came):
        return "with the new access added, something else has changed"
    today = site.bound.instances
    if any(address not in then or then[address].grant != one.grant for address, one in today.items()):
        return "with the new access added, another assignment is not as it was"
    given = Counter(one.grant for address, one in then.items() if address not in today)
    if given != Counter(one.grant for change in offer.changes for one in change.wanted):
        return "the new assignments are not those of the plan"
    after = vault_block(final, site.bound.environment.folder, site.held)
    changed = Counter(text for text, _ in statements(final, site.path)) - new
    if after is None or len(changed) > 1 or _model_edit(_Site(site.bound, site.held, *after), b"") is not None:
        return "with the model changed, the code does not say that roles decide"
    before, last = (texts_of(one) for one in (site.block, after[1]))
    differ = {name for name in {*before, *last} if before.get(name) != last.get(name)}
    return None if differ <= {_NEW, _OLD, "body"} else "with the model changed, something else has changed"
