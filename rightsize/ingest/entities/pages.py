"""Tell which listing a page of Graph is, read owners and sponsors from it, and refusals in place of a listing.

| context, after the `#` | lists |
|---|---|
| `users`, `groups`, `servicePrincipals`, with or without selected properties | all of them |
| the same with a cast, as `servicePrincipals/microsoft.graph.agentIdentity` | those of one type |
| `groups('ID')/members`, `groups('ID')/transitiveMembers` | members of a group |
| `directory/administrativeUnits('ID')/members` | members of an administrative unit |
| `directory/deletedItems/…` | deleted objects that can be restored |
| `directoryObjects` | answers to `getByIds`; members if the file or folder says so (Graph names no group there) |

If the context of members has no group, these names give it (`ID` is its object id):

| file | |
|---|---|
| `members-ID.json`, `transitiveMembers_ID_2.json` | the file names the listing and the group |
| `group-members/ID.json`, `members-ID/1.json`, `group-members/ID/1.json` | the folder names the listing |
| `groups/ID/members.json` | the folder names the group |

`administrativeUnit` in any of these means members of a unit. A page of members without a group in any of these has
the listing `unnamed members`. Deleted items of one type have the context of that type, so a file name with
`deletedItems` in it takes precedence.
Source: Microsoft Learn, Graph v1.0 reference (list members, list deletedItems, getByIds, list agentIdentities).

Source: Microsoft Learn, Graph v1.0 reference: list owners.

An object without a row among the owners has none only if a page listed owners for objects of its kind.
Source: OData 4.01, context URL of an expanded entity: `…#servicePrincipals(id,owners(id))`.

    {"error": {"code": "AuthorizationFailed", "message": "The client … does not have authorization to perform action
        'Microsoft.Authorization/roleAssignments/read' over scope '/subscriptions/ID' …"}}

Source: Microsoft Learn, "Troubleshoot Azure RBAC"; "Microsoft Graph error responses and resource types".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import duckdb

from rightsize.ingest.entities.azure_roles import text_of
from rightsize.ingest.entities.shape import Context, Look, ObjectShape, Row, Unusable, fold_keys, look_at
from rightsize.ingest.entities.workload_identities import RELATIONS, is_blueprint
from rightsize.ingest.files.records import MAX_RAW_CHARACTERS
from rightsize.model.errors import InputError
from rightsize.model.text import GUID_FORM, fold
from rightsize.rules.directory import object_types

_LISTINGS = {"users": "users", "groups": "groups", "serviceprincipals": "servicePrincipals"}
_KINDS = {"users": "user", "groups": "group", "serviceprincipals": "serviceprincipal"}
_MEMBERS = {"members": "members", "transitivemembers": "transitiveMembers"}
_OF_GROUP = re.compile(r"groups\('?(?P<id>[^/()']+)'?\)/(?P<listing>members|transitivemembers)(?P<rest>[/(].*)?")
_OF_UNIT = re.compile(r"(?:directory/)?administrativeunits\('?(?P<id>[^/()']+)'?\)/members(?P<rest>[/(].*)?")
_WHOLE = re.compile(r"(?P<set>users|groups|serviceprincipals)(?P<select>\([^']*\))?(?P<rest>/.*)?")
_DELETED = re.compile(r"(?:directory/)?deleteditems(?P<rest>[/(].*)?")
_OBJECTS = re.compile(r"(?:directoryobjects|collection\(microsoft\.graph\.directoryobject\))(?P<rest>[/(].*)?")
_COLLECTION = re.compile(r"collection\((?P<rest>microsoft\.graph\.[a-z]+)\)")
_CAST = re.compile(r"(?:^|/)microsoft\.graph\.(?P<type>[a-z0-9_]+)")
_ONE_OR_CHANGES = ("/$entity", "/$delta")
_PARTS = 3
# A folder may have any name: only these words describe its content.
_MEMBERS_FOLDER = re.compile(
    r"(all|direct|transitive|nested|groups?|administrativeunits?)*members(hips?)?|groupmember(ship)?"
)
_GROUPS_FOLDER = re.compile(r"(all|security|entra|nested)*groups?|administrativeunits?")


@dataclass(frozen=True, slots=True)
class DirectoryPage:
    """The listing that a page belongs to.

    Attributes:
        listing: Its name in `listings`, or `unnamed members` if no group is named, else empty.
        of: For members, the object id of the group or unit.
        kind: `user`, `group` or `serviceprincipal` if all objects are of one kind, by the set or by a cast.
        cast: Folded type of the objects, if the context has a cast.
        whole: Whether its last page ends the listing; not for a single object or objects of one type only.
    """

    listing: str = ""
    of: str = ""
    kind: str = ""
    cast: str = ""
    whole: bool = False


UNNAMED = "unnamed members"
UNIT_MEMBERS = "unitMembers"


@lru_cache(maxsize=1)
def classify_page(context: str, place: str) -> DirectoryPage | None:
    """Return the listing of a page, or None if it is not a page of the directory.

    Args:
        context: Its `@odata.context`; empty for a list without an envelope.
        place: The names of the two folders around the file and of the file, separated by slashes.
    """
    page = _by_context(context)
    if page is None or page.listing in {*_MEMBERS.values(), UNIT_MEMBERS, "deletedItems"}:
        return page
    parts = fold(place).split("/")[-_PARTS:]
    if "deleteditem" in parts[-1] and page.kind:
        return DirectoryPage("deletedItems", kind=page.kind, cast=page.cast, whole=page.whole)
    listing = _members_by_name(parts)
    if not listing:
        return DirectoryPage(UNNAMED) if context and not page.kind and _is_some_group(parts) else page
    group = _group_by_name(parts)
    if group:
        # A page of one type of members is not the end of the list of all.
        return DirectoryPage(listing, group, page.kind, page.cast, page.whole and not page.kind)
    if not page.listing and not page.kind:
        return DirectoryPage(UNNAMED)
    # Members of one type look like a list of all users or groups, and end neither list.
    return DirectoryPage(page.listing, kind=page.kind, cast=page.cast)


def _members_by_name(parts: list[str]) -> str:
    """Return the listing of members that a file's name or folder indicates, else an empty text."""
    file, folders = _letters(parts[-1]), [_letters(part) for part in parts[:-1]]
    if "member" in file and "memberof" not in file:
        said = file
    elif "owner" in file or "memberof" in file:
        return ""
    else:
        # The outer folder describes the file only if the inner one is named after a group.
        near = folders[-1:] + (folders[:-1] if GUID_FORM.search("/".join(parts[-2:-1])) else [])
        said = next((letters for letters in near if _MEMBERS_FOLDER.fullmatch(letters)), "")
    if said and any("administrativeunit" in letters for letters in (*folders, file)):
        return UNIT_MEMBERS
    return "" if not said else "transitiveMembers" if "transitivemember" in said else "members"


