"""Write the edits of Terraform that may carry out a change; a proof says which of them does.

For an instance whose role is written in an entry of a list or a map, the entry is copied with the new role. Where all
instances of a block change alike, the block is copied; where some of a `for_each` do, the new block takes their keys.
A call of a module is copied where the role is its argument. Nothing is guessed: an edit that does not give exactly
what the plan wants, in every environment, is not offered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rightsize.iac.expressions import Node, Written
from rightsize.iac.hcl_syntax import Block
from rightsize.iac.patch.grants import (
    Change,
    Code,
    Edit,
    Element,
    Offer,
    Quote,
    Wanted,
    delete_block,
    delete_element,
    enclosing,
    has_comma,
    whole,
    write_beside,
)
from rightsize.iac.patch.repository import Bound
from rightsize.iac.patch.terraform_assignments import DEFINITION, ELIGIBLE, ENTRIES, Instance

ROLE_FILE = "role_{}.tf"
_ROLE_NAME, _ROLE_ID = "role_definition_name", "role_definition_id"
_KEPT_BY_ELIGIBLE = (
    "provider",
    "for_each",
    "count",
    "scope",
    "principal_id",
    "condition",
    "condition_version",
    "depends_on",
)


@dataclass(frozen=True, slots=True)
class Site:
    """An instance of a block in one environment, and the change of it, if there is one."""

    bound: Bound
    instance: Instance
    change: Change | None


@dataclass(slots=True)
class Writer:
    """Writes edits.

    Attributes:
        code: The files of today.
        quote: Returns a text as Terraform has it between quotes.
        definitions: The block of each new role by its GUID.
        homes: The folder of the configuration that makes each new role; none where no single one can.
        declared: The name of each role's block by the folder of the configuration and the GUID.
    """

    code: Code
    quote: Quote
    definitions: Mapping[str, str]
    homes: dict[str, str] = field(default_factory=dict)
    declared: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def offers(self, sites: Sequence[Site]) -> Iterator[Offer]:
        """Yield the edits that may carry out the changes of a block, each for as many of them as it can."""
        changed = [site for site in sites if site.change is not None]
        for site in changed:
            yield from self._entries(site, [one for one in changed if _written(one) == _written(site)])
        if sites[0].instance.block.kind != "resource":
            return
        if len(changed) == len(sites) and len({_shape(one) for one in changed}) == 1:
            yield replace(self._block(changed), is_last=True)
        else:
            yield from self._split(changed)

    def _entries(self, site: Site, alike: Sequence[Site]) -> Iterator[Offer]:
        """Yield copies of the entries around the text that names the role, the innermost first."""
        role, change = site.instance.role, site.change
        if not isinstance(role, Written) or change is None or site is not alike[0]:
            return
        code = self.code.files[role.file]
        changes = tuple(dict.fromkeys(one.change for one in alike if one.change is not None))
        for element in enclosing(self.code.parsed(role.file), role.start, code):
            for forms in self._role_forms(role, change, site):
                if not forms:
                    yield Offer(changes, (), (delete_element(role.file, code, element),))
                for place in _members(element, role, change):
                    texts = [self._copied(element, code, site, one, form, place) for one, form in forms.items()]
                    if texts and all(text is not None for text in texts):
                        comma = has_comma(code, element) or element.key is None
                        add, both = write_beside(role.file, code, element, [str(text) for text in texts], comma=comma)
                        made = tuple(self._made(change.wanted, site))
                        yield Offer(changes, (add, *made), (both, *made))
        yield from self._call(site, role, changes)

    def _copied(
        self, element: Element, code: bytes, site: Site, wanted: Wanted, role_text: str, place: Node | None = None
    ) -> str | None:
        """Return an entry with another role, scope and holder; None where it does not have what has to change.

        The place is the member that may have the scope, where that is an expression.
        """
        role, today = site.instance.role, site.change.today if site.change else wanted.grant
        replaced = [(role.start, role.end, role_text)] if isinstance(role, Written) else []
        for name, new, old in (
            ("scope", wanted.scope, wanted.grant.scope == today.scope),
            ("principal_id", wanted.grant.principal_id, wanted.grant.principal_id == today.principal_id),
        ):
            if not old:
                value = site.instance.values.get(name)
                if isinstance(value, Written) and element.start <= value.start < element.end:
                    replaced.append((value.start, value.end, f'"{self.quote(new)}"'))
                elif name == "scope" and place is not None:
                    replaced.append((*whole(place, code), f'"{self.quote(new)}"'))
                else:
                    return None
        if wanted.grant.condition != today.condition or wanted.grant.state != today.state:
            return None
        if element.key is not None:
            key = code[element.key.start : element.key.end].decode()
            name = key.strip('"')
            if not re.fullmatch(r"[\w. /-]+", name):
                return None
            new_key = (
                f"{name}{'-' if '-' in name else '_'}{wanted.label.replace('_', '-') if '-' in name else wanted.label}"
            )
            quoted = key.startswith('"') or not re.fullmatch(r"[A-Za-z_][\w-]*", new_key)
            replaced.append((element.key.start, element.key.end, f'"{new_key}"' if quoted else new_key))
        return _replaced(code, element.start, element.end, replaced)

    def _role_forms(self, role: Written, change: Change, site: Site) -> Iterator[Mapping[Wanted, str]]:
        """Yield ways to name the new roles: by the block that makes it, by its name, or by its id."""
        if not change.wanted:
            yield {}
            return
        is_id = "/" in role
        own = site.bound.environment.folder
        in_root = role.file.endswith(".tf") and role.file.rpartition("/")[0] == own
        if in_root and any(self._label(one, own) for one in change.wanted):
            yield {
                one: self._reference(one, own, "role_definition_resource_id", one.role_path) for one in change.wanted
            }
            yield {one: self._reference(one, own, "name", one.role_name) for one in change.wanted}
        named = {one: f'"{self.quote(one.role_name)}"' for one in change.wanted}
        paths = {one: f'"{self.quote(one.role_path)}"' for one in change.wanted}
        yield from (paths, named) if is_id or any(one.is_new for one in change.wanted) else (named, paths)

    def _label(self, wanted: Wanted, folder: str) -> str | None:
        """Return the name of the block that makes a role in a configuration, or None where none does."""
        if (folder, wanted.grant.role) in self.declared:
            return self.declared[folder, wanted.grant.role]
        return wanted.word if self.homes.get(wanted.grant.role) == folder else None

    def _reference(self, wanted: Wanted, folder: str, member: str, otherwise: str) -> str:
        label = self._label(wanted, folder)
        return f'"{self.quote(otherwise)}"' if label is None else f"{DEFINITION}.{label}.{member}"

    def _made(self, wanted: Sequence[Wanted], site: Site) -> Iterator[Edit]:
        """Yield the blocks of the new roles that a configuration makes."""
        for one in wanted:
            home = self.homes.get(one.grant.role)
            if one.is_new and home is not None and (site.bound.environment.folder, one.grant.role) not in self.declared:
                path = f"{home}/{ROLE_FILE.format(one.word)}".lstrip("/")
                end = len(self.code.files.get(path, b""))
                yield Edit(path, end, end, self.definitions[one.grant.role])

    def _call(self, site: Site, role: Written, changes: tuple[Change, ...]) -> Iterator[Offer]:
        """Yield the copy of a call of a module that takes the role as an argument."""
        change = site.change
        path, file = role.file, self.code.parsed(role.file)
        call = next((one for one in file.inner("module") if one.start <= role.start < one.end), None)
        if call is None or change is None or site.instance.block is call or ENTRIES in call.attributes:
            return
        code = self.code.files[path]
        for forms in self._role_forms(role, change, site):
            copies = []
            for wanted, form in forms.items():
                at = _label_place(code, call, call.labels[-1])
                element = Element(call.start, call.end, None)
                text = self._copied(element, code, site, wanted, form)
                if text is None or at is None:
                    return
                shift = at[0] - call.start
                name = f"{call.labels[-1]}_{wanted.label}"
                copies.append(text[:shift] + name + text[shift + len(call.labels[-1]) :])
            yield self._copies(changes, path, call, copies, self._made(change.wanted, site))

    def _block(self, sites: Sequence[Site], each: str = "") -> Offer:
        """Return the copies of a block in which all instances change alike; `each` is another `for_each`."""
        first = sites[0]
        change, block, path = first.change, first.instance.block, first.instance.path
        changes = tuple(dict.fromkeys(one.change for one in sites if one.change is not None))
        wanted = change.wanted if change is not None else ()
        texts = [self._resource(first, one, len(sites) == 1, each) for one in wanted]
        return self._copies(changes, path, block, texts, self._made(wanted, first))

    def _copies(
        self, changes: tuple[Change, ...], path: str, block: Block, texts: Sequence[str], made: Iterable[Edit]
    ) -> Offer:
        """Return the edits that write blocks before another one, and then in its place."""
        made = tuple(made)
        if not texts:
            return Offer(changes, (), (delete_block(path, self.code.files[path], block.start, block.end),))
        add = Edit(path, block.start, block.start, "".join(f"{text}\n\n" for text in texts))
        both = Edit(path, block.start, block.end, "\n\n".join(texts))
        return Offer(changes, (add, *made), (both, *made))

    def _resource(self, site: Site, wanted: Wanted, is_single: bool, each: str) -> str:
        """Return a block for another role: a copy of today's, or one of Privileged Identity Management."""
        block, today = site.instance.block, site.change.today if site.change else wanted.grant
        code = self.code.files[site.instance.path]
        values: dict[str, str | None] = {"name": None}
        own = site.bound.environment.folder
        in_root = site.instance.path.rpartition("/")[0] == own
        old_names = [name for name in (_ROLE_NAME, _ROLE_ID) if name in block.attributes]
        becomes_eligible = wanted.grant.state == "eligible"
        reference = self._label(wanted, own) if in_root else None
        if reference is not None:
            role = (_ROLE_ID, f"{DEFINITION}.{reference}.role_definition_resource_id")
        elif _ROLE_NAME in old_names and not wanted.is_new and not becomes_eligible:
            role = (_ROLE_NAME, f'"{self.quote(wanted.role_name)}"')
        else:
            role = (_ROLE_ID, f'"{self.quote(wanted.role_path)}"')
        values |= dict.fromkeys(old_names)
        if wanted.grant.scope != today.scope and is_single:
            values["scope"] = self._scope(site, wanted)
        if wanted.grant.principal_id != today.principal_id and is_single:
            values |= {"principal_id": f'"{wanted.grant.principal_id}"', "principal_type": None}
        if wanted.grant.condition != today.condition:
            said = f'"{self.quote(wanted.grant.condition)}"' if wanted.grant.condition else None
            values |= {"condition": said, "condition_version": '"2.0"' if said else None}
        if each:
            values["for_each"] = each
        new_label = f"{block.labels[1]}_{wanted.label}"
        if becomes_eligible and today.state != "eligible":
            return self._eligible(site, wanted, values, role, new_label)
        return _with_attributes(code, block, new_label, values, (old_names[0], *role) if old_names else ("", *role))

    def _scope(self, site: Site, wanted: Wanted) -> str:
        """Return an expression for a scope: the resource that code of the same module makes, or its id."""
        instance = site.instance
        module = (
            instance.address.rpartition(f".{instance.block.labels[0]}.")[0] if "module." in instance.address else ""
        )
        for held in site.bound.environment.state.values():
            id_ = held.values.get("id")
            is_it = isinstance(id_, str) and id_.lower() == wanted.grant.scope and held.key is None
            if is_it and held.module == module and not held.kind.startswith("azapi_"):
                return f"{held.kind}.{held.name}.id"
        return f'"{self.quote(wanted.scope)}"'

    def _eligible(
        self, site: Site, wanted: Wanted, values: Mapping[str, str | None], role: tuple[str, str], label: str
    ) -> str:
        block, code = site.instance.block, self.code.files[site.instance.path]
        lines = {_ROLE_ID: role[1]}
        for name in _KEPT_BY_ELIGIBLE:
            if name in block.spans:
                start, end = block.spans[name]
                said = values.get(name) or code[start:end].decode().partition("=")[2].strip()
                lines[name] = said
        width = max(map(len, lines))
        ordered = sorted(lines, key=(*_KEPT_BY_ELIGIBLE[:4], _ROLE_ID, *_KEPT_BY_ELIGIBLE[4:]).index)
        body = "\n".join(f"  {name:<{width}} = {lines[name]}" for name in ordered)
        if wanted.grant.end_on:
            ends = f'      end_date_time = "{self.quote(wanted.grant.end_on)}"'
            body += f"\n\n  schedule {{\n    expiration {{\n{ends}\n    }}\n  }}"
        return f'resource "{ELIGIBLE}" "{label}" {{\n{body}\n}}'

    def _split(self, changed: Sequence[Site]) -> Iterator[Offer]:
        """Yield a new block with the keys that change alike; the old one loses them."""
        groups: dict[object, list[Site]] = {}
        for site in changed:
            groups.setdefault(_shape(site), []).append(site)
        for alike in groups.values():
            elements = [self._element_of_key(site) for site in alike]
            if not all(elements) or len({site.bound.environment.name for site in alike}) != 1:
                continue
            places = [one for one in elements if one is not None]
            texts = [self._kept(site, *place) for site, place in zip(alike, places, strict=True)]
            is_map = places[0][1].key is not None
            each = "{ " + ", ".join(texts) + " }" if is_map else "toset([" + ", ".join(texts) + "])"
            if is_map and (len(texts) > 1 or "\n" in texts[0]):
                each = "{\n" + "".join(f"    {text}\n" for text in texts) + "  }"
            wanted = alike[0].change.wanted if alike[0].change else ()
            gone = [delete_element(path, self.code.files[path], one) for path, one in places]
            add = self._block(alike, each).add if wanted else ()
            yield Offer(tuple(dict.fromkeys(one.change for one in alike if one.change)), add, (*add, *gone))

    def _kept(self, site: Site, path: str, element: Element) -> str:
        """Return an entry for the new block; a role that it names, which nothing reads there, is the new one."""
        role, wanted, replaced = site.instance.role, site.change.wanted if site.change else (), []
        if isinstance(role, Written) and role.file == path and element.start <= role.start < element.end and wanted:
            replaced = [(role.start, role.end, f'"{self.quote(wanted[0].role_name)}"')]
        return _replaced(self.code.files[path], element.start, element.end, replaced)

    def _element_of_key(self, site: Site) -> tuple[str, Element] | None:
        key = site.instance.key
        if not isinstance(key, Written):
            return None
        found = enclosing(self.code.parsed(key.file), key.start, self.code.files[key.file])
        return (key.file, found[0]) if found else None


