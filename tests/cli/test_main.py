"""What is settled before a command begins."""

from __future__ import annotations

import os

import pytest

from rightsize.cli.main import main

SETTING = "_RJEM_MALLOC_CONF"


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    # Set first, so that what a command sets is undone.
    monkeypatch.setenv(SETTING, "")
    monkeypatch.delenv(SETTING)


def run(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == 0


def test_what_plans_a_tenant_gives_memory_back_at_once() -> None:
    run("propose", "--help")
    assert "dirty_decay_ms:0" in os.environ[SETTING]


def test_a_short_answer_keeps_its_memory() -> None:
    run("explain", "--help")
    assert SETTING not in os.environ


def test_what_somebody_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, "dirty_decay_ms:5000")
    run("propose", "--help")
    assert os.environ[SETTING] == "dirty_decay_ms:5000"
