"""Read principals, memberships and owners as Graph, `az ad`, PowerShell and the Entra admin center list them.

The same statements stage every shape: a page may mix types, and files of one shape may have pages of another. Each
listing is a separate shape only for the output of `load`. An object whose type no rule knows is a principal of unknown
kind.
Source: Microsoft Learn, Graph v1.0 resource types user, group, servicePrincipal, signInActivity, agentIdentity,
agentUser.

Neither names the group, so the name of the file or its folder does. `Export-Csv` loses the type and the names of what
`Get-MgGroupMember` returns; the ids remain.
Sources: Microsoft Learn, Get-MgGroupMember (MicrosoftGraphDirectoryObject), and "Bulk download group members in
Microsoft Entra ID", which names the columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import duckdb

from rightsize.ingest.entities.graph_permissions import published_permissions
from rightsize.ingest.entities.pages import UNIT_MEMBERS, UNNAMED, DirectoryPage, classify_page, has_owners
from rightsize.ingest.entities.shape import Context, Look, field, read_fields
from rightsize.ingest.entities.workload_identities import RELATIONS, has_trust, is_blueprint
from rightsize.ingest.files.records import MAX_RAW_CHARACTERS
from rightsize.model.text import GUID, fold
from rightsize.rules.directory import object_types
from rightsize.store.sql import folded, insert_lists, literal

_FIELDS = (
    field("id", "id", kind="id", mandatory=True),
    field("odata_type", "@odata.type"),
    field("removed", "@removed/reason"),
    field("display_name", "displayName"),
    field("user_principal_name", "userPrincipalName"),
    field("user_type", "userType"),
    field("account_enabled", "accountEnabled", kind="bool"),
    field("created_on", "createdDateTime", kind="time"),
    field("deleted_on", "deletedDateTime", kind="time"),
    field("is_synced", "onPremisesSyncEnabled", kind="bool"),
    field("app_id", "appId", kind="id"),
    field("blueprint_app_id", "agentIdentityBlueprintId", kind="id"),
    field("parent_id", "identityParentId", kind="id"),
    field("owner_tenant_id", "appOwnerOrganizationId", kind="id"),
    field("alternative_names", "alternativeNames", kind="texts"),
    field("service_principal_names", "servicePrincipalNames", kind="texts"),
    field("service_principal_type", "servicePrincipalType"),
    field("group_types", "groupTypes", kind="texts"),
    field("security_enabled", "securityEnabled", kind="bool"),
    field("is_role_assignable", "isAssignableToRole", kind="bool"),
    field("last_attempt", "signInActivity/lastSignInDateTime", kind="time"),
    field("last_non_interactive", "signInActivity/lastNonInteractiveSignInDateTime", kind="time"),
    field("last_success", "signInActivity/lastSuccessfulSignInDateTime", kind="time"),
)


def _kind(default: str) -> str:
    """Return SQL for the kind of an object: user, group, serviceprincipal, nobody, unknown, or null.

    An `unknown` object has a type that no rule knows and is on no page of one kind; it may hold access.
    """
    known = object_types()
    kinds = {kind: [name for name, (_, of) in known.items() if fold(of) == kind] for kind in (*_PRINCIPALS, "")}
    branches = "\n".join(
        f"    WHEN said_type IN ({', '.join(map(literal, names))}) THEN '{kind or 'nobody'}'"
        for kind, names in kinds.items()
    )
    return f"""
CASE
{branches}
    WHEN page_kind <> '' THEN page_kind
    WHEN coalesce(service_principal_type, '') <> '' OR service_principal_names IS NOT NULL THEN 'serviceprincipal'
    WHEN group_types IS NOT NULL OR security_enabled IS NOT NULL THEN 'group'
    WHEN coalesce(user_principal_name, '') <> '' THEN 'user'
    WHEN said_type <> '' THEN CASE WHEN regexp_full_match(id, '{GUID}') THEN 'unknown' END
    ELSE nullif({default}, '')
