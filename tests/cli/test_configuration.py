"""Options come from the command line, the environment, the configuration file and the default, in this order."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import typer.main

from rightsize.cli.configuration import ConfigurationFile, settings_of
from rightsize.cli.main import app, run
from rightsize.cli.options import NOT_IN_FOUND_FILE, TYPED, option_name, options_of, variables_of
from rightsize.model.errors import InputError
from rightsize.propose.core.options import PlanOptions
from rightsize.workflow.plan import propose as propose_workflow

FILE = "rightsize.toml"
NAMED = "named.toml"

MISTAKES = [
    ('[propose]\nraeds = "x"', "propose", "`propose.raeds`\nhint: the nearest known are `reads`"),
    ("[propose]\nrole_worth = 1", "propose", "`propose.role_worth`\nhint: the nearest known are `role-worth`"),
    ('[propse]\nreads = "x"', "status", "`propse`\nhint: the nearest known are `propose`"),
    ("quite = true", "status", "`quite`\nhint: the nearest known are `quiet`"),
    ("propose = 1", "propose", "unknown key `propose`"),
    ("[rollout]\nplan = 1", "rollout plan x --out o", "unknown key `rollout.plan`"),
    ("[rollout.aply]\nwave = 1", "rollout plan x --out o", "`rollout.aply`\nhint: the nearest known are `apply`"),
    ('[propose]\nreads = "x"', "propose", "`propose.reads`: 'x' is not one of"),
    ('[propose]\nrole-worth = "3"', "propose", '`propose.role-worth` needs a whole number, not `"3"`'),
    ("[propose]\nrole-worth = true", "propose", "`propose.role-worth` needs a whole number, not `true`"),
    ("[propose]\nrole-worth = -1", "propose", "-1 is not in the range"),
    ("[propose]\nmax-break = [1]", "propose", "`propose.max-break` needs a number"),
    ('[propose]\nsplit-groups = "true"', "propose", "`propose.split-groups` needs true or false"),
    ('[propose]\nexclude = "a"', "propose", "`propose.exclude` needs a list"),
    ("[propose]\nexclude = [true]", "propose", "`propose.exclude` needs a text"),
    ('[propose]\nas-of = "soon"', "propose", "`soon` is not a day or time"),
    ("[propose]\nreads.deep = 1", "propose", "`propose.reads` needs a text"),
    ("[propose", "propose", "cannot read the configuration file"),
    ("x = '\udcff'", "status", "cannot read the configuration file"),
]
"""Files with a mistake, a command that reads them, and what is said."""


def commands(command: Any = None) -> list[Any]:
    command = command or typer.main.get_command(app)
    children = getattr(command, "commands", None)
    return [command] if children is None else [one for child in children.values() for one in commands(child)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shown(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, tuple[Any, str]]:
    """Return value and source of each option that `config show` lists."""
    assert run(["config", "show", "-o", "json", *words]) == code
    return {row["option"]: (row["value"], row["set_by"]) for row in json.loads(capsys.readouterr().out)}


def refusal(capsys: pytest.CaptureFixture[str], text: str, *words: str, file: str = FILE) -> str:
    """Return what is said of a file with this text, which is a usage error."""
    Path(file).write_text(text, encoding="utf-8")
    assert run(list(words)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert file in err
    return err


def test_the_nearest_source_wins(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / FILE).write_text(
        'db = "tenant.duckdb"\n'
        '[propose]\nreads = "none"\nunobservable = "keep"\nrole-worth = 3\nroles = 5\nas-of = 2026-09-01\n'
        'exclude = ["Web Team", "b"]\nsplit-groups = true\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("RIGHTSIZE_CONFIG", FILE)
    monkeypatch.setenv("RIGHTSIZE_PROPOSE_READS", "sibling")
    monkeypatch.setenv("RIGHTSIZE_PROPOSE_UNOBSERVABLE", "drop")
    monkeypatch.setenv("RIGHTSIZE_PROPOSE_STANDBY", "/a /b")
    found = shown(capsys, "--", "propose", "--reads", "all")
    assert found["reads"] == ("all", "command line")
    assert found["unobservable"] == ("drop", "RIGHTSIZE_PROPOSE_UNOBSERVABLE")
    assert found["standby"] == (["/a", "/b"], "RIGHTSIZE_PROPOSE_STANDBY")
    assert found["role-worth"] == (3, "rightsize.toml: propose.role-worth")
    assert found["exclude"] == (["Web Team", "b"], "rightsize.toml: propose.exclude")
    assert found["roles"][0] == "5"
    assert found["as-of"][0] == "2026-09-01"
    assert found["split-groups"][0] is True
    assert found["db"] == ("tenant.duckdb", "rightsize.toml: db")
    assert found["grace-days"] == (14, "default")


@pytest.mark.slow
def test_a_table_of_a_word_serves_the_commands_below_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / FILE).write_text(
        '[review]\nreview = "a.jsonl"\nplan = "p"\n[review.reject]\nplan = "q"\n', encoding="utf-8"
    )
    named = ("--config", FILE)
    assert shown(capsys, "review", "accept", *named)["plan"] == ("p", "rightsize.toml: review.plan")
    assert shown(capsys, "review", "reject", *named)["plan"] == ("q", "rightsize.toml: review.reject.plan")
    assert shown(capsys, "review", *named)["review"][0] == "a.jsonl"


def test_only_a_key_of_a_word_asks_for_the_options_of_its_other_commands() -> None:
    """They are imported for it, which takes longer than the rest of a quick command."""

    class Group(dict[str, Any]):
        def values(self) -> Any:
            raise ImportError

    diff = next(one for one in commands() if one.path == "roles diff")
    for tables in ({"db": "s.duckdb"}, {"roles": {}}, {"roles": {"diff": {"quiet": True}}}):
        settings_of(ConfigurationFile(Path(FILE), True, tables), diff, Group())
    with pytest.raises(ImportError):
        settings_of(ConfigurationFile(Path(FILE), True, {"roles": {"quiet": True}}), diff, Group())


@pytest.mark.slow
def test_an_output_for_all_commands_leaves_commands_with_their_own_formats(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / FILE).write_text('output = "csv"\n', encoding="utf-8")
    assert shown(capsys, "status")["output"][0] == "csv"
    assert shown(capsys, "watch")["output"] == ("jsonl", "default")
    monkeypatch.setenv("RIGHTSIZE_OUTPUT", "tsv")
    assert shown(capsys, "check")["output"] == ("tsv", "RIGHTSIZE_OUTPUT")
    assert shown(capsys, "watch")["output"] == ("jsonl", "default")


@pytest.mark.slow
def test_the_file_is_the_named_one_or_stands_beside_the_store_or_in_the_working_folder(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where `db` stands in the file decides nothing about which file is read."""
    for place, days in (("", 1), ("beside", 2), ("elsewhere", 3), ("named", 4)):
        (folder / place).mkdir(exist_ok=True)
        (folder / place / FILE).write_text(
            f'db = "elsewhere/s.duckdb"\n[explain]\nmin-window = {days}\n', encoding="utf-8"
        )

    def days_of(*words: str) -> int:
        return int(shown(capsys, "--", "explain", "anna", *words)["min-window"][0])

    assert days_of() == 1
    assert days_of("--db", "beside/s.duckdb") == 2
    assert days_of("--db", "none/s.duckdb") == 1
    monkeypatch.setenv("RIGHTSIZE_DB", "beside/s.duckdb")
    assert days_of() == 2
    monkeypatch.setenv("RIGHTSIZE_CONFIG", "elsewhere/rightsize.toml")
    assert days_of() == 3
    assert days_of("--config", "named/rightsize.toml") == 4
    assert run(["status", "--config", "missing.toml"]) == 2
    assert "missing.toml" in capsys.readouterr().err


