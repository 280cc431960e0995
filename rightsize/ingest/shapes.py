"""Define the interface of a shape, which recognises records of one exported form and stages them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import duckdb


@dataclass(frozen=True, slots=True)
class Context:
    """The context of a record: the names of its file and folders, and the `@odata.context` of its page.

    `place` is the file's name after the names of the two folders around it, separated by slashes, so that
    `group-members/<group id>.json` can name its group. `odata_context` is the page's `@odata.context` or empty.
    """

    place: str
    odata_context: str = ""


class Shape(Protocol):
    """One exported form of a listing, a role or a catalogue.

    `stage` reads a relation `(file_id INTEGER, page BIGINT, line BIGINT, record JSON)` and inserts into the `stage_`
    tables; records that it cannot use go to `stage_rejects`. `stage_pages` `(file_id, page, context, has_next,
    records)` has for each page of a listing whether another one follows, `stage_names` `(file_id, place, address)` the
    names of each file, and `stage_vouched` what is said about files. Parts of a file that are not records are already
    in `stage_rejects`.
    """

    @property
    def name(self) -> str:
        """Return the unique name of the shape."""
        ...

    @property
    def source(self) -> str:
        """Return the word for it in `loads` and in the output of `load`."""
        ...

    def recognises(self, record: Mapping[str, Any], context: Context) -> bool:
        """Return whether a record, `{}` for the first page of an empty listing, has this shape."""
        ...

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the records of `relation` into the staging tables."""
        ...
