"""Read the tags of subscriptions, resource groups and resources, from any listing of these.

Tag names are case-insensitive in Azure, values are case-sensitive; tags are not inherited, and management groups have
none (Microsoft Learn, "Use tags to organize your Azure resources").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from rightsize.ingest.entities.fields import field, read_fields
from rightsize.ingest.entities.look import look_at
from rightsize.ingest.entities.shape import Beside, Unusable
from rightsize.ingest.shapes import Context
from rightsize.rbac.text import fold
from rightsize.store.sql import folded

GROUP = re.compile(r"/subscriptions/[^/]+/resourcegroups/[^/]+")
TAG_FIELDS = (field("scope", "id", kind="scope", mandatory=True), field("tags", "tags", kind="members"))
"""The fields that `INSERT_TAGS` reads."""

INSERT_TAGS = f"""
INSERT INTO stage_scope_tags (file_id, line, scope, name, value)
SELECT file_id, line, scope, {folded("key")}, value ->> '$'
FROM entity_rows, json_each(tags::JSON)
WHERE trim(key) <> '' AND type = 'VARCHAR'
"""


def read_tags(scope: str, tags: object) -> Iterator[Beside | Unusable]:
    """Yield the tags of a scope in a record, or an Unusable if they are not an object of strings."""
    if isinstance(tags, Mapping) and all(isinstance(value, str | None) for value in tags.values()):
        for name, value in tags.items():
            if fold(str(name)) and value is not None:
                yield Beside("scope_tags", {"scope": scope, "name": fold(str(name)), "value": value})
    elif tags:
        yield Unusable("`tags` is not an object of strings", tags)


@dataclass(frozen=True, slots=True)
class GroupShape:
    """A listing of resource groups, of which only the tags are kept."""

    name: str = "resource_groups"
    source: str = "resource_groups"

    def recognises(self, record: Mapping[str, Any], context: Context) -> bool:  # noqa: ARG002  the record says it all
        """Return whether a record has this shape: the id of a group, and tags or the fields of every resource."""
        look = look_at(record)
        if not GROUP.fullmatch(look.text("id").rstrip("/")):
            return False
        return "tags" in look.outer or {"name", "type", "location"} <= look.outer.keys()

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the tags of the records of `relation`; a record without tags adds no row."""
        read_fields(con, relation, TAG_FIELDS)
        con.execute(INSERT_TAGS)


TAG_SHAPES = (GroupShape(),)
