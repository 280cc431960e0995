"""The scripts of `rightsize fetch-script`: both shells get one program and one list of requests, from the sources."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rightsize.cli.main import run
from rightsize.collect.sources import SOURCES
from rightsize.ingest.entities import ENTITY_SHAPES
from rightsize.ingest.entities.manifests import ManifestShape
from rightsize.ingest.whole_exports import read_query
from rightsize.model.errors import UsageError
from rightsize.workflow.data.exports import requests_of, write_exports_script

ONE = "11111111-1111-4111-8111-111111111111"
EXAMPLE = "a0000000-0000-4000-8000"
WANTED = (
    *("management_groups", "subscriptions", "resource_groups", "resources", "resource_graph", "providers"),
    *("role_assignments", "role_eligibility_instances", "role_assignment_instances", "role_assignment_requests"),
    *("role_eligibility_requests", "role_definitions", "deny_assignments", "operations", "activity_log"),
    *("users", "groups", "service_principals", "group_members", "app_role_assignments", "delegated_grants"),
    *("directory_roles", "directory_role_assignments", "policy_assignments", "diagnostic_settings", "sign_ins"),
)


def program_of(script: str, shell: str) -> str:
    ends = {"bash": r"<<'END_OF_PROGRAM'\n(.*)END_OF_PROGRAM\n\Z", "powershell": r"\$program = @'\n(.*?)'@\n"}
    found = re.search(ends[shell], script, flags=re.DOTALL)
    assert found
    return found[1]


@pytest.mark.slow
def test_both_shells_get_the_same_program() -> None:
    """PowerShell is not run here, so what it runs is what bash runs, letter by letter."""
    bash, powershell = (write_exports_script(shell=shell) for shell in ("bash", "powershell"))
    program = program_of(bash, "bash")
    assert program == program_of(powershell, "powershell")
    assert program.isascii()
    # `'@` at the start of a line would end the text for PowerShell, whatever follows.
    assert not re.search(r"^'@|^END_OF_PROGRAM", program, flags=re.MULTILINE)
    assert powershell.count("\n'@\n") == 1
    assert powershell.rstrip().endswith("exit $LASTEXITCODE")


def test_bash_can_read_the_script(tmp_path: Path) -> None:
    (tmp_path / "fetch.sh").write_text(write_exports_script(), encoding="utf-8")
    subprocess.run(["bash", "-n", str(tmp_path / "fetch.sh")], check=True)


def test_the_program_needs_nothing_but_an_older_python() -> None:
    """It is written for Python 3.9, and imports nothing but the standard library."""
    program = program_of(write_exports_script(), "bash")
    tree = ast.parse(program, feature_version=(3, 9))
    compile(tree, "program", "exec")
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names
    assert "print(" not in program


def test_every_request_is_one_of_the_collection_and_has_a_kind_that_load_knows() -> None:
    requests = requests_of()
    (manifest,) = (shape for shape in ENTITY_SHAPES if isinstance(shape, ManifestShape))
    assert {one.kind for one in requests} <= manifest.kinds
    assert {one.source for one in requests} <= {source.name for source in SOURCES}
    assert set(WANTED) <= {one.source for one in requests}
    assert not [one for one in requests if EXAMPLE in f"{one}" or "2000-01-01" in f"{one}" or "2020-01-01" in f"{one}"]
    assert len({(one.source, one.name, one.each, one.type) for one in requests}) == len(requests)


def test_the_three_listings_of_what_exists_are_unfiltered() -> None:
    """What the manifest says of them is what `load` takes for a whole listing."""
    asked = {one.source: one for one in requests_of(("resources", "resource_graph", "providers"))}
    for source, kind in (("resources", "resource_list"), ("providers", "providers")):
        found = read_query(f"az rest --method get --url '{asked[source].url.replace('{subscription}', ONE)}'")
        assert (found.kind, found.problem, found.subscriptions) == (kind, "", frozenset({ONE}))
    body = json.loads(asked["resource_graph"].body)
    assert body["subscriptions"] == ["{subscription}"]
    assert (read_query(body["query"]).kind, read_query(body["query"]).problem) == ("resource_graph", "")


def test_logs_are_asked_within_the_days_that_azure_keeps() -> None:
    logs = {(one.source, one.each): one for one in requests_of(("activity_log", "sign_ins"))}
    assert {one.each for one in logs.values() if one.source == "activity_log"} == {
        "subscription", "management_group", "tenant",
    }  # fmt: skip
    assert {(one.slice_days, one.reach_days) for (source, _), one in logs.items() if source == "activity_log"} == {
        (30, 89)
    }
    assert logs["sign_ins", "tenant"].reach_days == 30


@pytest.mark.nightly
def test_chosen_subscriptions_leave_out_what_is_above_them() -> None:
    requests = requests_of(with_groups=False)
    assert not [one for one in requests if one.each == "management_group"]
    assert [one.each for one in requests if one.source == "activity_log"] == ["subscription"]
    script = write_exports_script(subscriptions=[ONE.upper(), ONE])
    assert f'"subscriptions": ["{ONE}"]' in script


@pytest.mark.parametrize("text", ["x'; rm -rf ~; '", "$(id)", f"/subscriptions/{ONE}", ""])
def test_only_ids_of_subscriptions_come_into_a_script(text: str) -> None:
    with pytest.raises(UsageError, match="is not the id of a subscription"):
        write_exports_script(subscriptions=[text])


def test_a_source_that_the_script_cannot_ask_is_refused() -> None:
    with pytest.raises(UsageError, match="`exported_logs` is not a source that the script asks"):
        write_exports_script(sources=["exported_logs"])


@pytest.mark.slow
def test_the_command_writes_to_stdout_or_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fetch-script", "--shell", "powershell", "--days", "30"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("# Fetches what `rightsize load` reads")
    assert printed.err == ""
    assert run(["fetch-script", "--shell", "powershell", "--days", "30", "--out", str(tmp_path / "f.ps1")]) == 0
    assert (tmp_path / "f.ps1").read_text(encoding="utf-8") == printed.out
    assert '"days": 30,' in printed.out
    assert "az login" in capsys.readouterr().err
