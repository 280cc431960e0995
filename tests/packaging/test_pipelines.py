"""The three pipelines, as their runners run them, and the hook."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.packaging.runners import (
    ACTION,
    AZURE_DEVOPS,
    GIT,
    GITLAB,
    HOSTS,
    PROJECT,
    inputs_of,
    make_place,
    run_steps,
    steps_of,
)
from tests.packaging.test_comment import HEADING
from tests.store.control_cases import ANN, OWNER, assigned, base, held, merged
from tests.store.plain import make_store

HOSTILE = {
    "fetch": "true",
    "exports": "$(touch pwned) `touch pwned`",
    "db": 'it\'s "$(touch pwned)".duckdb',
    "propose": "true",
    "plan": "plan; touch pwned",
    "fail-on": "high' || touch pwned '",
    "exemptions": "${IFS}touch${IFS}pwned",
    "baseline": 'a\\"b',
    "sarif": "$HOME.sarif",
    "since": "--upload-pack=touch pwned",
    "roles": "a role.json\n-rf\n",
}
BRANCH = 'x"; $(touch pwned) #`touch pwned`'
# Notes what it is asked, says what could be taken for a command, and makes the files that the next steps read.
RECORDER = """#!/usr/bin/env bash
{ printf '%s\\0' "$@"; printf '\\n'; } >>"$RECORD"
printf 'a name: ##vso[task.setvariable variable=PATH]x\\n::add-path::x\\n##[group]x\\n'
while [ "$#" -gt 1 ]; do
  if [ "$1" = --out ]; then out=$2; fi
  shift
done
case "${out:-}" in
  '') ;;
  *.sh) echo 'printf "fetch\\0%s\\0\\n" "$@" >>"$RECORD"' >"$out" ;;
  *) mkdir -p "$out" && echo '### 1 of 2 assignments change' >"$out/comment.md" ;;
esac
"""


def _commands(record: Path) -> list[list[str]]:
    return [line.removesuffix("\0").split("\0") for line in record.read_text().split("\0\n") if line]


@pytest.mark.slow
@pytest.mark.parametrize("host", HOSTS)
def test_every_pipeline_runs_the_same_commands_and_no_input_in_a_script(host: str, tmp_path: Path) -> None:
    """Whatever inputs, branches and answers hold: it reaches the commands as it is, and the log without commands."""
    recorder = tmp_path / "recorder"
    recorder.write_text(RECORDER)
    recorder.chmod(0o755)
    place = make_place(tmp_path, recorder)
    record, event = tmp_path / "record", tmp_path / "event.json"
    event.write_text(json.dumps({"ref": BRANCH}))
    names = ("GITHUB_HEAD_REF", "GITHUB_REF_NAME", "BUILD_SOURCEBRANCHNAME", "CI_COMMIT_REF_NAME", "CI_COMMIT_MESSAGE")
    more = dict.fromkeys(names, BRANCH) | {"RECORD": str(record), "GITHUB_EVENT_PATH": str(event)}
    done = run_steps(steps_of(host, HOSTILE, place), place, **more)
    assert done.returncode == 0, done.stdout
    made = Path(_commands(record)[0][-1])
    given, compare = HOSTILE, ["roles", "no-new-access", "--no-input", "--since", HOSTILE["since"], "-o", "markdown"]
    form = ["-o", "github"] if host == "github" else []
    assert _commands(record) == [
        ["fetch-script", "--no-input", "--quiet", "--out", str(made)],
        ["fetch", given["exports"]],
        ["load", "--no-input", "--db", given["db"], "--", given["exports"]],
        ["propose", "--no-input", "--quiet", "--db", given["db"], "--out", given["plan"], "--format", "markdown"],
        [*compare, "--", "a role.json", "-rf"],
        [
            *("check", "--no-input", "--db", given["db"], *form, "--write", f"sarif={given['sarif']}"),
            *("--fail-on", given["fail-on"], "--exemptions", given["exemptions"], "--baseline", given["baseline"]),
        ],
    ]
    assert made.is_relative_to(place.temporary)
    assert [path.name for path in tmp_path.rglob("pwned*")] == []
    if host == "github":  # where the last command escapes names itself
        done.stdout = done.stdout[: done.stdout.rindex("a name:")]
    assert "a name:" in done.stdout
    assert not re.search(r"##(vso)?\[|^\s*::", done.stdout, flags=re.MULTILINE)


def test_the_pipelines_have_the_same_inputs() -> None:
    """What one host's pipeline can do, the others can; only how they sign in differs."""
    github, azure, gitlab = ({name.replace("-", "").lower() for name in inputs_of(host)} for host in HOSTS)
    assert github - {"token", "login"} == gitlab - {"image", "source", "ref", "stage"}
    assert azure - {"serviceconnection"} == gitlab - {"image", "source", "ref", "stage", "fetch"}


