"""Promises on the demo tenant: take one kind of evidence away, and hold what it decides against what was promised."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.observability.needs import item_of, read_needs, scope_of
from rightsize.analyze.observability.promises import Decidable, read_decidable
from rightsize.analyze.observability.undecided import weigh_cells
from rightsize.analyze.observability.ways import find_ways
from rightsize.analyze.verdicts.judge import analyse
from rightsize.analyze.window import Window, choose_window
from rightsize.store.connection import open_store

pytestmark = pytest.mark.slow

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


def judged(inputs: Inputs, window: Window) -> tuple[pl.DataFrame, Decidable]:
    """Return the undecided cells with their ways, and what missing things would decide."""
    analysis = analyse(inputs, window)
    ways = find_ways(weigh_cells(analysis, NOBODY), inputs, analysis)
    decidable, cells = read_decidable(ways, read_needs(inputs, analysis))
    return cells, decidable


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


@pytest.mark.many(4)
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
    cells, decidable = judged(without(inputs, window), window)
    loaded = decidable.of_parts if items is None else decidable.parts_of(items)
    hold(cells, decidable, loaded, whole)


def hold(cells: pl.DataFrame, decidable: Decidable, loaded: Iterable[str], whole: pl.DataFrame) -> None:
    """Hold what some parts decided against what they promised."""
    promised = cells.filter(pl.col("number").is_in(decidable.decided_sets(loaded)))
    compared = (
        _undecided(cells)
        .join(whole.rename({"excess": "left"}), on=KEY, how="left")
        .join(_undecided(promised).rename({"excess": "promised"}), on=KEY, how="left")
        .with_columns(pl.col("left", "promised").fill_null(0))
        .with_columns(came=pl.col("excess") - pl.col("left"))
    )
    assert compared.filter(pl.col("came") > pl.col("promised")).is_empty()
    assert 0 < int(compared["came"].sum()) <= decidable.decides(loaded)


def no_inventory_and_thirty_days(inputs: Inputs, window: Window) -> Inputs:
    return no_inventory(thirty_days(inputs, window), window)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("without", "items"),
    [
        (no_inventory_and_thirty_days, (("activity_log", "inventory"), ("activity_log",))),
        (no_august, (("activity_log",), ("declared_days",))),
    ],
)
def test_some_scopes_decide_no_more_than_their_parts_promised(
    inputs: Inputs, without: Without, items: tuple[tuple[str, ...], tuple[str, ...]]
) -> None:
    """Where several subscriptions lack the same, it may come for some of them, or in another way for each half."""
    window = choose_window(inputs)
    bare = without(inputs, window)
    cells, decidable = judged(bare, window)
    scopes = sorted({scope_of(part) for part in decidable.parts_of(items[1]) if "/subscriptions/" in part})
    assert len(scopes) > 2
    for halves in ((scopes[::2], ()), (scopes[::2], scopes[1::2])):
        some = [
            part
            for half, mine in zip(halves, items, strict=True)
            for part in decidable.parts_of(mine)
            if scope_of(part) in half
        ]
        there, _ = judged(_restored(bare, inputs, some), window)
        hold(cells, decidable, some, _undecided(there))


def _restored(bare: Inputs, inputs: Inputs, parts: Iterable[str]) -> Inputs:
    """Return the tables with the days and listings of some parts as they were."""
    days = [scope_of(part) for part in parts if item_of(part) in {"activity_log", "declared_days"}]
    listings = [scope_of(part) for part in parts if item_of(part) == "inventory"]
    of_days = pl.col("scope").str.to_lowercase().is_in(days) & (pl.col("source") == "activity_log")
    coverage = pl.concat([bare.coverage.filter(~of_days), inputs.coverage.filter(of_days)])
    inventories = inputs.inventories.filter(pl.col("scope").str.to_lowercase().is_in(listings))
    return replace(bare, coverage=coverage, inventories=inventories)
