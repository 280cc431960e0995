"""The steps of `next` that `propose` keeps: they are those of the plan, and hold for one content and one plan."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from rightsize.store.connection import open_store
from rightsize.store.stored_analysis import kept_steps
from rightsize.workflow.plan import next_steps, review
from rightsize.workflow.plan.next_steps import next_of
from rightsize.workflow.plan_folder import check_plan_folder
from rightsize.workflow.signatures import Signature


class PlanReadError(Exception):
    """The plan was read."""


@pytest.fixture
def db(demo_folder: Path, tmp_path: Path) -> Path:
    """A store of the demo to write into."""
    return Path(shutil.copy(demo_folder / "demo.duckdb", tmp_path / "copy.duckdb"))


@pytest.fixture
def _no_plan_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PlanReadError

    monkeypatch.setattr(review, "read_steps", refuse)


def test_kept_steps_are_those_of_the_plan(demo_folder: Path, db: Path) -> None:
    """What is kept says the same as the plan that is read."""
    kept = next_of(db, demo_folder, names_db=True)
    with open_store(db, read_only=False) as store:
        store.remember("steps_of", "{}")
    read = next_of(db, demo_folder, names_db=True)
    assert kept.steps == read.steps
    assert kept.document() == read.document()
    assert [kept.short[step.proposal] for step in kept.steps.steps] == [
        read.short[step.proposal] for step in read.steps.steps
    ]
    assert len(kept.names) < len(read.names)


@pytest.mark.usefixtures("_no_plan_is_read")
def test_kept_steps_need_no_plan_until_the_content_changes(demo_folder: Path, db: Path) -> None:
    """A plan is read where the store has other content than it was made from."""
    assert next_of(db, demo_folder, names_db=True).steps.steps
    with open_store(db, read_only=False) as store, store.transaction():
        pass
    with pytest.raises(PlanReadError):
        next_of(db, demo_folder, names_db=True)


@pytest.mark.usefixtures("_no_plan_is_read")
def test_a_plan_without_its_chain_is_read(demo_folder: Path, db: Path, tmp_path: Path) -> None:
    """Only the chain of hashes shows that a plan is the one whose steps are kept."""
    folder = Path(shutil.copytree(demo_folder, tmp_path / "plan"))
    (folder / "chain.json").unlink()
    (folder / "manifest.json").unlink()
    with pytest.raises(PlanReadError):
        next_of(db, folder, names_db=True)


@pytest.mark.usefixtures("_no_plan_is_read")
def test_a_signed_plan_is_read(demo_folder: Path, db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has signed what the store keeps."""
    monkeypatch.setattr(
        next_steps,
        "check_plan_folder",
        lambda *given: replace(check_plan_folder(*given), signature=Signature("ingrid@example.com")),
    )
    with pytest.raises(PlanReadError):
        next_of(db, demo_folder, names_db=True)


def test_steps_are_kept_of_one_plan(demo_folder: Path, db: Path) -> None:
    """The hash of another plan has no steps."""
    chain = check_plan_folder(demo_folder).chain
    assert chain is not None
    with open_store(db, read_only=True) as store:
        assert kept_steps(store, chain.head)
        assert kept_steps(store, chain.head[::-1]) is None


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE analysed.steps SET text = '{'",
        "UPDATE analysed.steps SET text = '[]'",
        "UPDATE analysed.steps SET text = replace(text, '\"azure_roles\"', '7')",
        'UPDATE analysed.steps SET text = replace(text, \'"steps":[[1,\', \'"steps":[["1",\')',
        "UPDATE analysed.steps SET text = replace(text, '\"steps\":[[1,0,', '\"steps\":[[1,77,')",
        'UPDATE analysed.steps SET text = replace(text, \'"names":{\', \'"names":{"x":[1],\')',
        "UPDATE analysed.steps SET text = replace(text, '\"steps\":[[1,', '\"steps\":[[2,')",
        "DELETE FROM analysed.steps",
        "DROP TABLE analysed.steps",
    ],
)
def test_damaged_steps_are_read_from_the_plan(demo_folder: Path, db: Path, edit: str) -> None:
    """What the store kept is only used as it was written; else the plan says it."""
    kept = next_of(db, demo_folder, names_db=True)
    with open_store(db, read_only=False) as store:
        before = store.rows("SELECT text FROM analysed.steps")
        store.connection.execute(edit)
        assert not edit.startswith("UPDATE") or store.rows("SELECT text FROM analysed.steps") != before
    assert next_of(db, demo_folder, names_db=True).document() == kept.document()
