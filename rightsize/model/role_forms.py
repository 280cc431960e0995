"""Read every JSON form of a role definition that people have, and write the forms that they use.

| form | looks like |
|---|---|
| ARM, REST | `{"name": GUID, "properties": {"roleName", "type", "permissions": […], "assignableScopes"}}` |
| `az role definition list` | `{"name": GUID, "roleName", "roleType", "permissions": […], "assignableScopes"}` |
| input of az and PowerShell | `{"Name", "Id", "IsCustom", "Actions", "NotActions", …, "AssignableScopes"}` |
| input of newer PowerShell | the same with `"Permissions": […]` for the four lists |
| permission blocks alone | `[{"actions", "notActions", "dataActions", "notDataActions"}]` |

One of them, a list of them, or a page `{"value": […]}`. Keys compare without regard to case; null is empty. In the
input form `Name` is the display name, in the others `name` is the GUID; a role name of its own tells them apart.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

from rightsize.model.errors import InputError
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.text import Folded

_STRINGS = ("actions", "notActions", "dataActions", "notDataActions")
_PASCAL = tuple(name[0].upper() + name[1:] for name in _STRINGS)
_BLOCK_KEYS = frozenset({*(name.lower() for name in _STRINGS), "condition", "conditionversion"})
_HINT = (
    "a role definition is what `az role definition list` prints, what ARM returns, the input of `az role definition "
    "create` or `New-AzRoleDefinition`, or a list of permission blocks"
)

Fields = dict[str, Any]
"""An object with its keys in lower case."""


def load_json(text: str | bytes) -> object:
    """Return the value of a JSON text, or raise InputError."""
    try:
        return json.loads(text.removeprefix("\ufeff") if isinstance(text, str) else text)
    except RecursionError:
        raise InputError("the JSON is nested deeper than any role definition") from None
    except json.JSONDecodeError as error:
        raise InputError(f"no valid JSON: {error.msg.lower()} at line {error.lineno}, column {error.colno}") from None
    except ValueError as error:  # bytes of no encoding, or a number of thousands of digits
        raise InputError(f"no valid JSON: {type(error).__name__}") from None


def load_relaxed_json(content: bytes) -> object:
    """Return the value of a JSON text as people keep it: with comments, trailing commas, and line breaks in texts.

    ARM templates may have all three. A key that stands twice in an object is an error: readers differ in which counts.

    Raises:
        InputError: It is no JSON in spite of this.
    """
    try:
        text = content.decode(json.detect_encoding(content)).removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise InputError("no valid JSON: its encoding is unknown") from None
    for pattern in (_COMMENT, _TRAILING_COMMA):
        text = pattern.sub(_blanked, text)
    try:
        return json.loads(text, strict=False, object_pairs_hook=_unrepeated)
    except (ValueError, RecursionError):
        return load_json(text)  # which says what is wrong


_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', re.DOTALL)


def _blanked(found: re.Match[str]) -> str:
    """Return a string as it is, and spaces for anything else, so that lines and columns stay."""
    return found[1] or re.sub(r"[^\n]", " ", found[0])


def _unrepeated(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise InputError(f"an object has `{twice}` twice")
    return made


def read_role_definitions(document: object) -> tuple[RoleDefinition, ...]:
    """Return the roles of a JSON document in any form; a list of permission blocks is one role without a name.

    Raises:
        InputError: A part is not what a role definition has there; the message names the place.
    """
    if isinstance(document, Mapping):
        fields = _fields(document, "the document")
        if isinstance(fields.get("value"), list):
            return read_role_definitions(fields["value"])
        return (_read_role(document, "the document"),)
    if not isinstance(document, Sequence) or isinstance(document, (str, bytes)):
        raise InputError(f"{_kind(document)} is not a role definition", hint=_HINT)
    if document and all(_is_block(item) for item in document):
        return (RoleDefinition(Folded(""), "", read_permission_blocks(document)),)
    return tuple(_read_role(item, f"item {index}") for index, item in enumerate(document, 1))


def read_permission_blocks(document: object, where: str = "the list") -> tuple[PermissionBlock, ...]:
    """Return the permission blocks of a JSON list of them; null is an empty list.

    Raises:
        InputError: A part is not what a permission block has there; the message calls the list `where`.
    """
    if document is None:
        return ()
    if not isinstance(document, list):
        raise InputError(
            f"the permissions of {where} are {_kind(document)}, not a list of permission blocks", hint=_HINT
        )
    return tuple(_read_block(item, f"permission block {index} of {where}") for index, item in enumerate(document, 1))


def permissions_to_json(blocks: Sequence[PermissionBlock]) -> str:
    """Return permission blocks as canonical JSON: the text of a `permissions` column."""
    documents = [
        {**strings_of(block), "condition": block.condition, "conditionVersion": block.condition_version}
        for block in blocks
    ]
    return json.dumps(documents, ensure_ascii=False, separators=(",", ":"))


def permissions_from_json(text: str | None) -> tuple[PermissionBlock, ...]:
    """Return the permission blocks of a `permissions` column."""
    return read_permission_blocks(load_json(text)) if text else ()


def to_arm(role: RoleDefinition) -> dict[str, Any]:
    """Return a role as ARM has it: the body of a PUT, with its GUID as `name` where it has one."""
    properties = {
        "roleName": role.role_name,
        "description": role.description,
        "type": role.role_type,
        "permissions": [_block_document(block, _STRINGS) for block in role.permissions],
        "assignableScopes": list(role.assignable_scopes),
    }
    return {**_if_any("name", role.role_definition_id), "properties": properties}


def hash_of_role(role: RoleDefinition) -> str:
    """Return the hash of the content of a role; its form and layout in a file do not matter."""
    text = json.dumps(to_arm(role), ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def to_flat_input(role: RoleDefinition) -> dict[str, Any]:
    """Return a role as az and every PowerShell take it: one block, its lists beside the name.

    Raises:
        InputError: The role has several blocks or a condition.
    """
    if not _is_flat(role):
        raise InputError(
            f"role `{role.role_name}` has several permission blocks or a condition, which this form cannot express",
            hint="ARM, Bicep and the newer input of PowerShell can",
        )
    return _input(role, strings_of(role.permissions[0], _PASCAL))


def to_blocks_input(role: RoleDefinition) -> dict[str, Any]:
    """Return a role as newer PowerShell takes it, with its list of `Permissions`."""
    return _input(role, {"Permissions": [_block_document(block, _PASCAL, "Condition") for block in role.permissions]})


def _is_flat(role: RoleDefinition) -> bool:
    only = role.permissions[0] if len(role.permissions) == 1 else None
    return only is not None and only.condition is None and only.condition_version is None


def _input(role: RoleDefinition, permissions: dict[str, Any]) -> dict[str, Any]:
    return {
        "Name": role.role_name,
        **_if_any("Id", role.role_definition_id),
        "IsCustom": role.role_type == "CustomRole",
        "Description": role.description,
        **permissions,
        "AssignableScopes": list(role.assignable_scopes),
    }


def _read_role(document: object, where: str) -> RoleDefinition:
    outer = _fields(document, where)
    inner = _fields(outer["properties"], f"`properties` of {where}") if outer.get("properties") is not None else {}
    fields = {**outer, **inner}
    role_name = _text(fields, "rolename", where)
    name = _text(outer, "name", where)
    identifier = _text(outer, "id", where).rstrip("/").rsplit("/", 1)[-1]
    if "rolename" in fields or inner:
        identifier = name or identifier
    else:
        role_name = name
    where = f"role `{role_name}`" if role_name else where
    return RoleDefinition(
        role_definition_id=_dashed(identifier),
        role_name=role_name,
        permissions=_read_permissions(fields, where),
        role_type=_role_type(fields, inner),
        description=_text(fields, "description", where),
        assignable_scopes=_texts(fields.get("assignablescopes"), f"`assignableScopes` of {where}"),
    )


def _read_permissions(fields: Fields, where: str) -> tuple[PermissionBlock, ...]:
    flat = {name: value for name, value in fields.items() if name in _BLOCK_KEYS}
    if "permissions" not in fields and not flat:
        raise InputError(f"{where} is not a role definition: it has no permissions", hint=_HINT)
    blocks = read_permission_blocks(fields.get("permissions"), where)
    if not any(flat.values()):
        return blocks if "permissions" in fields else (PermissionBlock(),)
    alone = _read_block(flat, where)
    if not blocks:
        return (alone,)
    # PowerShell's own listings repeat the blocks' strings in the old keys; anything more would be lost.
    if alone.condition is not None and any(block.condition != alone.condition for block in blocks):
        raise InputError(f"{where} gives its condition twice, and differently", hint="keep the one in `Permissions`")
    for name in ("actions", "not_actions", "data_actions", "not_data_actions"):
        in_blocks = {text for block in blocks for text in getattr(block, name)}
        if not in_blocks.issuperset(getattr(alone, name)):
            raise InputError(f"{where} gives its permissions twice, and differently", hint="keep `Permissions` alone")
    return blocks


def _read_block(document: object, where: str) -> PermissionBlock:
    fields = _fields(document, where)
    actions, not_actions, data_actions, not_data_actions = (
        _texts(fields.get(name.lower()), f"`{name}` of {where}") for name in _STRINGS
    )
    return PermissionBlock(
        actions,
        not_actions,
        data_actions,
        not_data_actions,
        _text(fields, "condition", where) or None,
        _text(fields, "conditionversion", where) or None,
    )


def _is_block(document: object) -> bool:
    return isinstance(document, Mapping) and all(
        isinstance(name, str) and name.lower() in _BLOCK_KEYS for name in document
    )


def _fields(document: object, where: str) -> Fields:
    if not isinstance(document, Mapping):
        raise InputError(f"{where} is {_kind(document)}, not a role definition or permission block", hint=_HINT)
    fields: Fields = {}
    for name, value in document.items():
        key = str(name).lower()
        if fields.get(key) is not None and value is not None:
            raise InputError(f"{where} has `{name}` twice, in different case")
        if value is not None or key not in fields:
            fields[key] = value
    return fields


def _text(fields: Fields, key: str, where: str) -> str:
    value = fields.get(key)
    return "" if value is None else _whole(value, f"`{key}` of {where}")


def _texts(value: object, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InputError(f"{where} is {_kind(value)}, not a list of strings")
    return tuple(_whole(item, f"item {index} of {where}") for index, item in enumerate(value, 1))


def _whole(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{where} is {_kind(value)}, not a string")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InputError(f"{where} has an unpaired surrogate, which is not text") from None
    return value


def _role_type(fields: Fields, inner: Fields) -> Literal["BuiltInRole", "CustomRole"]:
    # At the top level `type` is the resource type; only inside `properties` is it the role's.
    said = fields.get("roletype") or inner.get("type")
    is_builtin = isinstance(said, str) and said.lower() == "builtinrole"
    is_builtin = is_builtin or fields.get("iscustom") is False
    return "BuiltInRole" if is_builtin else "CustomRole"


def _dashed(identifier: str) -> Folded:
    try:
        return Folded(str(UUID(identifier)))
    except ValueError:
        return Folded(identifier.lower())


def strings_of(block: PermissionBlock, names: Sequence[str] = _STRINGS) -> dict[str, Any]:
    """Return the four lists of a permission block by their names, as ARM has them."""
    strings = (block.actions, block.not_actions, block.data_actions, block.not_data_actions)
    return {name: list(texts) for name, texts in zip(names, strings, strict=True)}


def _block_document(block: PermissionBlock, names: Sequence[str], condition: str = "condition") -> dict[str, Any]:
    document = strings_of(block, names)
    if block.condition is not None:
        document[condition] = block.condition
    if block.condition_version is not None:
        document[f"{condition}Version"] = block.condition_version
    return document


def _if_any(name: str, value: str) -> dict[str, Any]:
    return {name: value} if value else {}


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "a list" if isinstance(value, list) else "an object"
