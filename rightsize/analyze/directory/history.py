"""Rebuild the activations of directory roles from listings, requests and audit records, and sum up their use."""

from __future__ import annotations

import polars as pl

from rightsize.analyze.activation_use import activation_table
from rightsize.analyze.activations import (
    asked,
    end_early,
    given_back,
    join_records,
    noted,
    records,
    with_best_match,
)
from rightsize.analyze.directory.tables import DirectoryTables, ways_to


def rebuild_activations(tables: DirectoryTables) -> pl.DataFrame:
    """Return one row per activation, as `activations.History`; `eligibility` is the id of an eligible assignment."""
    current = tables.assignments.filter(pl.col("state") == "activated")
    instances = records(
        current.with_columns(id="role_assignment_id", record="role_assignment_id", eligibility="eligibility_id"),
        "instance",
    )
    found = join_records(pl.concat([instances, asked(tables.inputs, "directory")]), noted(tables.inputs, "directory"))
    nothing = pl.DataFrame(schema={"id": pl.String, "deleted": pl.Datetime("us")})
    found = end_early(found, nothing, given_back(tables.inputs, "directory"))
    return _matched(found, tables)


def _matched(found: pl.DataFrame, tables: DirectoryTables) -> pl.DataFrame:
    held = tables.assignments.filter(pl.col("state") == "eligible").select(
        "role", holder="principal_id", held_at="place", matched="role_assignment_id"
    )
    pairs = found.select("activation_id", "principal_id", "role", "place").join(tables.membership, on="principal_id")
    behind = pairs.join(held, on=["role", "holder"]).filter(
        (pl.col("place") == pl.col("held_at")).fill_null(True) | (pl.col("held_at") == "/")
    )
    return with_best_match(found, behind, held["matched"]).with_columns(pl.col("place").fill_null("/"))


def use_of_activations(activations: pl.DataFrame, tables: DirectoryTables) -> pl.DataFrame:
    """Return the table `activations` for directory roles.

    The audit log names no assignment. An action of the holder while an activation ran, which its role allows, is its
    use.
    """
    used = tables.days.filter(pl.col("use") > 0)
    running = activations.select("activation_id", "principal_id", "role", "start_on", "end_on")
    during = used.join(running, on="principal_id").filter(
        (pl.col("first_seen") >= pl.col("start_on")) & (pl.col("last_seen") <= pl.col("end_on")).fill_null(False)
    )
    allowed = ways_to(during["name"], tables).select("role", "name").unique()
    done = during.join(allowed, on=["role", "name"], how="semi")
    return activation_table(activations, done.select("activation_id", "name", "operation", "use"), "directory")
