"""What is released: one name, one version, locks that hold, and files that are the same however they were built."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import rightsize
from rightsize.model.errors import DISTRIBUTION, install_extra
from tests.packaging.runners import PROJECT, inputs_of

METADATA = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = PROJECT / ".ci" / "locks"
WORKFLOWS = PROJECT / ".github" / "workflows"
PAGES = [PROJECT / "README.md", *(PROJECT / "docs").rglob("*.md")]
PYTHONS = ("3.11", "3.12", "3.13")
# Assembled, so that this file does not contain what it looks for.
_OTHERS = re.compile(r"rightsize" + r"\[")
_ENTRY = re.compile(
    r"^([A-Za-z0-9._-]+)(?:\[[a-z0-9,-]+\])?==(\S+)(?: ; (.+?))? \\$"
    r"((?:\n    --hash=sha256:[0-9a-f]{64}(?: \\)?)+)$",
    flags=re.MULTILINE,
)
_SHOWN = re.compile(r"(?:rightsize\S*@v|refs/tags/v|ref: v|rightsize-azure==)(\d+\.\d+\.\d+)")


def _locked(name: str, python: str | None = None) -> list[tuple[str, str]]:
    """Return names and versions of a lock, all or those for one Python on Linux.

    Every line of the lock belongs to a package with hashes, or is a comment.
    """
    text = (LOCKS / f"{name}.txt").read_text(encoding="utf-8")
    rest = [line for line in _ENTRY.sub("", text).splitlines() if line.strip()]
    assert [line for line in rest if not line.lstrip().startswith("#")] == []
    environment = {"python_version": python or "", "python_full_version": f"{python}.0", "sys_platform": "linux"}
    return [
        (canonicalize_name(found[1]), found[2])
        for found in _ENTRY.finditer(text)
        if python is None or found[3] is None or Marker(found[3]).evaluate(environment)
    ]


def test_the_version_is_the_same_everywhere() -> None:
    """The program, its metadata, and every place that tells people which release to use."""
    version = METADATA["project"]["version"]
    assert rightsize.__version__ == version
    assert inputs_of("gitlab")["ref"] == f"v{version}"
    shown = {found[1] for page in PAGES for found in _SHOWN.finditer(page.read_text(encoding="utf-8"))}
    assert shown == {version}


def test_packages_are_asked_for_by_the_name_of_the_distribution() -> None:
    """The name of the command is another project's in package indexes, so nobody is told to install it."""
    assert METADATA["project"]["name"] == DISTRIBUTION
    assert set(METADATA["project"]["optional-dependencies"]) >= {"iac", "prover", "spark", "test"}
    assert install_extra("iac") == "pip install 'rightsize-azure[iac]'"
    files = [*PAGES, PROJECT / "CHANGELOG.md"]
    files += [file for folder in ("rightsize", "tests") for file in (PROJECT / folder).rglob("*.py")]
    assert [str(file) for file in files if _OTHERS.search(file.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("name", ["run", "extras", "build", "tools"])
def test_a_lock_names_no_index_and_has_each_package_once(name: str) -> None:
    """Where packages come from is for the machine to say; for one Python and system a package has one version."""
    assert "://" not in (LOCKS / f"{name}.txt").read_text(encoding="utf-8")
    for python in PYTHONS:
        names = [one for one, _ in _locked(name, python)]
        assert len(names) == len(set(names)) > 4


def test_a_package_that_is_needed_with_an_extra_is_locked_with_it() -> None:
    """Without a pin of its own pip takes the newest `httpx[http2]`, whatever `httpx` is pinned to, and has no hash."""
    for name in ("run", "extras"):
        assert re.search(r"^httpx\[http2\]==", (LOCKS / f"{name}.txt").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_lock_satisfies_what_the_project_needs() -> None:
    """Each dependency, with what reads Terraform and YAML, is locked in a version that it allows, on every Python."""
    project = METADATA["project"]
    needed = [Requirement(text) for text in (*project["dependencies"], *project["optional-dependencies"]["iac"])]
    wanted = [one for one in needed if one.marker is None or one.marker.evaluate({"sys_platform": "linux"})]
    assert len(wanted) > 15
    for python in PYTHONS:
        locked = dict(_locked("run", python))
        missed = [one for one in wanted if not one.specifier.contains(locked.get(canonicalize_name(one.name), "0"))]
        assert missed == []


@pytest.mark.parametrize("extra", METADATA["project"]["optional-dependencies"])
def test_every_extra_is_locked_in_the_versions_of_the_program(extra: str) -> None:
    """What somebody installs for an extra has hashes, too, and changes no package that the program has without it."""
    needed = [Requirement(text) for text in METADATA["project"]["optional-dependencies"][extra]]
    for python in PYTHONS:
        locked = dict(_locked("extras", python))
        missed = [one for one in needed if not one.specifier.contains(locked.get(canonicalize_name(one.name), "0"))]
        assert missed == []
    assert set(_locked("run")) <= set(_locked("extras"))


def test_the_builder_is_locked_as_the_project_names_it() -> None:
    lines = (LOCKS / "build.in").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == METADATA["build-system"]["requires"]
    assert set(_locked("build")) < set(_locked("tools"))


def test_ci_makes_the_tools_as_a_release_does() -> None:
    """One line, in both places and in what explains it."""
    line = "python3 -m venv .ci/tools && .ci/tools/bin/pip install --require-hashes -r .ci/locks/tools.txt"
    for name in (".ci/run", ".ci/dist", ".github/workflows/release.yml", "docs/releasing.md"):
        assert line in (PROJECT / name).read_text(encoding="utf-8"), name


def test_workflows_use_actions_by_commit_and_take_no_rights_at_the_top() -> None:
    """A tag can be moved, a commit cannot; and each job says what it may do. In `.ci/run` zizmor lints the rest."""
    used = []
    for file in sorted(WORKFLOWS.glob("*.yml")):
        text = file.read_text(encoding="utf-8")
        assert yaml.safe_load(text)["permissions"] == {}
        used += re.findall(r"uses: (.+)", text)
    assert len(used) > 8
    pinned = re.compile(r"\$/\.github/workflows/check\.yml|[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    assert [one for one in used if not pinned.fullmatch(one)] == []


def build_release(tmp_path: Path, tag: str) -> subprocess.CompletedProcess[str]:
    """Run the scripts of the release's build job in a copy of what is tracked, with the tools that CI made.

    Skips the test where these are absent.
    """
    tools = PROJECT / ".ci" / "tools"
    if not (tools / "bin" / "hatchling").exists():
        pytest.skip("needs .ci/tools, as .ci/dist says")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=False).stdout
    if not tracked:
        pytest.skip("needs a git checkout")
    pack = ["tar", "--create", "--file", str(tmp_path / "tree.tar"), "--null", "--files-from", "-"]
    subprocess.run(pack, cwd=PROJECT, input=tracked, check=True)
    subprocess.run(["tar", "--extract", "--file", "tree.tar"], cwd=tmp_path, check=True)
    (tmp_path / ".ci" / "tools").symlink_to(tools)
    job = yaml.safe_load((WORKFLOWS / "release.yml").read_text(encoding="utf-8"))["jobs"]["build"]
    scripts = [step["run"] for step in job["steps"] if "run" in step and "pip install" not in step["run"]]
    assert len(scripts) == 2
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", "\n".join(scripts)],
        cwd=tmp_path,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "GITHUB_REF_NAME": tag},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.external
def test_a_release_has_packages_notes_and_an_sbom_of_all_that_is_locked(tmp_path: Path) -> None:
    """As the job of the workflow builds it; the wheel is the same, byte for byte, from the source distribution."""
    version = METADATA["project"]["version"]
    done = build_release(tmp_path, f"v{version}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "notes.md").read_text(encoding="utf-8").lstrip().startswith("###")
    dist = tmp_path / "dist"
    wheel, source, bill = (f"rightsize_azure-{version}{end}" for end in ("-py3-none-any.whl", ".tar.gz", ".cdx.json"))
    assert {path.name for path in dist.iterdir()} == {wheel, source, bill}

    sbom = json.loads((dist / bill).read_text(encoding="utf-8"))
    assert sbom["bomFormat"] == "CycloneDX"
    assert (sbom["metadata"]["component"]["name"], sbom["metadata"]["component"]["version"]) == (DISTRIBUTION, version)
    assert {(one["name"], one["version"]) for one in sbom["components"]} == set(_locked("run"))

    with tarfile.open(dist / source) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (tree,) = (tmp_path / "source").iterdir()
    command = [PROJECT / ".ci" / "tools" / "bin" / "hatchling", "build", "-t", "wheel", "-d", "dist"]
    subprocess.run(command, cwd=tree, check=True, capture_output=True)
    assert (tree / "dist" / wheel).read_bytes() == (dist / wheel).read_bytes()
    with zipfile.ZipFile(dist / wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert tops == {"rightsize", *(f"rightsize_azure-{version}.{part}" for part in ("data", "dist-info"))}


@pytest.mark.external
def test_a_tag_of_another_version_releases_nothing(tmp_path: Path) -> None:
    done = build_release(tmp_path, "v9.9.9")
    assert done.returncode == 1
    assert "the tag is not v" in done.stdout
    assert not (tmp_path / "dist").exists()
