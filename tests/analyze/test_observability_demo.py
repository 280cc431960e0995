"""Promises on the demo tenant: take one kind of evidence away, and hold what it decides against what was promised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.observability.promises import decided_sets, excess_of, make_promises
from rightsize.analyze.observability.undecided import weigh_cells
from rightsize.analyze.observability.ways import find_ways
from rightsize.analyze.verdicts import analyse
from rightsize.analyze.window import Window, choose_window
from rightsize.store.connection import open_store

KEY = ("role_assignment_id", "state", "plane")
NOBODY = pl.Series([], dtype=pl.String)
Without = Callable[[Inputs, Window], Inputs]


@pytest.fixture(scope="module")
def inputs(demo_folder: Path) -> Inputs:
    with open_store(demo_folder / "demo.duckdb", read_only=True) as store:
        return Inputs.read(store.table)


@pytest.fixture(scope="module")
def whole(inputs: Inputs) -> pl.DataFrame:
    return _undecided(judged(inputs, choose_window(inputs))[0])


def judged(inputs: Inputs, window: Window) -> tuple[pl.DataFrame, list[str]]:
    """Return the undecided cells with their ways, and the names of what is missing."""
    analysis = analyse(inputs, window)
    cells = weigh_cells(analysis, NOBODY)
    open_ones = find_ways(cells, inputs, analysis)
    return open_ones, [one.item for one in make_promises(open_ones, cells, analysis)]


def _undecided(cells: pl.DataFrame) -> pl.DataFrame:
    return cells.group_by(KEY).agg(pl.col("excess").sum())


def _covered(inputs: Inputs, keep: pl.Expr) -> pl.DataFrame:
    return inputs.coverage.filter(keep)


def no_inventory(inputs: Inputs, _: Window) -> Inputs:
    return replace(inputs, inventories=inputs.inventories.clear())


def no_listing_of_existence(inputs: Inputs, _: Window) -> Inputs:
    gone = inputs.provider_registrations.clear()
    return replace(inputs, inventories=inputs.inventories.clear(), provider_registrations=gone)


def no_log_of_resources(inputs: Inputs, _: Window) -> Inputs:
    return replace(inputs, coverage=_covered(inputs, pl.col("source").is_in(["activity_log", "sign_in_log"])))


def thirty_days(inputs: Inputs, window: Window) -> Inputs:
    recent = pl.col("day") > window.last_day - pl.duration(days=30)
    return replace(inputs, coverage=_covered(inputs, (pl.col("source") != "activity_log") | recent))


def no_sign_ins(inputs: Inputs, _: Window) -> Inputs:
    coverage = _covered(inputs, pl.col("source") != "sign_in_log")
    return replace(inputs, coverage=coverage, sign_ins=inputs.sign_ins.clear())


def no_members(inputs: Inputs, _: Window) -> Inputs:
    others = inputs.listings.filter(~pl.col("listing").is_in(["members", "transitiveMembers"]))
    gone = {"group_members": inputs.group_members.clear(), "group_closure": inputs.group_closure.clear()}
    return replace(inputs, listings=others, **gone)


def no_sign_ins_of_users(inputs: Inputs, _: Window) -> Inputs:
    kinds = ["interactive", "non_interactive"]
    others = _covered(inputs, (pl.col("source") != "sign_in_log") | ~pl.col("category").is_in(kinds))
    return replace(inputs, coverage=others, sign_ins=inputs.sign_ins.filter(~pl.col("kind").is_in(kinds)))


def no_tree(inputs: Inputs, _: Window) -> Inputs:
    unplaced = inputs.scopes.with_columns(listed=pl.lit(False), parent_scope=pl.lit(None, dtype=pl.String))
    return replace(inputs, scopes=unplaced)


def no_august(inputs: Inputs, _: Window) -> Inputs:
    kept = (pl.col("source") != "activity_log") | (pl.col("day").dt.month() != 8)
    return replace(inputs, coverage=_covered(inputs, kept))


def no_log_of_registries(inputs: Inputs, _: Window) -> Inputs:
    return replace(inputs, coverage=_covered(inputs, pl.col("source") != "registry_log"))


def no_principals(inputs: Inputs, _: Window) -> Inputs:
    return replace(inputs, principals=inputs.principals.clear())


@pytest.mark.parametrize(
    ("without", "items"),
    [
        (no_inventory, ("inventory",)),
        (no_listing_of_existence, ("inventory", "providers")),
        (no_log_of_resources, None),
        (thirty_days, ("activity_log",)),
        (no_sign_ins, ("sign_ins:user", "sign_ins:service_principal", "sign_ins:managed_identity")),
        (no_members, ("members",)),
        (no_sign_ins_of_users, ("sign_ins:user",)),
        (no_tree, ("scopes",)),
        (no_august, ("declared_days",)),
        (no_log_of_registries, ("log:microsoft.containerregistry/registries",)),
        (no_principals, None),
    ],
)
def test_no_assignment_gets_more_decided_than_was_promised(
    inputs: Inputs, whole: pl.DataFrame, without: Without, items: tuple[str, ...] | None
) -> None:
    """What is loaded decides something, and for no assignment more than the ways to decide it promised."""
    window = choose_window(inputs)
    cells, missing = judged(without(inputs, window), window)
    loaded = list(missing if items is None else items)
    way = pl.element().str.split("+").list.set_difference(pl.lit(loaded)).list.len() == 0
    promised = cells.filter(pl.col("ways").list.eval(way).list.any())
    compared = (
        _undecided(cells)
        .join(whole.rename({"excess": "left"}), on=KEY, how="left")
        .join(_undecided(promised).rename({"excess": "promised"}), on=KEY, how="left")
        .with_columns(pl.col("left", "promised").fill_null(0))
        .with_columns(came=pl.col("excess") - pl.col("left"))
    )
    assert compared.filter(pl.col("came") > pl.col("promised")).is_empty()
    assert 0 < int(compared["came"].sum()) <= excess_of(decided_sets(cells), loaded)
