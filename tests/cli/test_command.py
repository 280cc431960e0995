"""A command declares its own options; the shared ones and groups of options reach it as objects."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from rightsize.cli.command import Command, Common, command
from rightsize.cli.options import OutputFormat
from rightsize.model.options import WindowOptions

SHARED = ["--db", "-v", "-q", "--no-input", "--color", "--config"]


class Form(StrEnum):
    """Formats of a command's own."""

    TABLE = "table"
    SVG = "svg"


def call(declared: Command, *words: str) -> Any:
    return declared.build("any").main(list(words), prog_name="any", standalone_mode=False)


def options_of(declared: Command) -> list[str]:
    return [one.opts[0] for one in declared.build("any").params]


def test_shared_options_stand_after_those_of_the_command() -> None:
    @command(rows=True)
    def listing(name: str, most: Annotated[int, typer.Option("--most")] = 3) -> None:
        """List."""

    @command(output=False)
    def plain() -> None:
        """Write."""

    assert options_of(listing) == ["name", "--most", "--db", "--all", "-o", *SHARED[1:]]
    assert options_of(plain) == SHARED


def test_shared_options_reach_a_command_as_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    @command(rows=True)
    def listing(most: Annotated[int, typer.Option("--most")] = 3, *, common: Common) -> None:
        """List."""
        assert common == Common(Path("s.duckdb"), every=True, output=OutputFormat.JSON, verbose=2, no_input=True)
        common.show([{"most": most}], ("most",))
        common.say_next("never said where a program reads the output")

    call(listing, "--most", "4", "--db", "s.duckdb", "--all", "-o", "json", "-vv", "--no-input")
    assert capsys.readouterr() == ('[\n  {\n    "most": 4\n  }\n]\n', "")


def test_a_group_of_options_reaches_a_command_as_an_object() -> None:
    seen: list[WindowOptions] = []

    @command(output=False)
    def judge(first: Annotated[int, typer.Option("--first")] = 1, *, window: WindowOptions) -> None:
        """Judge."""
        seen.append(window)

    assert options_of(judge) == ["--first", "--as-of", "--min-window", "--min-days", "--forget-days", *SHARED]
    call(judge, "--as-of", "2026-09-20", "--min-days", "5")
    assert seen == [WindowOptions(as_of=dt.date(2026, 9, 20), min_days=5)]


def test_formats_of_its_own_stand_in_the_place_of_the_shared_ones() -> None:
    seen: list[tuple[Form, OutputFormat]] = []

    @command()
    def draw(form: Annotated[str, typer.Option("--form")] = "", *, output: Form = Form.TABLE, common: Common) -> None:
        """Draw."""
        seen.append((output, common.output))

    assert options_of(draw) == ["--form", "--db", "--output", *SHARED[1:]]
    call(draw, "--output", "svg")
    assert seen == [(Form.SVG, OutputFormat.TABLE)]


def test_an_older_name_of_an_option_is_taken() -> None:
    seen: list[int] = []

    @command(older_names={"least": "most"})
    def listing(most: Annotated[int, typer.Option("--most")] = 3) -> None:
        """List."""
        seen.append(most)

    call(listing, "--least", "7")
    assert seen == [7]
    assert "--least" not in options_of(listing)
