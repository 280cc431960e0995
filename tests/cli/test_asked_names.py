"""Questions name people, operations and scopes as they are printed, or by a beginning; a misspelt one is an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.principals import NAMED
from rightsize.cli.main import run
from rightsize.model.errors import InputError, UsageError
from rightsize.store.connection import open_store
from rightsize.workflow.names import resolve_excluded, resolve_scopes

SUB = "/subscriptions/60000000-0000-4000-8000-000000000000"
GROUP = f"{SUB}/resourceGroups/rg-portal"
DATA = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/data1"
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
        for one, kind, name in (
            (SUB, "subscription", "Patient Portal"),
            (GROUP, "resource_group", None),
            (DATA, "resource", None),
        ):
            run_sql(
                "INSERT INTO base.scopes (folded, kind, display_name, parent, listed) "
                "VALUES (lower(?), ?, ?, '/', true)",
                [one, kind, name],
            )
            run_sql(
                "INSERT INTO base.scope_names (scope_key, folded, spelling, stale) VALUES (?, lower(?), ?, false)",
                [len(one), one, one],
            )
        for proposal, holder in (("0ab1f00d-1", ANNE), ("0ab99999-2", ANNA), ("graph-7", ANNE)):
            run_sql("INSERT INTO base.proposals (proposal_id, principal_ids) VALUES (?, ?)", [proposal, [holder]])
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


@pytest.mark.slow
@pytest.mark.many(4)
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


@pytest.mark.slow
def test_an_ambiguous_beginning_tells_the_candidates(ask: Ask) -> None:
    code, out, err = ask("can", "ann", WRITE, "--at", SUB)
    assert (code, out) == (2, "")
    assert "`ann` names 2 principals" in err
    assert f"{ANNA} (anna.berg@contoso.example), {ANNE} (anne.dahl@contoso.example)" in err


@pytest.mark.slow
@pytest.mark.parametrize("command", ["can", "explain", "reach", "contain"])
def test_a_misspelt_principal_is_told_by_the_nearest_name(ask: Ask, command: str) -> None:
    rest = (WRITE, "--at", SUB) if command == "can" else ()
    code, out, err = ask(command, "ana.berg@contoso.example", *rest)
    assert (code, out) == (5, "")
    assert "the nearest known are `anna.berg@contoso.example`" in err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["", "…", "nobody", "*", "%"])
def test_a_name_that_begins_nothing_names_nobody(ask: Ask, name: str) -> None:
    code, _, err = ask("can", name, WRITE, "--at", SUB)
    assert code == 5
    assert "no loaded principal is called" in err


@pytest.mark.slow
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


@pytest.mark.slow
def test_an_operation_that_a_role_spells_out_is_known(ask: Ask) -> None:
    code, out, _ = ask("who-can", ODD.upper(), "--at", SUB, "-o", "json")
    assert code == 0 and len(json.loads(out)) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scope", "near"),
    [
        (SUB[:-1] + "1", SUB),
        ("Patient Porta", "Patient Portal"),
    ],
)
def test_an_unknown_scope_is_an_error_with_the_nearest(ask: Ask, scope: str, near: str) -> None:
    for words in (["who-can"], ["can", "anna"]):
        code, out, err = ask(*words, WRITE, "--at", scope)
        assert (code, out) == (5, "")
        assert near in err


@pytest.mark.slow
@pytest.mark.many(4)
@pytest.mark.parametrize(
    "scope", ["/", SUB, SUB.upper(), f"{SUB}/", GROUP, VM, f"{SUB}/resourceGroups/new", VM.replace("rg-portal", "new")]
)
def test_a_scope_below_a_known_subscription_needs_no_listing(ask: Ask, scope: str) -> None:
    """What is granted above counts there, whether or not a listing names the place."""
    assert ask("who-can", WRITE, "--at", scope)[0] == 0


@pytest.mark.slow
@pytest.mark.many(3)
@pytest.mark.parametrize(
    ("name", "scope"),
    [
        ("patient portal", SUB),
        ("rg-portal", GROUP),
        (SUB.rpartition("/")[2], SUB),
        ("Patient Portal/rg-portal", GROUP),
        ("patient portal/RG-PORTAL/data1", DATA),
        ("rg-portal/data1", DATA),
    ],
)
def test_a_scope_is_named_by_a_name_that_is_printed(ask: Ask, name: str, scope: str) -> None:
    code, out, _ = ask("can", "anna", WRITE, "--at", name, "-o", "json")
    assert (code, json.loads(out)["scope"]) == (0, scope)


@pytest.mark.nightly
def test_a_batch_answers_what_it_can_and_says_what_it_does_not_know(ask: Ask, tmp_path: Path) -> None:
    """A misspelt name is no `no`; the other questions are answered all the same."""
    questions = [
        (ANNA, WRITE, SUB, None),
        ("anna", WRITE, "patient portal/rg-portal", None),
        (ANNA, "Microsoft.Compute/virtualMachines/wirte", SUB, WRITE),
        (ANNA, WRITE, SUB[:-1] + "1", SUB),
        (ANNA, WRITE, "Patient Porta", "Patient Portal"),
        ("ann", WRITE, SUB, ANNE),
        ("nobody", WRITE, SUB, "give an object id"),
    ]
    lines = [json.dumps({"principal_id": who, "operation": what, "scope": at}) for who, what, at, _ in questions]
    (tmp_path / "q.jsonl").write_text("\n".join(lines), encoding="utf-8")
    code, out, err = ask("can", "--batch", str(tmp_path / "q.jsonl"), "-o", "json")
    rows = json.loads(out)
    assert (code, [row["allowed"] for row in rows]) == (5, ["yes"] * 2 + ["unknown"] * 5)
    assert rows[1]["scope"] == GROUP
    assert "5 of 7 questions" in err
    for row, (*_, near) in zip(rows, questions, strict=True):
        assert (near in row["unknown"]) if near else (row["unknown"] is None)
    (tmp_path / "q.jsonl").write_text("\n".join(lines[:2]), encoding="utf-8")
    assert ask("can", "--batch", str(tmp_path / "q.jsonl"))[0] == 0
    told = ask("can", "--batch", str(tmp_path / "q.jsonl"), "-o", "csv")
    assert told[1].splitlines()[0].endswith(",depends_on_reading,unknown,lacks") and "next step" not in told[2]


@pytest.mark.nightly
def test_the_id_of_a_proposal_means_its_holder(ask: Ask) -> None:
    """By a beginning that only proposals about one holder have; a principal of the name comes first."""
    for name in ("0ab1f00d-1", "0ab1f", "graph-7"):
        code, out, _ = ask("explain", name, "-o", "json")
        assert (code, json.loads(out)["identity"]["principal_id"]) == (0, ANNE)
    code, _, err = ask("explain", "0ab")
    assert code == 5
    assert "no loaded principal is called `0ab`" in err


@pytest.mark.slow
def test_options_of_a_plan_take_scopes_and_people_as_they_are_printed(store: Path) -> None:
    with open_store(store, read_only=True) as opened:
        inputs = Inputs.of(**{name: opened.table(name) for name in (*NAMED, "role_definitions")})
        asked = ("anna", "Patient Portal/rg-portal", "machines", "nobody", SUB, "ANNE.DAHL@contoso.example")
        found = resolve_excluded(opened, inputs, asked)
        assert found == (ANNA, GROUP, "machines", "nobody", SUB, "ANNE.DAHL@contoso.example")
        with pytest.raises(UsageError, match="names 2 principals"):
            resolve_excluded(opened, inputs, ["ann"])
        assert resolve_scopes(opened, ["rg-portal", SUB]) == (GROUP, SUB)
        with pytest.raises(InputError, match="no loaded scope is called so"):
            resolve_scopes(opened, ["rg-porta"])


@pytest.mark.nightly
def test_a_declared_log_may_name_its_scope(store: Path, tmp_path: Path) -> None:
    copied = tmp_path / "s.duckdb"
    copied.write_bytes(store.read_bytes())
    covers = ["--covers", "2026-01-01..2026-01-09", "--source", "activity_log"]
    (tmp_path / "a.json").write_text("[]", encoding="utf-8")
    for name, code in (("patient portal", 0), ("Patient Porta", 5)):
        assert run(["load", str(tmp_path / "a.json"), *covers, "--scope", name, "--db", str(copied), "-q"]) == code
    with open_store(copied, read_only=True) as opened:
        assert opened.table("declared_windows")["scope"].to_list() == [SUB]


@pytest.mark.nightly
def test_what_who_can_prints_explain_and_can_take(ask: Ask) -> None:
    """Ids, names and scopes go round."""
    rows = json.loads(ask("who-can", WRITE, "--at", "rg-portal", "-o", "json")[1])
    assert {row["principal_id"] for row in rows} == {ANNA, ANNE, APP}
    for row in rows:
        for name in (row["principal_id"], row["name"], f"{row['name']} ({row['principal_id']})"):
            code, out, _ = ask("can", name, row["operation"], "--at", row["because"][0]["scope"], "-o", "json")
            assert (code, json.loads(out)["principal_id"]) == (0, row["principal_id"])


@pytest.mark.slow
@pytest.mark.many(4)
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


@pytest.mark.nightly
def test_a_folder_with_nothing_usable_is_an_input_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    db = ["--db", str(tmp_path / "s.duckdb")]
    assert run(["load", str(folder), *db]) == 5
    (folder / "x.txt").write_text("hello", encoding="utf-8")
    assert run(["load", str(folder), *db]) == 5
    assert "cannot recognise" in capsys.readouterr().err
