"""Expand a resource action of a directory role to patterns of the actions that it allows.

`microsoft.directory/users/allProperties/allTasks` allows all actions on users. `groups/members/update` allows the
update of every kind of group except role-assignable groups, which are `groupsAssignableToRoles`. Actions compare
without regard to capitals. Source: Microsoft Learn, "Microsoft Entra role-based access control: permissions" and "Group
management permissions for custom roles".
"""

from __future__ import annotations

from rightsize.rbac.text import fold

_TASKS = "/alltasks"
_ALL = "/allproperties"
_ROLE_GROUPS = {
    "microsoft.directory/groups/basic/update": "microsoft.directory/groupsassignabletoroles/allproperties/update",
    "microsoft.directory/groups/members/update": "microsoft.directory/groupsassignabletoroles/allproperties/update",
    "microsoft.directory/groups/owners/update": "microsoft.directory/groupsassignabletoroles/allproperties/update",
    "microsoft.directory/groups/create": "microsoft.directory/groupsassignabletoroles/create",
    "microsoft.directory/groups/delete": "microsoft.directory/groupsassignabletoroles/delete",
    "microsoft.directory/groups/restore": "microsoft.directory/groupsassignabletoroles/restore",
    "microsoft.directory/groups/assignlicense": "microsoft.directory/groupsassignabletoroles/assignlicense",
}
READS = ("read", "limitedread", "restrictedread")


def patterns_of(action: str) -> tuple[str, ...]:
    """Return folded patterns of the actions that an action of a role allows; `*` stands for any text."""
    held = fold(action)
    service, _, rest = held.partition("/")
    entity = rest.partition("/")[0]
    if not rest:
        return (held,)
    if entity == "allentities":
        return (f"{service}/*",) if held.endswith(_TASKS) else (held, f"{service}/*/{held.rsplit('/', 1)[-1]}")
    found: list[str] = [held]
    if held.endswith(_TASKS):
        found.append(held.removesuffix(_TASKS).removesuffix(_ALL) + "/*")
    elif held.rpartition("/")[0].endswith(_ALL):
        verb = held.rsplit("/", 1)[-1]
        found.append(held.rpartition("/")[0].removesuffix(_ALL) + f"/*/{verb}")
    # A kind of an entity is written after a dot.
    of_kinds = [one.replace(f"{service}/{entity}/", f"{service}/{entity}.*/", 1) for one in found if "." not in entity]
    return (*found, *of_kinds)


def kinds_of(action: str) -> tuple[str, ...]:
    """Return patterns of narrower actions that may have allowed a logged one, since logs do not name the kind.

    The log says that a member was added to a group. It does not say whether the group may hold roles, or of which kind
    the group is.
    """
    needed = fold(action)
    service, _, rest = needed.partition("/")
    entity, slash, tail = rest.partition("/")
    kinds = (f"{service}/{entity}.*{slash}{tail}",) if entity and "." not in entity else ()
    return (*kinds, _ROLE_GROUPS[needed]) if needed in _ROLE_GROUPS else kinds


def is_read(action: str) -> bool:
    """Return whether an action only reads."""
    return fold(action).rsplit("/", 1)[-1] in READS


def is_of_directory(action: str) -> bool:
    """Return whether the directory itself checks an action; other services check all other actions."""
    return fold(action).startswith("microsoft.directory/")


def entity_of(action: str) -> str:
    """Return the folded service and kind of object of an action, `microsoft.directory/users`, without a narrower kind.

    Deleted objects belong to their kind.
    """
    service, _, rest = fold(action).partition("/")
    entity, _, kind = rest.partition("/")[0].partition(".")
    return f"{service}/{kind if entity == 'deleteditems' and kind else entity}"