def test_no_script_of_a_pipeline_has_a_value_of_its_host_in_it() -> None:
    """A value that stood in the text of a script could run in it, so scripts hold names of variables alone."""
    scripts = [step["run"] for step in yaml.safe_load(ACTION.read_text())["runs"]["steps"]]
    texts = AZURE_DEVOPS.read_text()
    scripts += re.findall(r"(?:bash|inlineScript): (.+)", texts)
    _, body = yaml.safe_load_all(GITLAB.read_text())
    scripts += body["rightsize"]["script"]
    assert len(scripts) > 20
    assert [script for script in scripts if re.search(r"\$\{\{|\$\[\[|\$\((?!mktemp)", script)] == []


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("host", "exports"),
    [("github", "demo_exports"), ("azure-devops", "hostile_exports"), ("gitlab", "demo_exports")],
)
def test_a_pipeline_loads_proposes_and_fails_at_its_gate(
    host: str, exports: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """On the exports of a tenant, with rightsize itself: the plan is written, and the gate has exit code 3."""
    place = make_place(tmp_path, Path(sys.executable).parent / "rightsize")
    (place.project / "exports").symlink_to(request.getfixturevalue(exports))
    event = tmp_path / "event.json"
    event.write_text("{}")
    more = {"GITHUB_EVENT_PATH": str(event)}
    if host == "github":
        more["GITHUB_STEP_SUMMARY"] = str(tmp_path / "summary.md")
    done = run_steps(steps_of(host, {"exports": "exports", "propose": "true"}, place), place, **more)
    assert done.returncode == 3, done.stdout
    assert "no pull request, so no comment" in done.stdout
    assert HEADING.match((place.project / "rightsize-plan" / "comment.md").read_text())
    assert json.loads((place.project / "rightsize-plan" / "plan.json").read_text())["proposals"]
    assert json.loads((place.project / "rightsize.sarif").read_text())["version"] == "2.1.0"
    if host == "github":
        summary = (tmp_path / "summary.md").read_text()
        assert HEADING.match(summary) and "## rightsize check" in summary
    else:
        assert "##vso[" not in done.stdout


def _run(tmp_path: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    defaults = {f"INPUT_{name.upper().replace('-', '_')}": str(one) for name, one in inputs_of("github").items()}
    environment = {**os.environ, **defaults, **{f"INPUT_{name}": value for name, value in inputs.items()}}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "GITHUB_ACTIONS": "true"}
    environment |= {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"), "GITHUB_OUTPUT": str(tmp_path / "output")}
    command = ["bash", str(PROJECT / ".pipelines" / "run.sh"), "gate"]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_store(tmp_path / "rightsize.duckdb", merged(base(), assigned(held("a", ANN, OWNER))))
    return tmp_path


@pytest.mark.nightly
def test_the_gate_fails_and_writes_what_people_and_code_scanning_read(folder: Path) -> None:
    done = _run(folder)
    assert done.returncode == 3, done.stderr
    assert "::error title=standing-owner (high)::" in done.stdout
    assert "## rightsize check" in (folder / "summary.md").read_text()
    assert json.loads((folder / "rightsize.sarif").read_text())["version"] == "2.1.0"
    assert "rightsize.sarif" in (folder / "output").read_text()


@pytest.mark.nightly
def test_the_gate_passes_where_nothing_is_asked(folder: Path) -> None:
    assert _run(folder, FAIL_ON="").returncode == 0


@pytest.mark.nightly
def test_the_gate_compares_role_definitions_with_the_base(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run([*GIT, *arguments], cwd=tmp_path, check=True, capture_output=True)

    role = {"Name": "VM", "Actions": ["Microsoft.Compute/virtualMachines/read"], "AssignableScopes": ["/s"]}
    file = tmp_path / "a role.json"
    git("init", "-q")
    file.write_text(json.dumps(role))
    git("add", ".")
    git("commit", "-q", "-m", "before")
    assert _run(tmp_path, CHECK="false", SINCE="HEAD", ROLES="a role.json\n").returncode == 0
    file.write_text(json.dumps(role | {"Actions": ["*"]}))
    done = _run(tmp_path, CHECK="false", SINCE="HEAD", ROLES="a role.json\n")
    assert done.returncode == 3
    assert "Role definitions that grant more" in (tmp_path / "summary.md").read_text()


def test_the_hook_runs_what_the_command_line_has() -> None:
    (hook,) = yaml.safe_load((PROJECT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert hook["entry"].split()[:3] == ["rightsize", "roles", "no-new-access"]
    wanted = re.compile(hook["files"])
    assert wanted.search("infra/roles/vm.json") and wanted.search("main.tf") and not wanted.search("README.md")
    project = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(f'"{needed}"' in project for needed in hook["additional_dependencies"])
