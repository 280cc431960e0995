"""A command is one file and one line of the registry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rightsize.store.connection import open_store
from tests.additions.tree import Registration, with_addition

pytestmark = pytest.mark.slow


COMMAND = '''"""`rightsize assigned`: list the role assignments of a scope."""

from __future__ import annotations

from typing import Annotated

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.narration import say
from rightsize.store import sandbox

COLUMNS = ("role_assignment_id", "scope")
STATEMENT = "SELECT role_assignment_id, scope FROM role_assignments WHERE scope = $scope ORDER BY ALL"


@command(rows=True)
def assigned(
    scope: Annotated[str, typer.Argument(metavar="SCOPE", help="Scope of the assignments.")], *, common: Common
) -> None:
    """List the role assignments at a scope."""
    found = sandbox.run_statement(common.db, STATEMENT, {"scope": scope}, max_rows=1000, timeout=60.0)
    common.show(found.rows, COLUMNS)
    say(f"{len(found.rows)} role assignments")
    common.say_next(common.with_db("rightsize analyze"))
'''
LINE = Registration(
    path="rightsize/cli/registry.py",
    after='CommandEntry("sql", "Ask", "Run one SQL statement that reads the store.", "data:sql"),',
    text='    CommandEntry("assigned", "Ask", "List the role assignments at a scope.", "assigned:assigned"),',
)
SCOPE = "/subscriptions/60000000-0000-4000-8000-000000000000"
ASSIGNED = "30000000-0000-4000-8000-000000000000"


def test_a_command_is_one_file_and_one_line(tmp_path: Path) -> None:
    """It stands in the help, takes the options of all commands, and its errors have the exit codes of all."""
    tree = with_addition(tmp_path / "tree", "rightsize/cli/commands/assigned.py", COMMAND, LINE)
    with open_store(tree.root / "s.duckdb", read_only=False) as store:
        store.connection.execute(
            "INSERT INTO base.role_assignments (role_assignment_id, state, principal_id, role_definition_id, scope) "
            f"VALUES ('{ASSIGNED}', 'active', 'anna', 'reader', '{SCOPE}')"
        )
    listed = tree.run("--help", cwd=tree.root).stdout.partition("  sql ")[2].splitlines()
    assert listed[1].split(maxsplit=1) == ["assigned", "List the role assignments at a scope."]

    words = ("assigned", SCOPE, "--db", "s.duckdb")
    table = tree.run(*words, cwd=tree.root)
    assert table.stderr == "1 role assignments\nnext step: rightsize analyze --db s.duckdb\n"
    shown = tree.run(*words, "-o", "json", "-q", cwd=tree.root)
    assert (json.loads(shown.stdout), shown.stderr) == ([{"role_assignment_id": ASSIGNED, "scope": SCOPE}], "")
    assert "no such option: --colour" in tree.run(*words, "--colour", cwd=tree.root, code=2).stderr