def _members(element: Element, role: Written, change: Change) -> list[Node | None]:
    """Return the members of an entry that may have the scope, each tried where a scope changes; None is no member."""
    found: list[Node | None] = [None]
    is_placed = any(one.grant.scope != change.today.scope for one in change.wanted)
    if is_placed and element.value is not None and element.value.kind == "object":
        found += [value for _, value in element.value.parts[0] if not value.start <= role.start < value.end]
    return found


def _written(site: Site) -> tuple[str, int] | str:
    """Return the place of the text that names the role of an instance; its address where there is none."""
    role = site.instance.role
    return (
        (role.file, role.start)
        if isinstance(role, Written)
        else f"{site.bound.environment.name} {site.instance.address}"
    )


def _shape(site: Site) -> object:
    """Return what a change does apart from holder and scope, as long as those stay."""
    if site.change is None:
        return None
    today = site.change.today
    return frozenset(
        (
            one.grant.role,
            one.grant.scope if one.grant.scope != today.scope else "",
            one.grant.principal_id if one.grant.principal_id != today.principal_id else "",
            one.grant.condition if one.grant.condition != today.condition else None,
            one.grant.state,
            one.grant.end_on,
        )
        for one in site.change.wanted
    )


def _label_place(code: bytes, block: Block, label: str) -> tuple[int, int] | None:
    """Return where the last label of a block stands, without quotes."""
    head = code[block.start : code.find(b"{", block.start)]
    found = head.rfind(label.encode())
    return None if found < 0 else (block.start + found, block.start + found + len(label.encode()))


