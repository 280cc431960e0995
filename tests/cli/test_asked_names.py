"""Questions name people, operations and scopes as they are printed, or by a beginning; a misspelt one is an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rightsize.cli.main import run
from rightsize.store.connection import open_store

SUB = "/subscriptions/60000000-0000-4000-8000-000000000000"
GROUP = f"{SUB}/resourceGroups/rg-portal"
VM = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/vm1"
ANNA, ANNE, APP = (f"{n}0000000-0000-4000-8000-000000000000" for n in "123")
ROLE = "b0000000-0000-4000-8000-000000000000"
WRITE = "Microsoft.Compute/virtualMachines/write"
ODD = "Contoso.Odd/things/poke/action"

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people whose names begin alike, an application, one subscription with one named resource group."""
    path = tmp_path_factory.mktemp("names") / "s.duckdb"
    with open_store(path, read_only=False) as opened:
        run_sql = opened.connection.execute
        for id_, kind, upn, name, app in (
            (ANNA, "User", "anna.berg@contoso.example", "Anna Berg", None),
            (ANNE, "User", "anne.dahl@contoso.example", "Anne Dahl", None),
            (APP, "ServicePrincipal", None, "Portal Deployer", "a9000000-0000-4000-8000-000000000000"),
        ):
            run_sql(
                "INSERT INTO base.principals (principal_id, principal_type, user_principal_name, display_name, app_id, "
                "listed) VALUES (?, ?, ?, ?, ?, true)",
                [id_, kind, upn, name, app],
            )
            run_sql(
                "INSERT INTO base.role_assignments (role_assignment_id, state, principal_id, principal_type, "
                "role_definition_id, scope) VALUES (?, 'active', ?, ?, ?, ?)",
                [f"c{id_[1:]}", id_, kind, ROLE, SUB],
            )
        permissions = json.dumps([{"actions": ["Microsoft.Compute/*", ODD]}])
        run_sql(
            "INSERT INTO base.role_definitions (role_definition_id, role_name, role_type, permissions) "
            "VALUES (?, 'Machines', 'CustomRole', ?)",
            [ROLE, permissions],
        )
        for one, kind, name in ((SUB, "subscription", "Patient Portal"), (GROUP, "resource_group", None)):
            run_sql(
                "INSERT INTO base.scopes (folded, kind, display_name, parent, listed) "
                "VALUES (lower(?), ?, ?, '/', true)",
                [one, kind, name],
            )
            run_sql(
                "INSERT INTO base.scope_names (scope_key, folded, spelling, stale) VALUES (?, lower(?), ?, false)",
                [len(one), one, one],
            )
        for operation in (WRITE, "Microsoft.Compute/virtualMachines/read", "Microsoft.Network/virtualNetworks/read"):
            run_sql("INSERT INTO base.operations (operation, is_data_action) VALUES (?, false)", [operation])
    return path


