"""Read the owners of applications, service principals and groups, as Graph lists them with `$expand=owners`.

Source: Microsoft Learn, Graph v1.0 reference: list owners.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from rightsize.ingest.entities.agents import is_blueprint
from rightsize.ingest.entities.definitions import text_of
from rightsize.ingest.entities.directory_pages import classify_page
from rightsize.ingest.entities.look import Look, fold_keys, look_at
from rightsize.ingest.entities.shape import ObjectShape, Row, Unusable
from rightsize.ingest.shapes import Context
from rightsize.model.errors import InputError
from rightsize.rbac.text import fold

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def has_owners(look: Look) -> bool:
    """Return whether a record lists the owners of a directory object."""
    return isinstance(look.outer.get("owners"), list) and bool(_GUID.fullmatch(look.text("id")))


def _read_owners(record: Mapping[str, Any]) -> Iterator[Row | Unusable]:
    look = look_at(record)
    app_id = fold(text_of(look.outer, "appid")) or None
    if app_id is not None and not _GUID.fullmatch(app_id):
        raise InputError("its `appId` is not a GUID")
    for owner in look.outer["owners"]:
        fields = fold_keys(owner) if isinstance(owner, Mapping) else {}
        owner_id = fields.get("id")
        if isinstance(owner_id, str) and _GUID.fullmatch(fold(owner_id)):
            yield {"object_id": look.text("id"), "owner_id": fold(owner_id), "app_id": app_id}
        else:
            yield Unusable("one of its owners has no `id`", owner)


class _OwnersShape(ObjectShape):
    """Objects with their owners; a list of principals of one type is a directory listing, with or without owners."""

    def recognises(self, record: Mapping[str, Any], context: Context) -> bool:
        """Return whether a record has this shape."""
        page = classify_page(context.odata_context, context.place)
        lists_one_type = bool(page and page.cast) or is_blueprint(look_at(record), context.odata_context)
        return super().recognises(record, context) and not lists_one_type


OWNER_SHAPES = (_OwnersShape("object_owners", "object_owners", has_owners, "object_owners", _read_owners),)