def _group_by_name(parts: list[str]) -> str:
    """Return the single object id in the name of a file with members, else in its folder's name."""
    named = [set(GUID_FORM.findall(part)) for part in parts]
    if named[-1] or len(parts) == 1:
        return named[-1].pop() if len(named[-1]) == 1 else ""
    # The folder `ID` of `ID/members.json` may be any object, even a tenant.
    around = [_letters(part) for part in parts[:-1]]
    says_group = any(_MEMBERS_FOLDER.fullmatch(letters) or _GROUPS_FOLDER.fullmatch(letters) for letters in around)
    return named[-2].pop() if len(named[-2]) == 1 and says_group else ""


def _is_some_group(parts: list[str]) -> bool:
    """Return whether a file is named after a group, but not after one of its relations."""
    file, folder = _letters(parts[-1]), _letters("".join(parts[-2:-1]))
    says_group = file.startswith("group") or bool(_GROUPS_FOLDER.fullmatch(folder))
    return bool(GUID_FORM.search(parts[-1])) and says_group and "owner" not in file and "memberof" not in file


def _letters(part: str) -> str:
    return re.sub(r"[^a-z]", "", GUID_FORM.sub("", part))


def _by_context(context: str) -> DirectoryPage | None:
    if not context:
        return DirectoryPage()
    entity_set = fold(context.partition("#")[2])
    if found := _OF_GROUP.fullmatch(entity_set):
        cast = _cast(found["rest"])
        return DirectoryPage(_MEMBERS[found["listing"]], found["id"], _kind(cast), cast, whole=not cast)
    if found := _OF_UNIT.fullmatch(entity_set):
        cast = _cast(found["rest"])
        return DirectoryPage(UNIT_MEMBERS, found["id"], _kind(cast), cast, whole=not cast)
    if found := _DELETED.fullmatch(entity_set):
        cast = _cast(found["rest"])
        return DirectoryPage("deletedItems", kind=_kind(cast), cast=cast, whole=True)
    if found := _WHOLE.fullmatch(entity_set):
        return _page_of_set(found["set"], found["rest"] or "")
    if _OBJECTS.fullmatch(entity_set):
        return DirectoryPage(whole=True)
    if (found := _COLLECTION.fullmatch(entity_set)) and _kind(_cast(found["rest"])):
        return DirectoryPage(kind=_kind(_cast(found["rest"])), cast=_cast(found["rest"]))
    return None


def _page_of_set(entity_set: str, rest: str) -> DirectoryPage | None:
    kind, cast = _KINDS[entity_set], _cast(rest)
    if rest in {"", "/"}:
        return DirectoryPage(_LISTINGS[entity_set], kind=kind, whole=True)
    if rest.endswith(_ONE_OR_CHANGES) and (cast or rest in _ONE_OR_CHANGES):
        # A single object, or a difference to an earlier listing.
        return DirectoryPage(kind=kind, cast=cast)
    # A record rejected in a list of one type is missing in the list of all; this list does not end that one.
    return (
        DirectoryPage(_LISTINGS[entity_set], kind=kind, cast=cast)
        if cast and rest.startswith("/microsoft.graph.")
        else None
    )


