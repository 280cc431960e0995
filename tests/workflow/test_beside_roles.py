"""Where roles of the service decide, the answer by roles is `unknown`; access policies of a vault answer themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import rightsize
from rightsize.cli.main import run
from rightsize.mcp.questions import Questions
from tests.cli.test_can_cli import ANN, BOB, DATA, SUBSCRIPTION, WRITER, ask, assignment, role

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
VAULT, CLUSTER = "Microsoft.KeyVault/vaults", "Microsoft.ContainerService/managedClusters"
SECRET, POD = f"{VAULT}/secrets/getSecret/action", f"{CLUSTER}/pods/read"
ITEM, QUERY = "Microsoft.DocumentDB/databaseAccounts/items/read", "Microsoft.Sql/servers/databases/query/action"
HSM_KEY = "Microsoft.KeyVault/managedHSMs/keys/sign/action"
WRITE_VAULT, METADATA = f"{VAULT}/write", "Microsoft.DocumentDB/databaseAccounts/readMetadata"
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "roles": (VAULT, {"enableRbacAuthorization": True, "accessPolicies": []}),
    "policies": (
        VAULT,
        {
            "enableRbacAuthorization": False,
            "accessPolicies": [
                {"tenantId": "t", "objectId": BOB.upper(), "permissions": {"secrets": ["get"]}},
                {"tenantId": "t", "objectId": BOB, "applicationId": ANN, "permissions": {"keys": ["get"]}},
            ],
        },
    ),
    "null": (VAULT, {"enableRbacAuthorization": None, "vaultUri": "u"}),
    "own": (CLUSTER, {"aadProfile": {"managed": True}, "disableLocalAccounts": False}),
    "azure": (CLUSTER, {"aadProfile": {"enableAzureRBAC": True}}),
}


def id_of(name: str, kind: str | None = None) -> str:
    return f"{GROUP}/providers/{kind or SETTINGS[name][0]}/{name}"


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ann may do anything by roles; only Bob has an access policy. Nothing is known of the settings of `bare`."""
    folder = tmp_path_factory.mktemp("exports")
    resources = [
        {"id": id_of(name), "name": name, "type": kind, "location": "west", "properties": properties}
        for name, (kind, properties) in SETTINGS.items()
    ]
    bare = {"id": id_of("bare", VAULT), "name": "bare", "type": VAULT, "location": "west"}
    documents: dict[str, Any] = {
        "assignments.json": [assignment(1, ANN, DATA, GROUP), assignment(2, ANN, WRITER, GROUP)],
        "roles.json": [
            role(DATA, "Data", dataActions=["*", SECRET, POD, ITEM, QUERY, HSM_KEY]),
            role(WRITER, "Writer", actions=["*", WRITE_VAULT, METADATA]),
        ],
        "resources.json": {"value": resources},
        "bare.json": {"value": [bare]},
        "users.json": {
            "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users",
            "value": [{"id": BOB, "displayName": "Bob", "userPrincipalName": "bob@example.com"}],
        },
    }
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document))
    path = folder / "store.duckdb"
    assert run(["load", *(str(folder / name) for name in documents), "--db", str(path), "-q", "-o", "json"]) == 0
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operation", "scope", "allowed", "reason"),
    [
        (SECRET, id_of("roles"), "yes", None),
        (SECRET, id_of("policies"), "no", None),
        (SECRET, id_of("policies").upper() + "/secrets/s", "no", None),
        (SECRET, id_of("null"), "unknown", "which access policies it has"),
        (SECRET, id_of("bare", VAULT), "unknown", "whether roles or access policies decide"),
        (HSM_KEY, id_of("hsm", "Microsoft.KeyVault/managedHSMs"), "unknown", "local roles decide"),
        (SECRET, GROUP, "yes", None),
        (WRITE_VAULT, id_of("policies"), "yes", None),
        (POD, id_of("own"), "unknown", "does not use Azure RBAC for Kubernetes"),
        (POD, id_of("own"), "unknown", "local accounts open it, too"),
        (POD, id_of("azure"), "yes", None),
        (ITEM, id_of("c", "Microsoft.DocumentDB/databaseAccounts"), "unknown", "accounts of the service decide"),
        (METADATA, id_of("c", "Microsoft.DocumentDB/databaseAccounts"), "unknown", "accounts of the service decide"),
        (QUERY, id_of("s", "Microsoft.Sql/servers") + "/databases/d", "unknown", "accounts of the service decide"),
    ],
)
def test_roles_answer_only_where_they_decide(
    db: Path, capsys: pytest.CaptureFixture[str], operation: str, scope: str, allowed: str, reason: str | None
) -> None:
    row, _ = ask(capsys, db, "can", ANN, operation, "--at", scope)
    assert row["allowed"] == allowed
    assert (row["unknown"] is None) == (reason is None)
    assert reason is None or reason in row["unknown"]
    assert bool(row["because"]) == (allowed == "yes")