@pytest.fixture
def ask(store: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    def asked(*words: str) -> tuple[int, str, str]:
        code = run([*words, "--db", str(store)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return asked


@pytest.mark.parametrize(
    ("name", "principal"),
    [
        ("anna", ANNA),
        ("ANNE.D", ANNE),
        ("Portal", APP),
        (ANNA[:8], ANNA),
        ("a9000000", APP),
        ("Portal De…yer", APP),
        ("An…Dahl", ANNE),
        (f"Anna Berg ({ANNA})", ANNA),
        (f"somebody else ({ANNE})", ANNE),
    ],
)
def test_a_principal_is_named_by_any_unique_beginning_and_as_it_is_printed(ask: Ask, name: str, principal: str) -> None:
    code, out, _ = ask("can", name, WRITE, "--at", SUB, "-o", "json")
    assert (code, json.loads(out)["principal_id"]) == (0, principal)


def test_an_ambiguous_beginning_tells_the_candidates(ask: Ask) -> None:
    code, out, err = ask("can", "ann", WRITE, "--at", SUB)
    assert (code, out) == (2, "")
    assert "`ann` names 2 principals" in err
    assert f"{ANNA} (anna.berg@contoso.example), {ANNE} (anne.dahl@contoso.example)" in err


@pytest.mark.parametrize("name", ["", "…", "nobody", "*", "%"])
def test_a_name_that_begins_nothing_names_nobody(ask: Ask, name: str) -> None:
    code, _, err = ask("can", name, WRITE, "--at", SUB)
    assert code == 2
    assert "no loaded principal is called" in err


@pytest.mark.parametrize(
    ("operation", "near"),
    [
        ("Microsoft.Compute/virtualMachines/wirte", WRITE),
        ("Microsoft.Compte/virtualMachines/write", WRITE),
        ("microsoft.network/virtualnetwork/read", "Microsoft.Network/virtualNetworks/read"),
    ],
)
def test_an_unknown_operation_is_an_error_with_the_nearest(ask: Ask, operation: str, near: str) -> None:
    for words in (["who-can"], ["can", "anna"]):
        code, out, err = ask(*words, operation, "--at", SUB)
        assert (code, out) == (5, "")
        assert f"the nearest known are `{near}`" in err


def test_an_operation_that_a_role_spells_out_is_known(ask: Ask) -> None:
    code, out, _ = ask("who-can", ODD.upper(), "--at", SUB, "-o", "json")
    assert code == 0 and len(json.loads(out)) == 3


@pytest.mark.parametrize(
    ("scope", "near"),
    [
        (SUB[:-1] + "1", SUB),
        (f"{SUB}/resourceGroups/rg-porta", GROUP.lower()),
        (f"{SUB}/resourceGroups/rg-porta/providers/Microsoft.Compute/virtualMachines/vm1", GROUP.lower()),
        ("Patient Porta", "Patient Portal"),
    ],
)
def test_an_unknown_scope_is_an_error_with_the_nearest(ask: Ask, scope: str, near: str) -> None:
    for words in (["who-can"], ["can", "anna"]):
        code, out, err = ask(*words, WRITE, "--at", scope)
        assert (code, out) == (5, "")
        assert near in err


@pytest.mark.parametrize("scope", ["/", SUB, SUB.upper(), f"{SUB}/", GROUP, VM])
def test_a_scope_is_known_where_something_names_it_or_nothing_is_listed_beside_it(ask: Ask, scope: str) -> None:
    """No machine is listed in the group, so any machine may be there."""
    assert ask("who-can", WRITE, "--at", scope)[0] == 0


@pytest.mark.parametrize(
    ("name", "scope"), [("patient portal", SUB), ("rg-portal", GROUP), (SUB.rpartition("/")[2], SUB)]
)
def test_a_scope_is_named_by_a_name_that_is_printed(ask: Ask, name: str, scope: str) -> None:
    code, out, _ = ask("can", "anna", WRITE, "--at", name, "-o", "json")
    assert (code, json.loads(out)["scope"]) == (0, scope)


def test_a_batch_is_answered_as_it_is_asked(ask: Ask, tmp_path: Path) -> None:
    """Programs ask by id; a line that nothing knows gets an answer, as before."""
    lines = tmp_path / "q.jsonl"
    lines.write_text(json.dumps({"principal_id": ANNA, "operation": "Contoso.None/x/read", "scope": SUB}) + "\n")
    code, out, _ = ask("can", "--batch", str(lines), "-o", "json")
    assert (code, json.loads(out)[0]["allowed"]) == (0, "no")


def test_what_who_can_prints_explain_and_can_take(ask: Ask) -> None:
    """Ids, names and scopes go round."""
    rows = json.loads(ask("who-can", WRITE, "--at", "rg-portal", "-o", "json")[1])
    assert {row["principal_id"] for row in rows} == {ANNA, ANNE, APP}
    for row in rows:
        for name in (row["principal_id"], row["name"], f"{row['name']} ({row['principal_id']})"):
            code, out, _ = ask("can", name, row["operation"], "--at", row["because"][0]["scope"], "-o", "json")
            assert (code, json.loads(out)["principal_id"]) == (0, row["principal_id"])


@pytest.mark.parametrize(
    "words",
    [
        ["analyze"],
        ["propose"],
        ["report"],
        ["reach"],
        ["explain", "x"],
        ["check"],
        ["can", "x", WRITE, "--at", "/"],
        ["who-can", WRITE, "--at", "/"],
    ],
)
def test_an_empty_store_is_an_input_error(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_store(tmp_path / "e.duckdb", read_only=False):
        pass
    assert run([*words, "--db", "e.duckdb"]) == 5
    assert "nothing is loaded into this store" in capsys.readouterr().err


def test_a_folder_with_nothing_usable_is_an_input_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    db = ["--db", str(tmp_path / "s.duckdb")]
    assert run(["load", str(folder), *db]) == 5
    (folder / "x.txt").write_text("hello", encoding="utf-8")
    assert run(["load", str(folder), *db]) == 5
    assert "cannot recognise" in capsys.readouterr().err
