"""Whether output for people has colour: the option, then the environment, then the terminal; never for programs."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from rightsize.cli.main import run
from rightsize.cli.options import ColorChoice
from rightsize.cli.output import has_color, set_color

BOLD = "\x1b["


class Terminal(io.StringIO):
    """A stream that people look at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("NO_COLOR", "FORCE_COLOR", "RIGHTSIZE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    yield
    set_color(ColorChoice.AUTO)


@pytest.mark.parametrize(
    ("choice", "variables", "on_terminal", "elsewhere"),
    [
        ("auto", {}, True, False),
        ("auto", {"NO_COLOR": "0"}, False, False),
        ("auto", {"NO_COLOR": ""}, True, False),
        ("auto", {"FORCE_COLOR": "1"}, True, True),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        ("auto", {"TERM": "dumb"}, False, False),
        ("always", {"NO_COLOR": "1"}, True, True),
        ("never", {"FORCE_COLOR": "1"}, False, False),
    ],
)
def test_the_option_goes_before_the_environment_and_the_terminal(
    choice: str, variables: dict[str, str], on_terminal: bool, elsewhere: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    set_color(ColorChoice(choice))
    assert (has_color(Terminal()), has_color(io.StringIO())) == (on_terminal, elsewhere)


@pytest.mark.slow
def test_no_format_for_programs_has_colour(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A table has none in a pipe either, until somebody asks."""

    def shown(*words: str) -> str:
        assert run(["queries", "list", *words]) == 0
        return capsys.readouterr().out

    assert BOLD not in shown()
    assert BOLD in shown("--color", "always")
    monkeypatch.setenv("RIGHTSIZE_COLOR", "always")
    assert BOLD in shown()
    assert [form for form in ("json", "jsonl", "csv", "tsv", "markdown") if BOLD in shown("-o", form)] == []
