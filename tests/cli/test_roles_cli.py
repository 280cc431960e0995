"""`rightsize roles`: containment, difference and expansion on files, with the JSON and exit codes of the contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run

READER = {"Name": "Reader", "Actions": ["*/read"], "AssignableScopes": ["/"]}
WRITER = {"roleName": "Writer", "name": "8311e382-0749-4cb8-b61a-304f252e45ec", "permissions": [
    {"actions": ["N.A/*"], "notActions": ["N.A/t/delete"], "dataActions": [], "notDataActions": []}]}  # fmt: skip
OPERATIONS = "operation,is_data_action\nN.A/t/read,false\nN.A/t/write,false\nN.A/t/delete,false\nN.B/t/read,false\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a reader, a file of both roles, and a catalogue."""
    (tmp_path / "reader.json").write_text(json.dumps(READER))
    (tmp_path / "both.json").write_text(json.dumps([READER, WRITER]))
    (tmp_path / "operations.csv").write_text(OPERATIONS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answer(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert run(["roles", *arguments, "-o", "json"]) == code
    return json.loads(capsys.readouterr().out)


def test_contains_answers_yes_without_a_witness(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A role contains itself, in whatever form it is written."""
    assert answer(capsys, "contains", "both.json#Reader", "reader.json") == {"contains": True, "witness": None}


@pytest.mark.slow
def test_contains_answers_no_with_a_witness_and_exit_3(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The witness is granted by the small side and not by the big one."""
    said = answer(capsys, "contains", "reader.json", "both.json", "--small-role", "WRITER", code=3)
    assert set(said) == {"contains", "witness"}
    assert not said["contains"]
    assert said["witness"]["plane"] == "control"
    assert said["witness"]["operation"].startswith("N.A/")
    assert not said["witness"]["operation"].endswith("/read")


@pytest.mark.slow
def test_pairs_are_answered_in_order(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Paths, names behind `#`, and lists of blocks, mixed; one JSON object a line with jsonl."""
    pairs = [
        {"big": "reader.json", "small": [{"actions": ["N/read"]}]},
        {"big": "both.json#Reader", "small": [{"actions": ["N/write"]}]},
        {"big": [], "small": []},
        {"big": [{"dataActions": ["*"]}], "small": [{"actions": ["*"]}]},
    ]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n\n" for pair in pairs))
    said = answer(capsys, "contains", "--pairs", "pairs.jsonl", code=3)
    assert [one["contains"] for one in said] == [True, False, True, False]
    assert run(["roles", "contains", "--pairs", "pairs.jsonl", "-o", "jsonl"]) == 3
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == said
    (folder / "pairs.jsonl").write_text(json.dumps(pairs[0]))
    assert len(answer(capsys, "contains", "--pairs", "pairs.jsonl")) == 1


@pytest.mark.slow
def test_paths_in_pairs_may_be_relative_to_their_file(folder: Path, capsys: pytest.CaptureFixture[str],
                                                      monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """A folder of roles with its file of pairs can be moved."""
    (folder / "pairs.jsonl").write_text(json.dumps({"big": "reader.json", "small": "reader.json"}))
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert answer(capsys, "contains", "--pairs", "../pairs.jsonl") == [{"contains": True, "witness": None}]


@pytest.mark.slow
@pytest.mark.many(5)
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["contains", "reader.json"], 2, "two roles are needed"),
        (["contains", "a", "b", "--pairs", "c"], 2, "`--pairs` takes no BIG"),
        (["contains", "both.json", "reader.json"], 5, "holds 2 roles, not one"),
        (["contains", "both.json#Nobody", "reader.json"], 5, "no role called `Nobody`"),
        (["contains", "nowhere.json", "reader.json"], 5, "cannot read `nowhere.json`"),
        (["contains", "operations.csv", "reader.json"], 5, "no valid JSON"),
        (["contains", "--pairs", "operations.csv"], 5, "line 1"),
        (["contains", "--pairs", "bad.jsonl"], 5, "line 2 of `bad.jsonl`"),
        (["expand", "reader.json"], 5, "no store"),
        (["expand", "reader.json", "--operations", "empty.csv"], 5, "names no operation"),
    ],
)
def test_mistakes_are_explained(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    """On stderr, with the exit code of their kind and nothing on stdout."""
    (folder / "empty.csv").write_text("operation,is_data_action\n")
    (folder / "bad.jsonl").write_text('{"big": [], "small": []}\n{"big": []}\n')
    assert run(["roles", *arguments]) == code
    out, err = capsys.readouterr()
    assert (out, "Traceback" in err) == ("", False)
    assert said in err


@pytest.mark.slow
def test_diff_shows_both_directions(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Witnesses over all strings always, the catalogue's operations where there is one."""
    said = answer(capsys, "diff", "both.json#Writer", "reader.json")
    assert said["only_a"]["operations"] is None
    assert [witness["plane"] for witness in said["only_a"]["witnesses"]] == ["control"]
    said = answer(capsys, "diff", "both.json#Writer", "reader.json", "--operations", "operations.csv")
    certain = {"plane": "control", "depends_on_reading": False}
    assert said["only_a"]["operations"] == [{"operation": "N.A/t/write"} | certain]
    assert said["only_b"]["operations"] == [{"operation": "N.B/t/read"} | certain]


@pytest.mark.slow
def test_expand_lists_what_a_role_grants(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From a CSV, and from what `az provider operation list` prints."""
    wanted = [
        {"operation": name, "plane": "control", "conditional": False, "depends_on_reading": False}
        for name in ("N.A/t/read", "N.A/t/write")
    ]
    assert answer(capsys, "expand", "both.json#Writer", "--operations", "operations.csv") == wanted
    names = ["N.A/t/write", "N.A/t/delete", "N.A/t/read"]
    listed = [{"name": name, "isDataAction": False, "displayName": "x"} for name in names]
    providers = [{"name": "N.A", "operations": listed[:1], "resourceTypes": [{"name": "t", "operations": listed[1:]}]}]
    (folder / "providers.json").write_text(json.dumps(providers))
    assert answer(capsys, "expand", "both.json#Writer", "--operations", "providers.json") == wanted


@pytest.mark.slow
def test_a_table_escapes_what_a_role_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A string of a role cannot move the cursor."""
    (folder / "hostile.json").write_text(json.dumps([{"actions": ["N/\x1b[2J\u202e/read"]}]))
    assert run(["roles", "contains", "both.json#Writer", "hostile.json"]) == 3
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out


@pytest.mark.slow
@pytest.mark.parametrize(("form", "name"), [("bicep", "x.bicep"), ("terraform", "x.tf"), ("json", "x.json")])
def test_convert_writes_what_is_read_again(
    folder: Path, capsys: pytest.CaptureFixture[str], form: str, name: str
) -> None:
    """A role in another form grants the same."""
    assert run(["roles", "convert", "both.json#Writer", "--to", form]) == 0
    (folder / name).write_text(capsys.readouterr().out, encoding="utf-8")
    assert answer(capsys, "contains", "both.json#Writer", name) == {"contains": True, "witness": None}
    assert answer(capsys, "contains", name, "both.json#Writer") == {"contains": True, "witness": None}


@pytest.mark.slow
def test_convert_refuses_what_a_form_cannot_say(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "two.json").write_text(json.dumps([{"actions": ["N.A/t/read"]}, {"actions": ["N.A/t/write"]}]))
    assert run(["roles", "convert", "two.json", "--to", "az"]) == 5
    assert "cannot express" in capsys.readouterr().err


@pytest.mark.slow
def test_a_difference_in_markdown_is_a_comment(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run(["roles", "diff", "reader.json", "both.json#Writer", "-o", "markdown", "--operations", "operations.csv"])
        == 0
    )
    out = capsys.readouterr().out
    assert out.startswith("### Role <code>Reader</code> becomes <code>Writer</code>\n")
    assert "| added | <code>N.A/t/write</code> | control | the catalogue |" in out


@pytest.mark.slow
def test_what_one_reading_alone_decides_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Azure does not say whether `ids/*/assign/action` allows `ids/assign/action`: no, with the reason; and listed."""
    monkeypatch.chdir(tmp_path)
    operation = "N.A/ids/assign/action"
    for name, text in (("star", "N.A/ids/*/assign/action"), ("plain", operation)):
        role = {"Name": name, "Actions": [text], "AssignableScopes": ["/"]}
        (tmp_path / f"{name}.json").write_text(json.dumps(role))
    (tmp_path / "operations.csv").write_text(f"operation,is_data_action\n{operation},false\n")
    doubtful = {"operation": operation, "plane": "control", "depends_on_reading": True}
    assert answer(capsys, "contains", "star.json", "plain.json", code=3) == {"contains": False, "witness": doubtful}
    assert run(["roles", "contains", "star.json", "plain.json"]) == 3
    assert "the answer no depends on the reading" in capsys.readouterr().err
    assert answer(capsys, "contains", "star.json", "star.json") == {"contains": True, "witness": None}
    listed = answer(capsys, "expand", "star.json", "--operations", "operations.csv")
    assert listed == [doubtful | {"conditional": False}]
    said = answer(capsys, "diff", "star.json", "plain.json", "--operations", "operations.csv")
    assert (said["only_a"]["operations"], said["only_b"]["operations"]) == ([], [doubtful])
    assert said["only_b"]["witnesses"] == [doubtful]
