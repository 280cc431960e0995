"""The scripts that switch a vault compare its policies first: what changed since the plan stops them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rightsize.render.vault_requests import vault_files
from tests.planes.vaults.vault_world import GET, World

AZ = """#!/bin/sh
echo "$3" >> calls
case "$*" in *--query*) cat held;; esac
"""
HELD = "T\nt\tapp\t\t\tGet List\t\t\nt\tsigner\tClient\tall\t\t\t\nother\tguest\t\t\tget\t\t\n"
"""The policies as `az rest --query … -o tsv` prints them: in any case and order, one of another tenant among them."""


@pytest.fixture(scope="module")
def scripts() -> dict[str, str]:
    """The scripts of a vault with two policies."""
    world = World().holds("app", secrets=["get", "list"]).uses("app", GET).holds("signer", "User", keys=["all"])
    files = vault_files(world.part())
    return {name.partition("kv-")[2][8:]: text for name, text in files.items()}


def _run(script: str, held: str, folder: Path) -> tuple[int, list[str]]:
    """Return how the script ends, and the methods of the requests that it sent."""
    for name, text in (("az", AZ), ("sleep", "#!/bin/sh\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "held").write_text(held)
    (folder / "calls").unlink(missing_ok=True)
    path = {"PATH": f"{folder}:/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=path, capture_output=True, text=True, check=False)
    assert ("the access policies of the vault are not those of the plan" in done.stderr) is bool(done.returncode)
    return done.returncode, (folder / "calls").read_text().split()


def test_a_script_switches_a_vault_whose_policies_are_those_of_the_plan(
    scripts: dict[str, str], tmp_path: Path
) -> None:
    same = HELD.replace("Client", "")
    assert _run(scripts[".sh"], same, tmp_path) == (0, ["get", "put", "get", "get", "patch", "get"])
    assert _run(scripts["-rollback.sh"], same, tmp_path) == (0, ["get", "patch", "get", "delete"])


@pytest.mark.parametrize(
    "held",
    [HELD, HELD.replace("Client", "").replace("List", ""), HELD.replace("Client", "").replace("other", "t"), "T\n", ""],
    ids=["on behalf", "fewer permissions", "one more", "none", "no answer"],
)
@pytest.mark.slow
def test_other_policies_stop_it_before_anything_is_made(scripts: dict[str, str], tmp_path: Path, held: str) -> None:
    for name in (".sh", "-rollback.sh"):
        assert _run(scripts[name], held, tmp_path) == (1, ["get"])


def test_a_refusal_ends_the_script_of_powershell(scripts: dict[str, str]) -> None:
    """`Invoke-AzRestMethod` goes on after a refusal: a role that could not be made would not stop the switch."""
    lines = [line for line in scripts[".ps1"].splitlines() if "Invoke-AzRestMethod" in line]
    assert sum(line.startswith("$vault = ") for line in lines) == 2
    assert all("$answer.StatusCode -ge 400" in line for line in lines if not line.startswith("$vault = "))
    assert scripts[".ps1"].count("throw 'stop: ") == 2
