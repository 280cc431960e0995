"""`rightsize needs` and `load --declared`: what is asked, who would be refused, which roles, and what is stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run
from tests.cli.test_can_cli import assignment, role
from tests.iac.deployment_cases import resource, template

ROBOT, BUILDER = (f"{n}0000000-0000-4000-8000-000000000000" for n in "17")
OWN, HUB = (f"/subscriptions/{n}0000000-0000-4000-8000-000000000000" for n in "68")
GROUP = f"{OWN}/resourceGroups/rg"
SUBNET = f"{HUB}/resourceGroups/hub/providers/Microsoft.Network/virtualNetworks/v/subnets/s"
JOIN = "Microsoft.Network/virtualNetworks/subnets/join/action"
SITE = template(resource("Microsoft.Web/sites", "web", {"virtualNetworkSubnetId": SUBNET}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that may do anything with sites and deployments in its own group, and a file of what it deploys."""
    made = tmp_path_factory.mktemp("needs")
    (made / "main.json").write_bytes(SITE)
    documents: dict[str, Any] = {
        "assignments.json": [assignment(1, ROBOT, BUILDER, GROUP) | {"principalType": "ServicePrincipal"}],
        "roles.json": [
            role(BUILDER, "Builder", actions=["Microsoft.Web/*", "Microsoft.Resources/deployments/*"]),
        ],
        "apps.json": {
            "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#servicePrincipals",
            "value": [{"id": ROBOT, "appId": ROBOT, "displayName": "deploy", "servicePrincipalType": "Application"}],
        },
    }
    for name, document in documents.items():
        (made / name).write_text(json.dumps(document))
    assert run(["load", *(str(made / name) for name in documents), "--db", str(made / "store.duckdb"), "-q"]) == 0
    return made


def ask(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str, code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert run([*arguments, "--db", str(folder / "store.duckdb")]) == code
    out, err = capsys.readouterr()
    return out, err


def needs(capsys: pytest.CaptureFixture[str], folder: Path, *more: str, code: int = 0) -> Any:
    out, _ = ask(capsys, folder, "needs", str(folder / "main.json"), "--at", GROUP, *more, "-o", "json", code=code)
    return json.loads(out)


@pytest.mark.slow
def test_what_a_deployment_takes_is_a_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each row has operation, scope, resource and rule; no store is needed."""
    rows = needs(capsys, folder)

    assert {"operation", "scope", "resource", "rule"} <= set(rows[0])
    assert (JOIN, SUBNET) in {(row["operation"], row["scope"]) for row in rows}
    assert "Microsoft.Web/sites/write" in {row["operation"] for row in rows}


@pytest.mark.slow
def test_where_the_listings_are_not_whole_nothing_is_refused_for_certain(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A listing of assignments that is not complete may hide the access, and the answer is unknown: exit 6."""
    rows = needs(capsys, folder, "--by", "deploy", code=6)

    by_answer = {row["operation"]: row["allowed"] for row in rows}
    assert by_answer[JOIN] == "unknown"
    assert by_answer["Microsoft.Web/sites/write"] == "yes"


@pytest.mark.slow
def test_role_is_the_smallest_of_one_place(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A new role has what is asked at each place, and none of it more; `--out` writes it for ARM."""
    out = folder / "roles.json"
    found = needs(capsys, folder, "--role", "Deployer", "--out", str(out))

    actions = {
        one for made in found["roles"] for block in made["properties"]["permissions"] for one in block["actions"]
    }
    assert JOIN in actions
    assert not any("*" in one for one in actions)
    assert {row["scope"] for row in found["assignments"] if row["is_new"]} >= {SUBNET.partition("/providers/")[0]}
    assert json.loads(out.read_text())


@pytest.mark.slow
def test_declared_needs_are_stored_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same file again is a duplicate, and a changed one takes the place of what it declared before."""
    main, arguments = folder / "main.json", ("--for", "deploy", "--at", GROUP, "-o", "json")

    def counts() -> tuple[int, int]:
        out, _ = ask(capsys, folder, "load", "--declared", str(main), *arguments)
        (row,) = [one for one in json.loads(out) if one["source"] == "declared_needs"]
        return row["new"], row["duplicate"]

    def stored() -> list[dict[str, Any]]:
        out, _ = ask(capsys, folder, "sql", "SELECT operation, file, sha256 FROM declared_needs", "-o", "json")
        return list(json.loads(out))

    new, duplicate = counts()
    assert (new > 5, duplicate) == (True, 0)
    assert counts() == (0, new)
    before = {row["sha256"] for row in stored()}
    main.write_bytes(template(resource("Microsoft.Web/sites", "web")))
    counts()
    assert JOIN not in {row["operation"] for row in stored()}
    assert before.isdisjoint({row["sha256"] for row in stored()})
    main.write_bytes(SITE)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["needs", "FILE", "--by", "x", "--role", "r"], "`--role` not with `--by`"),
        (["needs", "FILE", "--out", "x"], "`--out` goes with `--role`"),
        (["needs", "FILE", "-o", "sarif"], "name who deploys"),
        (["load", "--declared", "FILE"], "`--declared` needs `--for`"),
    ],
)
def test_options_that_do_not_go_together(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    """A usage error names what is missing."""
    given = [str(folder / "main.json") if one == "FILE" else one for one in arguments]

    _, err = ask(capsys, folder, *given, code=2)

    assert says in err


@pytest.mark.parametrize("content", [None, "resource", "{}"])
def test_what_is_no_deployment_says_what_to_give_instead(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    """A folder, a file of Terraform or other JSON: the error names the forms that it reads."""
    given = tmp_path / "main.tf"
    if content is None:
        given.mkdir()
    else:
        given.write_text(content)

    _, err = ask(capsys, folder, "needs", str(given), code=5)

    assert "terraform show -json" in err


@pytest.mark.parametrize(
    ("content", "says"),
    [("[]", "no file of parameters"), ('{"location": "x"}', "`location`"), ('{"tags": {"a": "b"}}', "`tags`")],
)
def test_parameters_that_are_none_are_not_called_the_template(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], content: str, says: str
) -> None:
    """The error is of the parameters, plain values too, and shows their form."""
    given = tmp_path / "parameters.json"
    given.write_text(content)

    _, err = ask(capsys, folder, "needs", str(folder / "main.json"), "--parameters", str(given), code=5)

    assert "its parameters" in err
    assert says in err
    assert '{"parameters"' in err
