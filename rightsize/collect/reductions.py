"""Return the KQL queries of `queries/kql/` that reduce logs inside a workspace, each for a time slice."""

from __future__ import annotations

import datetime as dt
import re

from rightsize.model.errors import InternalError
from rightsize.store.queries import queries_folder

REDUCTIONS = ("azure_activity", "storage_logs", "sign_ins")
"""The names of the queries; the first lines of each describe its rows."""

_BOUND = re.compile(r"^let (Start|End) = datetime\([^)]*\);$", re.MULTILINE)


def reduction_text(name: str, first: dt.datetime, end: dt.datetime) -> str:
    """Return a reduction query over records received from `first` until before `end`, both whole UTC hours.

    The key of a row has the hour in which its calls were received. Two slices within one hour would share keys, and
    their counts would look like the same calls counted twice.

    Raises:
        InternalError: There is no such query, or a bound is not a whole hour.
    """
    if name not in REDUCTIONS:
        raise InternalError(f"there is no reduction `{name}`")
    bounds = {"Start": first.astimezone(dt.UTC), "End": end.astimezone(dt.UTC)}
    if any(bound.minute or bound.second or bound.microsecond for bound in bounds.values()):
        raise InternalError(f"`{first}` to `{end}` is not a range of whole hours")
    text = (queries_folder() / "kql" / f"{name}.kql").read_text(encoding="utf-8")
    return _BOUND.sub(lambda found: f"let {found[1]} = datetime({bounds[found[1]]:%Y-%m-%dT%H:%M:%SZ});", text)
