"""Read the role and the principal type that calls to create or delete role assignments named.

The Activity Log keeps the body of a request beside the row that begins it, and the body of the answer beside the row
that ends it. An export may have lost either, so a call counts only where each of its repetitions shows its role.
"""

from __future__ import annotations

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.text import folded, place_of
from rightsize.analyze.usage import use_by_day
from rightsize.analyze.window import Window
from rightsize.rbac.text import Folded

WRITE = Folded("microsoft.authorization/roleassignments/write")
DELETE = Folded("microsoft.authorization/roleassignments/delete")

REQUESTS_SCHEMA = {
    "principal_id": pl.String(),
    "operation": pl.String(),
    "place": pl.String(),
    "role": pl.String(),
    "kind": pl.String(),
}
_ATTRIBUTE = "microsoft.authorization/roleassignments"
_CALL = ("principal_id", "operation", "place")


def read_role_requests(inputs: Inputs, window: Window) -> pl.DataFrame:
    """Return the distinct `(principal_id, operation, place, role, kind)` of the window, all but `kind` folded.

    `place` is the assignment that is made or deleted. `kind` is the principal type: for a write the type that the
    request names, since a condition checks the request; for a delete the type of the assignment; null where no log
    shows it. A call in quarantine has no row. Nor has a repeated call where one repetition does not show its role.
    """
    used = (
        use_by_day(inputs, window)
        .filter(pl.col("name").is_in([WRITE, DELETE]) & (pl.col("use") > 0) & pl.col("principal_id").is_not_null())
        .group_by("principal_id", "place", "day", operation="name")
        .agg(calls=pl.col("use").sum(), clean=pl.col("clean").sum())
        .collect()
    )
    asked = _asked(inputs).join(used, on=[*_CALL, "day"], how="semi")
    counted = used.group_by(_CALL).agg(pl.col("calls").sum(), is_clean=(pl.col("calls") == pl.col("clean")).all())
    shown = asked.group_by(_CALL).agg(requests=pl.len(), shows_all=pl.col("role").is_not_null().all())
    whole = counted.join(shown, on=list(_CALL)).filter(
        pl.col("is_clean") & pl.col("shows_all") & (pl.col("requests") >= pl.col("calls"))
    )
    return asked.join(whole, on=list(_CALL), how="semi").select(*REQUESTS_SCHEMA).unique().sort(*REQUESTS_SCHEMA)


def _asked(inputs: Inputs) -> pl.DataFrame:
    """Return every call that used the permission; a delete gets the role that any call on its assignment shows."""
    table = inputs.role_assignment_requests
    calls = table.filter(pl.col("outcome").is_in(["succeeded", "failed", "started"])).select(
        "assigned_type",
        "asked_type",
        principal_id=folded(pl.col("principal_id")),
        operation=folded(pl.col("operation")),
        place=place_of(pl.col("scope")),
        day=pl.col("time").dt.date(),
        role=folded(pl.col("assigned_role_id")),
    )
    known = (
        calls.filter(pl.col("role").is_not_null())
        .group_by("place")
        .agg(pl.col("role").min(), pl.col("assigned_type").min(), roles=pl.col("role").n_unique())
        .filter(pl.col("roles") == 1)
        .select("place", known_role="role", known_type="assigned_type")
    )
    deletes = pl.col("operation") == DELETE
    return (
        calls.filter(pl.col("principal_id").is_not_null())
        .join(known, on="place", how="left")
        .with_columns(
            role=pl.coalesce("role", pl.when(deletes).then("known_role")),
            kind=pl.when(deletes).then(pl.coalesce("assigned_type", "known_type")).otherwise("asked_type"),
        )
    )


def attributes_of(operation: str, role: str | None, kind: str | None) -> dict[str, str]:
    """Return the attributes of a call that makes or deletes a role assignment, as `rbac.conditions` takes them.

    Source: Microsoft Learn, "Authorization actions and attributes".
    """
    source = "@request" if operation == WRITE else "@resource"
    named = {"roledefinitionid": role, "principaltype": kind}
    return {f"{source}[{_ATTRIBUTE}:{name}]": value for name, value in named.items() if value is not None}