@pytest.mark.slow
def test_a_policy_answers_where_it_decides(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bob has a policy for secrets; through Ann's application alone for keys; roles count in the other vault only."""
    row, _ = ask(capsys, db, "can", BOB, SECRET, "--at", id_of("policies") + "/secrets/s", "--exit-code")
    assert (row["allowed"], row["because"][0]["role_name"]) == ("yes", "access policy: secrets get")
    row, _ = ask(capsys, db, "can", BOB, f"{VAULT}/keys/read", "--plane", "data", "--at", id_of("policies"))
    assert row["allowed"] == "conditional"
    assert ANN in row["because"][0]["condition"]
    row, _ = ask(capsys, db, "can", BOB, f"{VAULT}/secrets/setSecret/action", "--at", id_of("policies"))
    assert row["allowed"] == "no"
    ask(capsys, db, "can", BOB, SECRET, "--at", id_of("roles"), "--exit-code", code=3)


@pytest.mark.slow
def test_an_unknown_model_names_the_command_that_says_it(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row, _ = ask(capsys, db, "can", ANN, SECRET, "--at", id_of("bare", VAULT), "--exit-code", code=6)
    ((command,),) = [(lack["command"],) for lack in row["lacks"]]
    assert command == f"az keyvault show --subscription {SUBSCRIPTION} --name bare -o json"
    rows, _ = ask(capsys, db, "who-can", SECRET, "--at", id_of("bare", VAULT), "--exit-code", code=6)
    assert {row["allowed"] for row in rows} == {"unknown"}


@pytest.mark.slow
def test_a_batch_answers_so_without_an_error(db: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    questions = [{"principal_id": ANN, "operation": SECRET, "scope": id_of(name)} for name in ("policies", "roles")]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, questions)))
    rows, _ = ask(capsys, db, "can", "--batch", str(tmp_path / "q.jsonl"))
    assert [row["allowed"] for row in rows] == ["no", "yes"]


@pytest.mark.slow
def test_who_can_names_the_holders_of_policies(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever has the right by roles only is named as somebody whom a switch to roles would let in."""
    rows, err = ask(capsys, db, "who-can", SECRET, "--at", id_of("policies"))
    assert [(row["principal_id"], row["allowed"]) for row in rows] == [(BOB, "yes")]
    assert f"after a switch to roles these could secrets/getSecret/action: {ANN}" in " ".join(err.split())


def test_the_table_says_the_reason(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["can", ANN, SECRET, "--at", id_of("null"), "--db", str(db), "-o", "table"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("unknown ")
    assert "which access policies it has" in " ".join(out.split())


@pytest.mark.nightly
def test_programs_and_agents_get_the_same_answer(db: Path) -> None:
    store = rightsize.open(db, read_only=True)
    answer = store.can(BOB, SECRET, id_of("policies"))
    assert (answer.allowed, answer.because[0].role_name) == ("yes", "access policy: secrets get")
    questions = Questions(db, db, 10, 60)
    asked = questions.can(ANN, SECRET, id_of("bare", VAULT), None).document
    assert asked["answer"] == "unknown"
    assert questions.who_can(SECRET, id_of("policies"), None).document["is_complete"] is True