def _cast(rest: str | None) -> str:
    found = _CAST.search(rest or "")
    return found["type"] if found else ""


def _kind(cast: str) -> str:
    """Return the kind of principal of a type, empty if it is not a principal or the type is unknown."""
    return fold(object_types().get(cast, ("", ""))[1])


def has_owners(look: Look) -> bool:
    """Return whether a record lists the owners of a directory object."""
    return isinstance(look.outer.get("owners"), list) and bool(GUID_FORM.fullmatch(look.text("id")))


def _read_owners(record: Mapping[str, Any]) -> Iterator[Row | Unusable]:
    look = look_at(record)
    app_id = fold(text_of(look.outer, "appid")) or None
    if app_id is not None and not GUID_FORM.fullmatch(app_id):
        raise InputError("its `appId` is not a GUID")
    for owner in look.outer["owners"]:
        fields = fold_keys(owner) if isinstance(owner, Mapping) else {}
        owner_id = fields.get("id")
        if isinstance(owner_id, str) and GUID_FORM.fullmatch(fold(owner_id)):
            yield {"object_id": look.text("id"), "owner_id": fold(owner_id), "app_id": app_id}
        else:
            yield Unusable("one of its owners has no `id`", owner)


class _OwnersShape(ObjectShape):
    """Objects with their owners; a list of principals of one type is a directory listing, with or without owners."""

    def recognises(self, look: Look, context: Context) -> bool:
        """Return whether a record has this shape."""
        page = classify_page(context.odata_context, context.place)
        lists_one_type = bool(page and page.cast) or is_blueprint(look, context.odata_context)
        return super().recognises(look, context) and not lists_one_type


OWNER_SHAPES = (_OwnersShape("object_owners", "object_owners", has_owners, "object_owners", _read_owners),)


_SET = re.compile(r"(?P<set>[a-z]+(?:/microsoft\.graph\.[a-z]+)?)\((?P<select>.*)\)")


def stage_related_listings(con: duckdb.DuckDBPyConnection) -> None:
    """Stage a row of `listings` for each page that expands owners or sponsors; a page with a reject ends no listing."""
    pages = con.execute(
        "SELECT file_id, page, context, has_next OR file_id IN (SELECT file_id FROM stage_rejects) FROM stage_pages "
        "WHERE has_next IS NOT NULL AND (context ILIKE '%owners(%' OR context ILIKE '%sponsors(%')"
    ).fetchall()
    rows = [
        (file_id, page, relation, of, not is_open)
        for file_id, page, context, is_open in pages
        for relation, of in _related(context)
    ]
    if rows:
        con.executemany(
            'INSERT INTO stage_listings (file_id, line, listing, "of", complete, rejected) VALUES (?, ?, ?, ?, ?, 0)',
            rows,
        )


def _related(context: str) -> Iterator[tuple[str, str]]:
    """Yield each expanded relation of a page, with the folded set of its objects."""
    found = _SET.fullmatch(fold(context.partition("#")[2]))
    for relation, _, _ in RELATIONS:
        if found and re.search(rf"(?:^|,){relation}\(", found["select"]):
            yield relation, found["set"]


REFUSAL = "refusal"
"""The source of a file that has an error instead of a listing, as `load` prints it."""
REASON = "it is no listing: Azure answered with an error"

_ACTION = re.compile(
    r"action '+microsoft\.authorization/(?P<listed>[a-z]+)/read'+.{0,40}? over scope '+(?P<scope>/[^']*)'"
)
_LISTED = {
    "roleassignments": "role_assignments",
    "roledefinitions": "role_definitions",
    "denyassignments": "deny_assignments",
    "roleeligibilityscheduleinstances": "role_eligibility_instances",
}


@dataclass(frozen=True, slots=True)
class RefusalShape:
    """An error of Resource Manager or Microsoft Graph, alone in its file."""

    name: str = REFUSAL
    source: str = REFUSAL

    def recognises(self, look: Look, context: Context) -> bool:  # noqa: ARG002  the record says it all
        """Return whether a record is nothing but an error with a code and a message."""
        error = look.record.get("error")
        return len(look.record) == 1 and isinstance(error, Mapping) and look_at(error).has("code", "message")

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Reject each error, so that it is counted and shown."""
        con.execute(
            f"INSERT INTO stage_rejects (file_id, line, reason, raw) SELECT file_id, line, $reason, "
            f"left(CAST(record AS VARCHAR), {MAX_RAW_CHARACTERS}) FROM {relation}",
            {"reason": REASON},
        )


def refused_listing(text: str) -> tuple[str, str] | None:
    """Return the kind of listing that an error refuses, and its scope, from the message of Resource Manager."""
    found = _ACTION.search(fold(text))
    listed = _LISTED.get(found["listed"]) if found else None
    return (listed, found["scope"]) if found and listed else None
