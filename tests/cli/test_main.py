"""The entry point: everything that is decided before a command begins."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

from rightsize.cli.main import main

SETTING, THREADS = "_RJEM_MALLOC_CONF", "POLARS_MAX_THREADS"


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # Set first, so that what a command sets is undone.
    for name in (SETTING, THREADS):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def run(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == 0


def test_what_plans_a_tenant_soon_gives_memory_back() -> None:
    run("propose", "--help")
    assert "dirty_decay_ms:10," in os.environ[SETTING]


@pytest.mark.slow
def test_a_short_answer_keeps_its_memory() -> None:
    run("explain", "--help")
    assert SETTING not in os.environ


@pytest.mark.slow
def test_small_steps_are_taken_by_one_thread() -> None:
    run("can", "--help")
    assert os.environ[THREADS] == "1"


@pytest.mark.slow
def test_what_somebody_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, "dirty_decay_ms:5000")
    run("propose", "--help")
    assert os.environ[SETTING] == "dirty_decay_ms:5000"
    assert THREADS not in os.environ


@pytest.mark.slow
def test_cycles_are_looked_for_seldom_and_not_when_the_process_ends() -> None:
    run("explain", "--help")
    assert gc.get_threshold()[0] > 10_000
    assert gc.get_freeze_count() > 0
