"""A program of a user, with the types that the interface gives it; mypy checks it strictly together with the package.

Each line with `type: ignore` is wrong, and mypy says so if it is ever taken for right. `test_surface.py` runs it, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, assert_type

import polars as pl

import rightsize


def ask(db: Path) -> str:
    """Ask a store everything that takes no analysis."""
    with rightsize.open(db, read_only=True) as store:
        assert_type(store, rightsize.Store)
        assert_type(store.sql("SELECT $n AS n", n=1), pl.DataFrame)
        assert_type(store.next_steps(), pl.DataFrame)
        answer = store.can("mei@example.com", "Microsoft.Compute/virtualMachines/write", "Production")
        assert_type(answer.allowed, Literal["yes", "no", "eligible", "conditional", "unknown"])
        assert_type(answer.because, tuple[rightsize.Reason, ...])
        assert_type(store.reach(), pl.DataFrame)
        assert_type(store.reach("mei@example.com"), rightsize.ReachAnswer)
        assert_type(store.explain("mei@example.com"), rightsize.ExplainAnswer)
        assert_type(store.check(fail_on="high"), rightsize.CheckAnswer)
    return answer.allowed


def plan(db: Path, folder: Path) -> rightsize.VerifyAnswer:
    """Read a plan, and prove it again."""
    found = rightsize.read_plan(folder, rightsize.open(db, read_only=True))
    assert_type(found, rightsize.Plan)
    assert_type(found.proposals, pl.DataFrame)
    assert_type(found.roles, tuple[rightsize.RoleDefinition, ...])
    contained = rightsize.contains([{"actions": ["*/read"]}], found.roles[0])
    assert_type(contained.witness, rightsize.Witness | None)
    return assert_type(found.verify(), rightsize.VerifyAnswer)


def wrong(store: rightsize.Store) -> None:
    """Make mistakes that a type checker finds."""
    store.propose(reads="some")  # type: ignore[arg-type]
    store.propose(maxbreak=0.1)  # type: ignore[call-arg]
    rightsize.opne("tenant.duckdb")  # type: ignore[attr-defined]
    print(rightsize.Decision)  # type: ignore[attr-defined]
