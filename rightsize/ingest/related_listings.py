"""Stage which pages list the owners or sponsors of their objects, by the relations that their contexts name.

An object without a row among the owners has none only if a page listed owners for objects of its kind.
Source: OData 4.01, context URL of an expanded entity: `…#servicePrincipals(id,owners(id))`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import duckdb

from rightsize.ingest.entities.agents import RELATIONS
from rightsize.rbac.text import fold

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