END
"""


def _object_type() -> str:
    """Return SQL for the type of an object in Graph's spelling, null for a plain user, group or service principal."""
    spelt = {name: spelling for name, (spelling, _) in object_types().items()}
    branches = " ".join(
        f"WHEN {literal(name)} THEN {'NULL' if name in _PRINCIPALS else literal(spelling)}"
        for name, spelling in spelt.items()
    )
    written = "coalesce(nullif(split_part(odata_type, '.', -1), ''), nullif(page_cast, ''))"
    return f"CASE said_type {branches} ELSE {written} END"


# A listing with selected properties may not show whether a service principal is a managed identity; then it is null.
_TYPE = f"""
CASE kind
    WHEN 'user' THEN 'User'
    WHEN 'group' THEN 'Group'
    WHEN 'serviceprincipal' THEN CASE
        WHEN {folded("service_principal_type")} = 'managedidentity' THEN 'ManagedIdentity'
        WHEN coalesce(service_principal_type, '') <> '' OR object_type IS NOT NULL THEN 'ServicePrincipal'
    END
END
"""

# A device can be a member but hold no access: it is kept with the group and is not a principal.
_MEMBER_TYPE = """
CASE WHEN kind = 'user' THEN 'User' WHEN kind = 'group' THEN 'Group' WHEN kind = 'serviceprincipal' THEN
    'ServicePrincipal' WHEN said_type = 'device' THEN 'Device' END
"""

# When the directory deletes a user, it puts the user's id before the name, so that the name can be used again.
_USER_NAME = """
CASE WHEN starts_with(user_principal_name, replace(id, '-', '')) THEN user_principal_name[33:]
    ELSE user_principal_name END
"""

_JUDGE = f"""
CREATE OR REPLACE TEMP TABLE entity_judged AS
SELECT *, {{object_type}} AS object_type, CASE
    WHEN removed IS NOT NULL THEN 'it is an object that was removed since an earlier listing'
    WHEN is_member AND listing = '{UNNAMED}'
        THEN 'the group of these members is unknown: name the file members-ID, with the object id of the group'
    WHEN NOT is_member AND kind IS NULL THEN 'its kind of object is unknown'
    WHEN NOT is_member AND kind = 'nobody' THEN 'it is not a user, group or service principal'
END AS problem
FROM (
    SELECT *, {{kind}} AS kind, coalesce(deleted_on IS NOT NULL OR listing = 'deletedItems', false) AS is_deleted,
        listing IN ('members', 'transitiveMembers', '{UNIT_MEMBERS}')
            OR (listing = '{UNNAMED}' AND (has_next IS NOT NULL OR coalesce(odata_type, '') <> '')) AS is_member
    FROM (
        SELECT *, coalesce(nullif({folded("split_part(odata_type, '.', -1)")}, ''), nullif(page_cast, ''))
            AS said_type
        FROM (SELECT *, coalesce(page, -1) AS page_key FROM entity_rows) JOIN entity_pages USING (file_id, page_key))
)
"""

_REJECT = f"""
INSERT INTO stage_rejects (file_id, line, reason, raw)
SELECT file_id, line, problem, CAST(record AS VARCHAR)[:{MAX_RAW_CHARACTERS}]
FROM entity_judged JOIN {{relation}} USING (file_id, line) WHERE problem IS NOT NULL
"""

_INSERT_PRINCIPALS = f"""
INSERT INTO stage_principals (file_id, line, principal_id, principal_type, display_name, user_principal_name, app_id,
    account_enabled, user_type, created_on, deleted_on, owner_tenant_id, alternative_names, is_synced, group_types,
    is_role_assignable, last_sign_in, listed, object_type, blueprint_app_id, parent_id)
SELECT file_id, line, id, {_TYPE}, display_name, nullif(trim({_USER_NAME}), ''), app_id, account_enabled, user_type,
    created_on, deleted_on, owner_tenant_id, alternative_names, is_synced, group_types, is_role_assignable,
    greatest(last_attempt, last_non_interactive, last_success), NOT is_member AND NOT is_deleted, object_type,
    blueprint_app_id, parent_id
FROM entity_judged WHERE problem IS NULL AND kind IN ('user', 'group', 'serviceprincipal', 'unknown')
"""

_INSERT_MEMBERS = f"""
INSERT INTO stage_group_members (file_id, line, group_id, member_id, listing, member_type)
SELECT file_id, line, of_group, id, listing, {_MEMBER_TYPE} FROM entity_judged
WHERE problem IS NULL AND is_member AND listing <> '{UNIT_MEMBERS}'
"""

