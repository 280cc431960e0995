"""Prune a store, or report what a pruning would delete."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rightsize.model.errors import EvidenceError
from rightsize.store.connection import open_store
from rightsize.store.pruning import Pruning, compact, plan_pruning, prune


def prune_store(db: Path | str, keep_days: int, *, done: bool) -> Pruning:
    """Return what a pruning to the last `keep_days` days deletes, and prune the store where `done` is set.

    Raises:
        EvidenceError: No log was loaded.
        InputError: There is no store, another process has it open, or the disk has no room to write it anew.
    """
    with open_store(db, read_only=not done, existing=True) as store:
        pruning = plan_pruning(store, keep_days)
        if pruning is None:
            raise EvidenceError(f"`{db}` has no day of any log", hint="`rightsize load PATH…` loads exports")
        if not done:
            return pruning
        prune(store, pruning)
    compact(Path(db))
    return replace(pruning, bytes_after=Path(db).stat().st_size)
