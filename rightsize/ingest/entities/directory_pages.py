"""What a page of Microsoft Graph lists: said by its `@odata.context`, else by the name of its file.

| context, after the `#` | lists |
|---|---|
| `users`, `groups`, `servicePrincipals`, with or without selected properties | all of them |
| `groups('ID')/members`, `groups('ID')/transitiveMembers` | members of a group |
| `directory/administrativeUnits('ID')/members` | members of an administrative unit |
| `directory/deletedItems/…` | what was deleted and can be restored |
| `directoryObjects` | answers to `getByIds`; in a file named `members-ID`, members: Graph names no group there |
| the same, in a file named `administrativeUnit-members-ID` | members of an administrative unit |

Deleted items of one type come with the context of that type, so a file name with `deletedItems` in it counts more.
Source: Microsoft Learn, Graph v1.0 reference (list members, list deletedItems, getByIds).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rightsize.rbac.text import fold

_GUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_LISTINGS = {"users": "users", "groups": "groups", "serviceprincipals": "servicePrincipals"}
_KINDS = {"users": "user", "groups": "group", "serviceprincipals": "serviceprincipal"}
_MEMBERS = {"members": "members", "transitivemembers": "transitiveMembers"}
_OF_GROUP = re.compile(r"groups\('?(?P<id>[^/()']+)'?\)/(?P<listing>members|transitivemembers)(?P<rest>[/(].*)?")
_OF_UNIT = re.compile(r"(?:directory/)?administrativeunits\('?(?P<id>[^/()']+)'?\)/members(?P<rest>[/(].*)?")
_WHOLE = re.compile(r"(?P<set>users|groups|serviceprincipals)(?P<select>\([^']*\))?(?P<rest>/.*)?")
_DELETED = re.compile(r"(?:directory/)?deleteditems(?P<rest>[/(].*)?")
_OBJECTS = re.compile(r"(?:directoryobjects|collection\(microsoft\.graph\.directoryobject\))(?P<rest>[/(].*)?")
_CAST = re.compile(r"microsoft\.graph\.(?P<kind>user|group|serviceprincipal)\b")


@dataclass(frozen=True, slots=True)
class Page:
    """What a page lists.

    Attributes:
        listing: As `listings` has it, `unnamed members` where no group is named, else empty.
        of: Object id of the group or unit for members.
        kind: Folded type of the objects where the page says it.
        whole: Whether the last page of it ends the listing; not for a single object or members of one type only.
    """

    listing: str = ""
    of: str = ""
    kind: str = ""
    whole: bool = False


UNNAMED = "unnamed members"
UNIT_MEMBERS = "unitMembers"


def classify_page(context: str, file_name: str) -> Page | None:
    """Tell what a page lists, or return None where it is no page of the directory.

    Args:
        context: Its `@odata.context`; empty for a list without an envelope.
        file_name: Last part of the file's name.
    """
    page = _by_context(context)
    if page is None:
        return None
    name = fold(file_name)
    if page.listing in {*_MEMBERS.values(), UNIT_MEMBERS, "deletedItems"}:
        return page
    if "deleteditem" in name and page.kind != "":
        return Page("deletedItems", kind=page.kind, whole=page.whole)
    if "member" in name and "memberof" not in name:
        found = set(re.findall(_GUID, name))
        listing = "transitiveMembers" if "transitivemember" in name else "members"
        listing = UNIT_MEMBERS if "administrativeunit" in name else listing
        if len(found) == 1:
            # A page of one type of members is not the end of the list of all.
            return Page(listing, found.pop(), page.kind, page.whole and not page.kind)
        if page.listing == "" and page.kind == "":
            return Page(UNNAMED)
    return page


def _by_context(context: str) -> Page | None:
    if not context:
        return Page()
    entity_set = fold(context.partition("#")[2])
    if found := _OF_GROUP.fullmatch(entity_set):
        kind = _kind(found["rest"])
        return Page(_MEMBERS[found["listing"]], found["id"], kind, whole=not kind)
    if found := _OF_UNIT.fullmatch(entity_set):
        kind = _kind(found["rest"])
        return Page(UNIT_MEMBERS, found["id"], kind, whole=not kind)
    if found := _DELETED.fullmatch(entity_set):
        return Page("deletedItems", kind=_kind(found["rest"]), whole=True)
    if found := _WHOLE.fullmatch(entity_set):
        rest = found["rest"] or ""
        if rest in {"", "/"}:
            return Page(_LISTINGS[found["set"]], kind=_KINDS[found["set"]], whole=True)
        # A single object, and a difference to an earlier listing.
        return Page(kind=_KINDS[found["set"]]) if rest in {"/$entity", "/$delta"} else None
    return Page(whole=True) if _OBJECTS.fullmatch(entity_set) else None


def _kind(rest: str | None) -> str:
    found = _CAST.search(rest or "")
    return found["kind"] if found else ""