_INSERT_UNIT_MEMBERS = f"""
INSERT INTO stage_administrative_unit_members (file_id, line, unit_id, member_id, member_type)
SELECT file_id, line, of_group, id, {_MEMBER_TYPE} FROM entity_judged
WHERE problem IS NULL AND listing = '{UNIT_MEMBERS}'
"""

# A page with a deleted object lists deleted items, whatever its context says. Unreadable parts of a file may belong to
# any of its pages.
_INSERT_LISTINGS = f"""
INSERT INTO stage_listings (file_id, line, listing, "of", complete, rejected)
SELECT file_id, page_key, CASE WHEN deleted THEN 'deletedItems' ELSE listing END,
    CASE WHEN deleted THEN '' ELSE of_group END, whole AND NOT has_next, coalesce(rejected, 0)
FROM entity_pages LEFT JOIN (
    SELECT file_id, page_key, bool_or(is_deleted) AS deleted FROM entity_judged GROUP BY ALL
) USING (file_id, page_key)
LEFT JOIN (
    SELECT p.file_id, p.page_key, count(*) AS rejected FROM entity_pages AS p JOIN (
        SELECT file_id, line, n.page_key FROM stage_rejects LEFT JOIN (
            SELECT file_id, line, coalesce(page, -1) AS page_key FROM {{relation}}
        ) AS n USING (file_id, line)
    ) AS lost ON lost.file_id = p.file_id AND p.page_key = coalesce(lost.page_key, p.page_key) GROUP BY ALL
) USING (file_id, page_key)
WHERE has_next IS NOT NULL AND listing NOT IN ('', '{UNNAMED}')
"""

# A listing of one type that expands the owners or sponsors still lists principals.
_RELATED = """
CREATE OR REPLACE TEMP TABLE entity_related AS
SELECT *, coalesce(regexp_full_match(other_id, $guid), false) AS is_id FROM (
    SELECT file_id, line, id, app_id, other, {other_id} AS other_id FROM (
        SELECT file_id, line, unnest(TRY(from_json(record -> '$.{key}', '["JSON"]'))) AS other FROM {relation}
        WHERE json_type(record, '$.{key}') = 'ARRAY'
    ) JOIN entity_judged USING (file_id, line) WHERE problem IS NULL
)
"""
_INSERT_RELATED = """
INSERT INTO stage_{table} (file_id, line, object_id, {column}, app_id)
SELECT file_id, line, id, other_id, app_id FROM entity_related WHERE is_id
"""
_REJECT_RELATED = f"""
INSERT INTO stage_rejects (file_id, line, reason, raw)
SELECT file_id, line, 'one of its {{key}} has no `id`', CAST(other AS VARCHAR)[:{MAX_RAW_CHARACTERS}]
FROM entity_related WHERE NOT is_id
"""

_SOURCES = {
    "users": "users",
    "groups": "groups",
    "servicePrincipals": "service_principals",
    "members": "group_members",
    "transitiveMembers": "transitive_members",
    UNNAMED: "group_members",
    UNIT_MEMBERS: "unit_members",
    "deletedItems": "deleted_items",
}
_SOURCE_OF_KIND = {"user": "users", "group": "groups", "serviceprincipal": "service_principals"}
_OBJECTS = "directory_objects"
_PRINCIPALS = tuple(_SOURCE_OF_KIND)