@pytest.mark.slow
def test_paths_are_relative_to_the_folder_of_the_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / FILE).write_text('db = "s.duckdb"\n[propose]\nout = "plans/one"\n', encoding="utf-8")
    found = shown(capsys, "propose", "--config", f"sub/{FILE}")
    assert (found["db"][0], found["out"][0]) == ("sub/s.duckdb", "sub/plans/one")


@pytest.mark.slow
@pytest.mark.many(8)
@pytest.mark.parametrize(("text", "command", "said"), MISTAKES)
def test_a_mistake_in_the_file_is_a_usage_error(
    text: str, command: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the file, the key, and the nearest known key."""
    (folder / FILE).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert run(command.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert FILE in err
    assert said in err


@pytest.mark.slow
def test_a_mistake_does_not_keep_help_away(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / FILE).write_text("[propose", encoding="utf-8")
    assert run(["propose", "--help"]) == 0
    assert "--reads" in capsys.readouterr().out
    assert run(["config", "show"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("[rollout.apply]\nyes = true", "rollout apply x"),
        ("[rollout]\nwave = 2", "rollout apply x"),
        ('[rollout]\nauth = "cli"', "rollout status x"),
        ('[rollout.rollback]\nswap = ["a"]', "rollout rollback x"),
        ("[rollout.plan]\naccept-short-window = true", "rollout plan x --out o"),
        ("[prune]\nyes = true", "prune --keep-days 3"),
        ('[load]\ncovers = "2026-01-01..2026-02-01"', "load x"),
    ],
)
def test_what_confirms_a_change_is_typed(
    text: str, command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not even a file that the user names confirms, and no variable does."""
    assert "which no file sets" in refusal(capsys, text, *command.split())
    (folder / FILE).unlink()
    assert "which no file sets" in refusal(capsys, text, *command.split(), "--config", NAMED, file=NAMED)
    assert not [
        name
        for one in commands()
        for option in options_of(one)
        if option_name(option) in ("yes", "ask")
        for name in option.envvar or ()
    ]


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ('[watch]\nwebhook = ["json=https://example.com"]', "watch"),
        ('[collect]\ncloud = "cloud.json"', "collect"),
        ("[load]\ntrust-collections = true", "load"),
        ("[roles.no-new-access]\nallow-new-roles = true", "roles no-new-access"),
        ("[check]\nlist = true", "check"),
        ('[plan.verify]\nsigners = "s"', "plan verify"),
        ('[propose]\nout = "../elsewhere"', "propose"),
        ('[propose]\nout = "plan"', "propose"),
        ('[report]\nout = "/tmp/report.html"', "report"),
        ('[report]\nplan = "link/plan"', "report"),
        ('[review]\nreview = "decisions.jsonl"', "review accept"),
        ('[reach.layers]\npicture = "matrix.svg"', "reach layers"),
        ('[load]\nspill-folder = "spill"', "load"),
        ('db = "../s.duckdb"', "status"),
        *(('db = "s.duckdb"', command) for command in ("load", "analyze", "propose", "catalog import", "rollout plan")),
        ('[rollout.plan]\nemergency-access = ["a"]', "rollout plan"),
        ("[rollout.plan]\nwave-size = 1000", "rollout plan"),
        ('[rollout.plan]\nreview = "all.jsonl"', "rollout plan"),
        ('[rollout.plan]\ncanary = ["a"]', "rollout plan"),
        ("[rollout]\nsoak-days = 0", "rollout status"),
        ('[contain]\nemergency-access = ["a"]', "contain"),
    ],
)
def test_only_a_named_file_sends_trusts_writes_and_leaves_its_folder(
    text: str, command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file in a cloned repository is another person's until the user names it."""
    (folder / "link").symlink_to("/tmp")  # noqa: S108  no file is written there
    said = refusal(capsys, text, *command.split())
    assert "only a file" in said
    assert "--config rightsize.toml" in said
    key = text.partition("\n")[2].partition(" ")[0] or "db"
    assert shown(capsys, *command.split(), "--config", FILE)[key][1].startswith("rightsize.toml: ")


def test_every_rule_names_an_option() -> None:
    """A renamed option does not lose its protection unnoticed."""
    known = {
        name
        for one in commands()
        for option in options_of(one)
        for words in [one.path.split()]
        for name in (
            option_name(option),
            *(f"{' '.join(words[:i])} {last}" for i in (1, 2) for last in (option_name(option), "*")),
        )
    }
    assert (TYPED | NOT_IN_FOUND_FILE) - known == set()


def test_no_variable_sets_options_of_two_commands() -> None:
    """The specific variable of each option is its own."""
    names = [
        next(variables_of(one.path, option), "")
        for one in commands()
        for option in options_of(one)
        if option_name(option) != "config"
    ]
    assert [name for name, number in Counter(filter(None, names)).items() if number > 1] == []
    assert "RIGHTSIZE_ROLLOUT_PLAN_OUT" in names


@pytest.mark.slow
def test_a_wrong_value_of_a_variable_names_the_variable(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIGHTSIZE_PROPOSE_READS", "some")
    for words in (["propose"], ["config", "show", "propose"], ["config", "show"]):
        assert run(words) == 2
        assert "`RIGHTSIZE_PROPOSE_READS`" in capsys.readouterr().err


@pytest.mark.slow
def test_show_lists_what_is_set_for_all_commands_once(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / FILE).write_text(
        'color = "never"\n[review]\nplan = "p"\n[propose]\nsplit-groups = true\n', encoding="utf-8"
    )
    monkeypatch.setenv("RIGHTSIZE_QUIET", "0")
    monkeypatch.setenv("RIGHTSIZE_PROPOSE_SEPARATE_LAYERS", "no")
    monkeypatch.setenv("RIGHTSIZE_PROPOSE_SEPARATE_LAYRES", "no")
    assert run(["config", "show", "-o", "csv"]) == 0
    out, err = capsys.readouterr()
    assert [(row["command"], row["option"], row["value"]) for row in csv.DictReader(io.StringIO(out))] == [
        ("", "quiet", "false"),
        ("", "color", "never"),
        ("propose", "split-groups", "true"),
        ("propose", "separate-layers", "false"),
        ("review", "plan", "p"),
    ]
    assert "`RIGHTSIZE_PROPOSE_SEPARATE_LAYRES` sets no option" in err


@pytest.mark.slow
def test_a_plan_records_options_from_wherever_they_come(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `plan.json` has as options is the same for a file, a variable and the command line."""
    recorded: list[dict[str, Any]] = []

    def record(_db: Path, options: PlanOptions, *_: Any, **__: Any) -> None:
        recorded.append(options.as_json())
        raise InputError("no plan is wanted here")

    monkeypatch.setattr(propose_workflow, "propose_plan", record)
    typed = [
        "--reads",
        "none",
        "--max-break",
        "0.1",
        "--roles",
        "3",
        "--as-of",
        "2026-09-01",
        "--standby",
        "/a",
        "--min-days",
        "20",
    ]
    assert run(["propose", *typed]) == 5
    (folder / FILE).write_text(
        '[propose]\nreads = "none"\nmax-break = 0.1\nroles = 3\nas-of = 2026-09-01\nstandby = ["/a"]\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("RIGHTSIZE_PROPOSE_MIN_DAYS", "20")
    assert run(["propose"]) == 5
    (folder / FILE).unlink()
    monkeypatch.delenv("RIGHTSIZE_PROPOSE_MIN_DAYS")
    assert run(["propose"]) == 5
    assert recorded[0] == recorded[1] != recorded[2]
