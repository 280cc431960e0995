"""Read members of a group as `Get-MgGroupMember` and the Entra admin center's "Download members" list them.

Neither names the group, so the name of the file or its folder does. `Export-Csv` loses the type and the names of what
`Get-MgGroupMember` returns; the ids remain.
Sources: Microsoft Learn, Get-MgGroupMember (MicrosoftGraphDirectoryObject), and "Bulk download group members in
Microsoft Entra ID", which names the columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from rightsize.ingest.entities.directory import DirectoryShape
from rightsize.ingest.entities.directory_pages import UNIT_MEMBERS, UNNAMED
from rightsize.ingest.records import MAX_RAW_CHARACTERS
from rightsize.ingest.shapes import Context
from rightsize.store.sql import folded

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

    def recognises(self, record: Mapping[str, Any], context: Context) -> bool:  # noqa: ARG002  the record says it all
        """Return whether a record has the columns."""
        return self.columns <= record.keys()

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
