"""The action, the hook and the container, as far as they can be checked without a runner."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.store.control_cases import ANN, OWNER, assigned, base, held, merged
from tests.store.plain import fill, open_plain

ROOT = Path(__file__).resolve().parents[2]
ACTION = ROOT / ".github" / "actions" / "rightsize"


def _action() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ACTION / "action.yml").read_text(encoding="utf-8"))
    return document


def _run(tmp_path: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    defaults = {
        f"INPUT_{name.upper().replace('-', '_')}": str(one["default"]) for name, one in _action()["inputs"].items()
    }
    environment = {**os.environ, **defaults, **{f"INPUT_{name}": value for name, value in inputs.items()}}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "RUNNER_TEMP": str(tmp_path)}
    environment |= {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"), "GITHUB_OUTPUT": str(tmp_path / "output")}
    return subprocess.run(
        ["bash", str(ACTION / "run.sh")], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with open_plain(tmp_path / "rightsize.duckdb") as store:
        fill(store, merged(base(), assigned(held("a", ANN, OWNER))))
    return tmp_path


def test_the_action_passes_every_input_through_the_environment() -> None:
    """An input that stood in the text of a script could run in it."""
    steps = _action()["runs"]["steps"]
    assert all("${{" not in step["run"] for step in steps)
    passed = " ".join(steps[-1]["env"].values())
    assert all(f"inputs.{name} " in passed for name in _action()["inputs"])


def test_the_action_fails_and_writes_what_people_and_code_scanning_read(folder: Path) -> None:
    done = _run(folder)
    assert done.returncode == 3, done.stderr
    assert "::error title=standing-owner (high)::" in done.stdout
    assert "## rightsize check" in (folder / "summary.md").read_text()
    assert json.loads((folder / "rightsize.sarif").read_text())["version"] == "2.1.0"
    assert "rightsize.sarif" in (folder / "output").read_text()


def test_the_action_passes_where_nothing_is_asked(folder: Path) -> None:
    assert _run(folder, FAIL_ON="").returncode == 0


def test_the_action_compares_role_definitions_with_the_base(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

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
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert hook["entry"].split()[:3] == ["rightsize", "roles", "no-new-access"]
    wanted = re.compile(hook["files"])
    assert wanted.search("infra/roles/vm.json") and wanted.search("main.tf") and not wanted.search("README.md")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(f'"{needed}"' in project for needed in hook["additional_dependencies"])


def test_the_container_is_not_root_and_takes_nothing_along() -> None:
    """A number for its user, no secret, nothing fetched by an address, and only what the product needs copied in."""
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    instructions = [line.split(maxsplit=1) for line in lines]
    last = max(number for number, (word, _) in enumerate(instructions) if word == "FROM")
    final = instructions[last:]
    user = next(rest for word, rest in final if word == "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert [word for word, _ in final].index("USER") < [word for word, _ in final].index("ENTRYPOINT")
    assert not any(word == "ADD" or "://" in rest for word, rest in instructions)
    assert all(re.search(r":\d", rest) for word, rest in instructions if word == "FROM")
    copied = {name.removeprefix("./") for word, rest in instructions if word == "COPY" for name in rest.split()[:-1]}
    assert all((ROOT / name).exists() for name in copied if not name.startswith(("--from", "/opt")))


def test_the_program_writes_nowhere_but_where_it_is_told(tmp_path: Path) -> None:
    """A file system that is read-only but for the store's folder is enough: nothing is put into a home or a cache."""
    home = tmp_path / "no-home"
    home.mkdir(mode=0o500)
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(home)}
    done = subprocess.run(
        [sys.executable, "-m", "rightsize", "check", "--list", "-o", "json"],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(home.iterdir()) == []
