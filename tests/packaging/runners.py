"""Read the steps of the three pipelines as their hosts do, and run them with bash as their runners do.

What a host puts into a text before it starts anything (`${{ … }}`, `$(…)`, `$[[ … ]]`) is put in here; the rest is
left to bash and the environment. The steps find a small clone of this project, in which `.ci/install` makes no
environment but links one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[2]
ACTION = PROJECT / ".github" / "actions" / "rightsize" / "action.yml"
AZURE_DEVOPS = PROJECT / ".pipelines" / "azure-devops.yml"
GITLAB = PROJECT / ".pipelines" / "gitlab.yml"
HOSTS = ("github", "azure-devops", "gitlab")
GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
_INSTALL = """#!/usr/bin/env bash
mkdir -p "$1/bin" && ln -s '{program}' "$1/bin/rightsize"
printf '#!/bin/sh\\nexec {python} "$@"\\n' >"$1/bin/python" && chmod +x "$1/bin/python"
"""


@dataclass(frozen=True)
class Step:
    """One script of a pipeline, and the variables that the host adds for it."""

    script: str
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Place:
    """Folders of a run: the clone of rightsize, the folder for temporary files, and the project that the run is for."""

    source: Path
    temporary: Path
    project: Path


def make_place(base: Path, program: Path) -> Place:
    """Make the folders of a run; `.ci/install` links a program in the place of rightsize."""
    place = Place(base / "rightsize", base / "temporary", base / "a project")
    for folder in (place.temporary, place.project, place.source / ".ci"):
        folder.mkdir(parents=True)
    shutil.copytree(PROJECT / ".pipelines", place.source / ".pipelines", ignore=shutil.ignore_patterns("__pycache__"))
    (place.source / ".ci" / "install").write_text(_INSTALL.format(program=program, python=sys.executable))
    for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "release"), ("tag", "v0.0.1")):
        subprocess.run([*GIT, *words], cwd=place.source, check=True, capture_output=True)
    return place


def steps_of(host: str, given: Mapping[str, str], place: Place) -> list[Step]:
    """Return the steps of a host's pipeline for inputs, which are named as the action names them.

    What the user of the pipeline does not give has the default of that file.
    """
    return {"github": _github, "azure-devops": _azure_devops, "gitlab": _gitlab}[host](given, place)


def inputs_of(host: str) -> dict[str, Any]:
    """Return the names of the inputs of a host's pipeline with their defaults; None where there is none."""
    if host == "github":
        return {name: one["default"] for name, one in yaml.safe_load(ACTION.read_text())["inputs"].items()}
    if host == "azure-devops":
        return {one["name"]: one["default"] for one in yaml.safe_load(AZURE_DEVOPS.read_text())["parameters"]}
    head, _ = yaml.safe_load_all(GITLAB.read_text())
    return {name: one.get("default") for name, one in head["spec"]["inputs"].items()}


def _github(given: Mapping[str, str], place: Place) -> list[Step]:
    values = {f"inputs.{name}": value for name, value in (inputs_of("github") | dict(given)).items()}
    values["runner.temp"] = str(place.temporary)
    if values["inputs.token"] == "${{ github.token }}":
        values["inputs.token"] = "a-token"

    def put(text: str) -> str:
        return re.sub(r"\$\{\{ (.+?) \}\}", lambda match: values[match[1]], text)

    always = {"GITHUB_ACTIONS": "true", "GITHUB_ACTION_PATH": str(place.source / ".github" / "actions" / "rightsize")}
    (place.source / ".github" / "actions" / "rightsize").mkdir(parents=True, exist_ok=True)
    return [
        Step(step["run"], always | {name: put(text) for name, text in step["env"].items()})
        for step in yaml.safe_load(ACTION.read_text())["runs"]["steps"]
    ]


def _azure_devops(given: Mapping[str, str], place: Place) -> list[Step]:
    named = {re.sub("-(.)", lambda match: match[1].upper(), name): value for name, value in given.items()}
    if named.pop("fetch", "false") == "true":
        named["serviceConnection"] = "a connection"
    values = inputs_of("azure-devops") | {name: named[name] for name in named if name != "token"}
    macros = {
        "Pipeline.Workspace": str(place.source.parent),
        "Agent.TempDirectory": str(place.temporary),
        "System.AccessToken": "a-token",
    }

    def put(text: str) -> str:
        text = re.sub(
            r"\$\{\{ (lower\()?parameters\.(\w+)\)? \}\}",
            lambda match: str(values[match[2]]).lower() if match[1] else str(values[match[2]]),
            text,
        )
        # The agent leaves what is no variable as it stands.
        return re.sub(r"\$\(([\w.]+)\)", lambda match: macros.get(match[1], match[0]), text)

    steps = []
    waiting = list(yaml.safe_load(AZURE_DEVOPS.read_text())["steps"])
    while waiting:
        step = waiting.pop(0)
        condition = next(iter(step))
        if condition.startswith("${{ if ne("):
            waiting[:0] = step[condition] if values["serviceConnection"] else []
        elif "checkout" not in step:
            script = step["bash"] if "bash" in step else step["inputs"]["inlineScript"]
            steps.append(
                Step(put(script), {"TF_BUILD": "True"} | {name: put(text) for name, text in step["env"].items()})
            )
    return steps


def _gitlab(given: Mapping[str, str], place: Place) -> list[Step]:
    own = {"image": "an image", "source": str(place.source), "ref": "v0.0.1"}
    values = inputs_of("gitlab") | own | {name: value for name, value in given.items() if name != "token"}

    def put(text: str) -> str:
        def one(match: re.Match[str]) -> str:
            value = values[match[1]]
            return str(value).lower() if isinstance(value, bool) else str(value)

        return re.sub(r"\$\[\[ inputs\.([\w-]+) \]\]", one, text)

    _, body = yaml.safe_load_all(GITLAB.read_text())
    job = body["rightsize"]
    environment = {name: put(one["value"]) for name, one in job["variables"].items()}
    script = "\n".join(["set -eo pipefail", *job["script"]])
    environment |= {"GITLAB_CI": "true", "GITLAB_TOKEN": "a-token", "TMPDIR": str(place.temporary)}
    return [Step(put(script), environment)]


def run_steps(steps: list[Step], place: Place, **more: str) -> subprocess.CompletedProcess[str]:
    """Run steps one after the other until one fails, and return the last one with the output of all."""
    said = ""
    for step in steps:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT")}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step.script],
            cwd=place.project,
            env=environment | more | step.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        said += done.stdout
        if done.returncode:
            break
    return subprocess.CompletedProcess("pipeline", done.returncode, said, "")