def _replaced(code: bytes, start: int, end: int, replaced: Sequence[tuple[int, int, str]]) -> str:
    parts, place = [], start
    for first, last, text in sorted(replaced):
        parts += [code[place:first].decode(), text]
        place = last
    return "".join([*parts, code[place:end].decode()])


def _with_attributes(
    code: bytes, block: Block, label: str, values: Mapping[str, str | None], role: tuple[str, str, str]
) -> str:
    """Return a copy of a block with another label and other attributes.

    Args:
        code: The file.
        block: The block.
        label: Its new label.
        values: The new text of attributes by name; None takes an attribute out.
        role: The attribute in whose place the role comes, the role's attribute, and its text.
    """
    at = _label_place(code, block, block.labels[1]) or (block.start, block.start)
    replaced = [(*at, label)]
    old_role, name, text = role
    for attribute, (start, end) in block.spans.items():
        if attribute == old_role:
            before = code[start:end].partition(b"=")[0].decode()
            replaced.append(
                (start, end, f"{name:<{len(before)}}= {text}" if len(name) < len(before) else f"{name} = {text}")
            )
        elif attribute in values:
            new = values[attribute]
            if new is None:
                line = code.rfind(b"\n", 0, start) + 1
                replaced.append((line, code.find(b"\n", end) + 1 or end, ""))
            else:
                head = code[start:end].partition(b"=")[0].decode()
                replaced.append((start, end, f"{head}= {new}"))
    width = max((code[start:end].find(b"=") - 1 for start, end in block.spans.values()), default=0)
    added = {name: value for name, value in values.items() if value is not None and name not in block.spans}
    lines = "".join(f"  {name:<{width}} = {value}\n" for name, value in added.items())
    return _replaced(code, block.start, block.end, [*replaced, (block.end - 1, block.end - 1, lines)])
