"""Each command ends with one next step that is true of the store, and with none where a program reads the output."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rightsize.cli.main import run
from rightsize.cli.options import OutputFormat
from rightsize.cli.registry import entries_below
from rightsize.store.connection import open_store
from rightsize.workflow.data.next_command import CATALOGUE, EXPORTS, LOGS, ROLES, command_after, command_after_review

SUB = "/subscriptions/60000000-0000-4000-8000-000000000000"
ANNA, ROLE, ASSIGNED = (f"{n}0000000-0000-4000-8000-000000000000" for n in "123")
WRITE = "Microsoft.Compute/virtualMachines/write"

Ask = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one assignment, its role and a catalogue, without a log, and a file of a role and of pairs."""
    path = tmp_path_factory.mktemp("steps")
    role = {
        "name": ROLE,
        "id": f"{SUB}/providers/Microsoft.Authorization/roleDefinitions/{ROLE}",
        "roleName": "Machines",
        "roleType": "CustomRole",
        "description": "",
        "permissions": [{"actions": [WRITE], "notActions": [], "dataActions": [], "notDataActions": []}],
        "assignableScopes": [SUB],
    }
    (path / "role.json").write_text(json.dumps(role), encoding="utf-8")
    (path / "pairs.txt").write_text("anna read\nbert read\n", encoding="utf-8")
    with open_store(path / "s.duckdb", read_only=False) as opened:
        run_sql = opened.connection.execute
        run_sql(
            "INSERT INTO base.principals (principal_id, principal_type, user_principal_name, listed) "
            "VALUES (?, 'User', 'anna@contoso.example', true)",
            [ANNA],
        )
        run_sql(
            "INSERT INTO base.role_assignments (role_assignment_id, state, principal_id, principal_type, "
            "role_definition_id, scope) VALUES (?, 'active', ?, 'User', ?, ?)",
            [ASSIGNED, ANNA, ROLE, SUB],
        )
        run_sql(
            "INSERT INTO base.role_definitions (role_definition_id, role_name, role_type, permissions) "
            "VALUES (?, 'Machines', 'CustomRole', ?)",
            [ROLE, json.dumps(role["permissions"])],
        )
        run_sql("INSERT INTO base.operations (operation, is_data_action) VALUES (?, false)", [WRITE])
    return path


@pytest.fixture
def ask(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RIGHTSIZE_DB", "s.duckdb")

    def asked(*words: str) -> tuple[int, str, list[str]]:
        code = run(list(words))
        said = capsys.readouterr()
        return code, said.out, said.err.splitlines()

    return asked


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "step"),
    [
        (("analyze",), LOGS),
        (("status",), LOGS),
        (("catalog", "status"), LOGS),
        (("can", "anna", WRITE, "--at", SUB), f"rightsize explain {ANNA}"),
        (("who-can", WRITE, "--at", SUB), f"rightsize explain {ANNA}"),
        (("explain", "anna"), "rightsize "),
        (("check",), "rightsize "),
        (("signals",), "rightsize analyze"),
        (("queries", "list"), "rightsize queries run "),
        (("mine", "pairs.txt"), "rightsize mine pairs.txt --out roles.jsonl"),
        (("export", "--out", "e"), "rightsize report"),
        (("roles", "expand", "role.json"), "rightsize roles convert role.json --to bicep"),
        (("roles", "diff", "role.json", "role.json"), "rightsize roles expand role.json"),
        (("roles", "contains", "role.json", "role.json"), "rightsize roles diff role.json role.json"),
    ],
)
def test_a_command_ends_with_one_next_step(ask: Ask, words: tuple[str, ...], step: str) -> None:
    code, _, told = ask(*words)
    assert code == 0
    found = [line for line in told if "next step: " in line]
    assert found == told[-1:]
    assert found[0].startswith(f"next step: {step}")
    begun = shlex.split(found[0].removeprefix("next step: "))
    assert begun[0] == "az" or begun[1] in entries_below("")
    quiet = ask(*words, "-q")
    assert quiet[0] == code and quiet[2] == []


@pytest.mark.nightly
@pytest.mark.parametrize("output", ["json", "jsonl", "csv", "tsv", "markdown"])
def test_programs_get_no_next_step(ask: Ask, output: str) -> None:
    for words in (("can", "anna", WRITE, "--at", SUB), ("status",), ("roles", "expand", "role.json")):
        code, out, told = ask(*words, "-o", output)
        assert code == 0 and out
        assert not any("next step" in line for line in told)
    assert OutputFormat(output) is not OutputFormat.TABLE


@pytest.mark.nightly
def test_sql_has_no_next_step(ask: Ask) -> None:
    assert ask("sql", "SELECT 1 AS n")[2] == []


@pytest.mark.nightly
def test_what_is_missing_comes_before_what_it_stops(tmp_path: Path) -> None:
    db, plan = tmp_path / "s.duckdb", tmp_path / "plan"
    assert command_after(db, plan) == EXPORTS
    steps = [
        ("SELECT 1", EXPORTS),
        (
            "INSERT INTO base.role_assignments (role_assignment_id, state, principal_id, role_definition_id, scope) "
            f"VALUES ('a', 'active', '{ANNA}', '{ROLE}', '{SUB}')",
            ROLES,
        ),
        (
            f"INSERT INTO base.role_definitions (role_definition_id, role_name) VALUES ('{ROLE.upper()}', 'x')",
            CATALOGUE,
        ),
        ("INSERT INTO base.operations (operation) VALUES ('a/b/read')", LOGS),
        (
            "INSERT INTO base.coverage (source, category, scope, day, state) "
            f"VALUES ('activity_log', 'Administrative', '{SUB}', DATE '2026-01-01', 'observed')",
            "rightsize propose",
        ),
    ]
    for statement, step in steps:
        with open_store(db, read_only=False) as opened:
            opened.connection.execute(statement)
        assert command_after(db, plan) == step


@pytest.mark.slow
def test_a_store_that_was_planned_leads_to_the_plan_until_it_changes(
    monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path
) -> None:
    state = dict.fromkeys(("has_rbac", "has_grants", "has_roles", "has_catalogue", "has_logs"), True)
    monkeypatch.setattr("rightsize.workflow.data.next_command.state_of", lambda _: {**state, "is_planned": True})
    db = folder / "s.duckdb"
    assert command_after(db, tmp_path) == "rightsize next"
    assert command_after(db, tmp_path / "none") == "rightsize propose"
    assert command_after(db, tmp_path, is_changed=True) == "rightsize propose"


def test_a_review_leads_to_what_is_left_and_then_to_the_rollout() -> None:
    plan, usual = Path("reports/plan"), Path("review.jsonl")
    assert command_after_review({"open": 1, "accepted": 3}, plan, usual, usual) == "rightsize review reports/plan"
    assert "--review o.jsonl" in command_after_review({"outdated": 1}, plan, Path("o.jsonl"), usual)
    assert command_after_review({"accepted": 3}, plan, usual, usual).startswith("rightsize rollout plan reports/plan ")
    assert command_after_review({"rejected": 3}, plan, usual, usual) == "rightsize propose --review review.jsonl"


@pytest.mark.nightly
def test_words_of_a_terminal_stay_whole_and_the_next_step_stays_one_line(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    told = ask("analyze")[2]
    assert told[-1].startswith(f"next step: {LOGS}")
    assert len(told) > 4
    assert all(len(line) <= 40 for line in told[:-1] if "\x1b[K" not in line)
