"""`rightsize schema` prints each schema; that of `rightsize.toml` is written from the options of the commands."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from rightsize.cli.commands.setup import config_schema
from rightsize.cli.configuration import ConfigurationFile, settings_of
from rightsize.cli.main import run
from rightsize.cli.options import option_name, options_of
from rightsize.model.errors import UsageError
from rightsize.render.schemas import DESCRIBED
from tests.cli.test_configuration import MISTAKES, commands
from tests.file_schemas import plain

VALIDATOR = Draft202012Validator(json.loads(config_schema()))
DOCS = Path(__file__).resolve().parents[2] / "docs"


def errors_in(text: str) -> list[Any]:
    return list(VALIDATOR.iter_errors(plain(tomllib.loads(text))))


COMMANDS = [one for one in commands() if one.reads_file]
VALUES = ("x", "all", "none", "json", "", 0, 1, -1, 2.5, True, False, [], ["x"], [1], [True], {"x": 1})


@given(data=st.data())
def test_what_the_program_takes_the_schema_takes(data: st.DataObject) -> None:
    """For an option of any command and any value, in the file that the user names."""
    command = data.draw(st.sampled_from(COMMANDS))
    key = data.draw(st.sampled_from([*map(option_name, options_of(command)), "strange"]))
    document: dict[str, Any] = {key: data.draw(st.sampled_from(VALUES))}
    for word in reversed(command.path.split()):
        document = {word: document}
    try:
        settings_of(ConfigurationFile(Path("f.toml"), True, document), command, {})
    except UsageError:
        return
    assert VALIDATOR.is_valid(document)


def test_each_schema_is_listed_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", "-o", "json"]) == 0
    names = [row["name"] for row in json.loads(capsys.readouterr().out)]
    assert names == [*DESCRIBED, "rollout", "config"]
    for name in names:
        assert run(["schema", name]) == 0
        assert capsys.readouterr().out == (DOCS / f"{name}.schema.json").read_text(encoding="utf-8")
    assert run(["schema", "plans"]) == 2


def test_the_schema_of_the_file_knows_each_option() -> None:
    assert not errors_in(
        'db = "a.duckdb"\noutput = "json"\nquiet = true\n'
        '[propose]\nreads = "none"\nmax-break = 0.1\nroles = 5\nas-of = 2026-09-01\nexclude = ["a"]\n'
        '[review]\nreview = "r.jsonl"\n[review.reject]\nplan = "p"\n'
        '[rollout.plan]\nemergency-access = ["a"]\n[watch]\nwebhook = ["json=https://example.com"]\n'
    )
    for text in ("[rollout.apply]\nyes = true", '[rollout.status]\nauth = "cli"', '[propose]\nconfig = "x"'):
        assert errors_in(text), text


@pytest.mark.parametrize(
    "text", [text for text, _, said in MISTAKES if "cannot read" not in said and "soon" not in text]
)
def test_the_schema_refuses_what_the_program_refuses(text: str) -> None:
    assert errors_in(text)
