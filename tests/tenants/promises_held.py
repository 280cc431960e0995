"""Take a kind of evidence away from exports, load what `status logs` picks for a budget, and compare."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rightsize.analyze.observability.needs import item_of
from rightsize.propose.core.options import PlanOptions
from rightsize.workflow.answers.logs import find_missing
from rightsize.workflow.data.load import load_paths
from rightsize.workflow.plan.propose import propose_plan

Evidence = Mapping[tuple[str, ...], Sequence[str]]
"""By missing things: the patterns of the files that bring them."""


@dataclass(frozen=True, slots=True)
class Held:
    """What was promised and what came.

    Attributes:
        picked: The missing things that were picked and loaded.
        promised: The undecided excess that they decide at most, as a share of all of it.
        came: The share of it that is decided once they are loaded.
        removes: The share of the live excess that a plan removes, before and after.
    """

    picked: tuple[str, ...]
    promised: float
    came: float
    removes: tuple[float, float]


def hold(exports: Path, folder: Path, gone: Evidence, budget: float, base: Path | None = None) -> Held:
    """Load exports without some evidence, then with what the best set has of it.

    Args:
        exports: The folder of all exports, which stays as it is.
        folder: An empty folder for copies, the store and plans.
        gone: What is taken away.
        budget: The budget.
        base: A store with the catalogue, where the exports have none.
    """
    here = shutil.copytree(exports, folder / "exports")
    taken = {items: _taken(here, folder / f"taken-{number}", gone[items]) for number, items in enumerate(gone)}
    store = folder / "store.duckdb"
    if base is not None:
        shutil.copy(base, store)
    load_paths(store, [here], named=False)
    before = find_missing(store, budget=budget)
    first = _removes(store, folder / "before")
    picked = [part for part in before.chosen or () if any(item_of(part) in items for items in gone)]
    items = sorted({item_of(part) for part in picked})
    for names, place in taken.items():
        if set(names) & set(items):
            load_paths(store, [place], named=False)
    after = find_missing(store)
    promised = before.decidable.decides(picked)
    return Held(
        tuple(items),
        before.share(promised),
        before.share(before.undecided - after.undecided),
        (first, _removes(store, folder / "after")),
    )


def _taken(here: Path, place: Path, patterns: Sequence[str]) -> Path:
    """Move the files of some patterns into another folder, with their paths."""
    for file in sorted({file for pattern in patterns for file in here.glob(pattern) if file.is_file()}):
        there = place / file.relative_to(here)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(file, there)
    return place


def _removes(store: Path, out: Path) -> float:
    propose_plan(store, PlanOptions(), out)
    live = json.loads((out / "plan.json").read_text(encoding="utf-8"))["excess"]["live"]
    return float(live["removed"])