@dataclass(frozen=True, slots=True)
class DirectoryShape:
    """A listing of the directory; `default` is SQL for the kind of objects that do not show it themselves."""

    name: str
    default: str = "''"

    @property
    def source(self) -> str:
        """Return the word for it in `loads`."""
        return self.name

    def recognises(self, look: Look, context: Context) -> bool:
        """Return whether a record is on a page of this listing; `{}` stands for an empty page."""
        return _source_of(look, context) == self.name

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the records of `relation` into the staging tables."""
        read_fields(con, relation, _FIELDS)
        self.classify(con, relation)
        con.execute(_JUDGE.format(kind=_kind(self.default), object_type=_object_type()))
        for statement in (
            _REJECT.format(relation=relation),
            _INSERT_PRINCIPALS,
            _INSERT_MEMBERS,
            _INSERT_UNIT_MEMBERS,
            _INSERT_LISTINGS.format(relation=relation),
            published_permissions(relation),
        ):
            con.execute(statement)
        other_id = folded("other ->> '$.id'")
        for key, table, column in RELATIONS:
            con.execute(_RELATED.format(relation=relation, key=key, other_id=other_id), {"guid": GUID})
            con.execute(_INSERT_RELATED.format(table=table, column=column))
            con.execute(_REJECT_RELATED.format(key=key))
        con.execute("DROP TABLE entity_pages; DROP TABLE entity_judged; DROP TABLE entity_related")

    def classify(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Fill `entity_pages` with the listing of each page of `relation`."""
        _classify_pages(con, relation)


@lru_cache(maxsize=1)
def _source_of(look: Look, context: Context) -> str | None:
    """Return the shape of a record; each shape of the directory asks in turn."""
    own = look.outer.get("@odata.context")
    said = context.odata_context or (own if isinstance(own, str) else "")
    page = classify_page(said, context.place)
    kind = _kind_of(look)
    if is_blueprint(look, said):
        return None
    # A listing of owners shows only the owners of the objects on it, unless it is of one type.
    if has_trust(look) or ((has_owners(look) or "owners(" in said) and not (page and page.cast)):
        return None
    if page is None or (not said and kind is None):
        return None
    is_typed = "@odata.type" in look.outer
    if page.listing in {"members", "transitiveMembers", UNIT_MEMBERS} or (
        page.listing == UNNAMED and (said or is_typed)
    ):
        return _SOURCES[page.listing]
    if page.listing == "deletedItems" or look.outer.get("deleteddatetime"):
        return "deleted_items"
    if said:
        return _SOURCE_OF_KIND.get(page.kind, _OBJECTS)
    return _OBJECTS if is_typed else _SOURCE_OF_KIND.get(kind or "")


def _kind_of(look: Look) -> str | None:
    """Return the folded kind of a single directory object, or None if it is not one."""
    said = look.text("@odata.type").removeprefix("#microsoft.graph.")
    # An object with a type of another part of Graph is not a directory object, unless its page says so.
    if said in object_types():
        return said
    if not look.has("id") or look.type or look.inner:
        return None
    if look.has("risklevel"):
        return None
    if look.has("appid") and (look.has("serviceprincipaltype") or look.has("serviceprincipalnames")):
        return "serviceprincipal"
    if look.has("displayname", "securityenabled", "mailenabled") or look.has("displayname", "grouptypes"):
        return "group"
    return "user" if look.has("displayname", "userprincipalname") else None


_PAGE = {
    "file_id": "INTEGER",
    "page_key": "BIGINT",
    "has_next": "BOOLEAN",
    "listing": "VARCHAR",
    "of_group": "VARCHAR",
    "page_kind": "VARCHAR",
    "page_cast": "VARCHAR",
    "whole": "BOOLEAN",
}


def _classify_pages(con: duckdb.DuckDBPyConnection, relation: str) -> None:
    """Fill `entity_pages` with the listing of each page, including pages without records."""
    pages = con.execute(
        f"""
        SELECT file_id, page_key, coalesce(context, ''), coalesce(place, ''), has_next
        FROM (
            SELECT DISTINCT file_id, coalesce(page, -1) AS page_key FROM {relation}
            UNION
            SELECT file_id, page FROM stage_pages WHERE records = 0 AND context LIKE '%#%'
                AND (file_id, page) NOT IN (SELECT (file_id, line) FROM stage_listings)
        )
        LEFT JOIN (SELECT file_id, page AS page_key, context, has_next FROM stage_pages) USING (file_id, page_key)
        LEFT JOIN stage_names USING (file_id)
        """
    ).fetchall()
    rows = []
    for file_id, page_key, context, place, has_next in pages:
        page = classify_page(context, place) or DirectoryPage()
        rows.append((file_id, page_key, has_next, page.listing, page.of, page.kind, page.cast, page.whole))
    con.execute(f"CREATE OR REPLACE TEMP TABLE entity_pages ({', '.join(map(' '.join, _PAGE.items()))})")
    insert_lists(con, "entity_pages", _PAGE, rows)


DIRECTORY_SHAPES = (
    DirectoryShape("users", "'user'"),
    DirectoryShape("groups", "'group'"),
    DirectoryShape("service_principals", "'serviceprincipal'"),
    DirectoryShape("group_members"),
    DirectoryShape("transitive_members"),
    DirectoryShape("unit_members"),
    DirectoryShape("deleted_items"),
    DirectoryShape(_OBJECTS),
)


def take_directory(ids: dict[str, list[int]]) -> tuple[DirectoryShape, list[int]]:
    """Take the listings of the directory out of ids of files by shape; return one shape for all, and their ids."""
    ours = [(one.default, ids.pop(one.name)) for one in DIRECTORY_SHAPES if one.name in ids]
    kinds = "".join(f" WHEN list_contains({some}, file_id) THEN {default}" for default, some in ours)
    return DirectoryShape(_OBJECTS, f"CASE{kinds} END"), [id_ for _, some in ours for id_ in some]


_POWERSHELL = {"Id", "DeletedDateTime", "AdditionalProperties"}
_PORTAL = {"Object ID", "Member type"}


def _cell(name: str) -> str:
    return f"nullif(trim(record ->> '$.\"{name}\"'), '')"


_PORTAL_TYPE = f"""CASE {folded(f"replace({_cell('Member type')}, ' ', '')")}
    WHEN 'user' THEN '#microsoft.graph.user'
    WHEN 'group' THEN '#microsoft.graph.group'
    WHEN 'serviceprincipal' THEN '#microsoft.graph.servicePrincipal'
    WHEN 'device' THEN '#microsoft.graph.device' END"""
_OF_PORTAL = f"""json_object('id', {_cell("Object ID")}, '@odata.type', {_PORTAL_TYPE},
    'displayName', {_cell("Display name")}, 'userPrincipalName', {_cell("User principal name")})"""
_OF_POWERSHELL = f"""json_merge_patch(
    CASE WHEN json_type(record, '$.AdditionalProperties') = 'OBJECT'
        THEN record -> '$.AdditionalProperties' ELSE '{{}}' END,
    json_object('id', {_cell("Id")}))"""


@dataclass(frozen=True, slots=True)
class MemberTable(DirectoryShape):
    """Members of a group in records of others; `made` is SQL for a record of Graph, `identifier` the column of ids."""

    identifier: str = "id"
    columns: frozenset[str] = frozenset()
    made: str = "record"

    @property
    def source(self) -> str:
        """Return the word for it in `loads`."""
        return "group_members"

    def recognises(self, look: Look, context: Context) -> bool:  # noqa: ARG002  the record says it all
        """Return whether a record has the columns."""
        return self.columns <= look.record.keys()

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the records of `relation` into the staging tables."""
        con.execute(
            "CREATE OR REPLACE TEMP TABLE member_records AS "
            f"SELECT file_id, page, line, CAST({self.made} AS JSON) AS record FROM {relation}"
        )
        DirectoryShape.stage(self, con, "member_records")
        con.execute(f"""
            UPDATE stage_rejects AS r SET reason = replace(reason, '`id`', '`{self.identifier}`'),
                raw = CAST(given.record AS VARCHAR)[:{MAX_RAW_CHARACTERS}]
            FROM {relation} AS given WHERE given.file_id = r.file_id AND given.line = r.line""")
        con.execute("DROP TABLE member_records")

    def classify(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Fill `entity_pages`; all records are members, of an unknown group where no name says which."""
        DirectoryShape.classify(self, con, relation)
        con.execute(
            f"UPDATE entity_pages SET listing = '{UNNAMED}', has_next = false "
            f"WHERE listing NOT IN ('members', 'transitiveMembers', '{UNIT_MEMBERS}')"
        )


MEMBER_TABLES = (
    MemberTable("members_powershell", identifier="Id", columns=frozenset(_POWERSHELL), made=_OF_POWERSHELL),
    MemberTable("members_portal", identifier="Object ID", columns=frozenset(_PORTAL), made=_OF_PORTAL),
)
