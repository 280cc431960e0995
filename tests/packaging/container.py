"""Follow the steps of the Containerfile without a container engine, and run what the container would run.

`python -m tests.packaging.container ROOT ARGUMENT...` takes the steps in the folder ROOT: what the file names under `/`
is under ROOT, and this machine stands for the base image. Both stages share ROOT, so that nothing is copied between
them; what the last stage does not take over is deleted before the program runs. Where this process is root, the program
is not, if it can be started so.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
_FOLDERS = re.compile(r"(?<![\w./-])/(?=(?:opt|src|data)\b)")
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")


def read_instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a container file: the word, and the rest of its line."""
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def build(root: Path) -> tuple[list[str], dict[str, str], Path, tuple[int, int]]:
    """Take every step in a folder.

    Returns:
        The command that the container starts, its environment, its working folder, and the ids of its user and group.

    Raises:
        subprocess.CalledProcessError: A command failed.
        ValueError: There is an instruction that this does not know.
    """
    environment = {**os.environ, "PATH": f"{_base_image(root)}:{os.environ['PATH']}"}
    command, folder, user, kept = list[str](), root, (0, 0), set[Path]()
    for word, rest in read_instructions((PROJECT / "Containerfile").read_text(encoding="utf-8")):
        here = _FOLDERS.sub(f"{root}/", rest)
        match word:
            case "WORKDIR":
                folder = Path(here)
                folder.mkdir(parents=True, exist_ok=True)
            case "COPY":
                kept |= _copy(here.split(), folder)
            case "RUN":
                subprocess.run(["sh", "-ec", here], cwd=folder, env=environment, check=True)
            case "ENV":
                environment |= dict(_assignments(here, environment))
            case "USER":
                user = int(rest.partition(":")[0]), int(rest.partition(":")[2])
            case "ENTRYPOINT":
                command = json.loads(rest)
            case "ARG" | "FROM" | "VOLUME" | "CMD":
                pass
            case _:
                raise ValueError(f"not a known instruction: {word}")
    for left in {root / "src", *(root / "opt").iterdir()} - kept:
        shutil.rmtree(left)
    return command, environment, folder, user


def _base_image(root: Path) -> Path:
    folder = root / "base" / "bin"
    folder.mkdir(parents=True)
    (folder / "python3").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
    return folder


def _copy(words: list[str], folder: Path) -> set[Path]:
    """Copy from the project into a folder; return what is taken over from an earlier stage, which stays where it is."""
    *sources, target = words
    if sources[0].startswith("--from="):
        if sources[1:] != [target]:
            raise ValueError(f"what is copied between stages has to keep its place: {target}")
        return {Path(target)}
    for source in sources:
        if (PROJECT / source).is_dir():
            shutil.copytree(PROJECT / source, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            there = folder / target / Path(source).name if target.endswith("/") else folder / target
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / source, there)
    return set()


def _assignments(text: str, environment: dict[str, str]) -> Iterator[tuple[str, str]]:
    for pair in text.split():
        name, _, value = pair.partition("=")
        yield name, _VARIABLE.sub(lambda match: environment[match[1] or match[2]], value)


def _may_be(user: tuple[int, int], environment: dict[str, str]) -> bool:
    """Return whether the program can be started as a user: this machine's Python may be for root alone."""
    try:
        tried = subprocess.run(["rightsize", "--version"], env=environment, check=False, **_as(user))  # type: ignore[call-overload]
    except PermissionError:
        return False
    return bool(tried.returncode == 0)


def _as(user: tuple[int, int]) -> dict[str, object]:
    return {"user": user[0], "group": user[1], "extra_groups": []}


def main(root: Path, arguments: list[str]) -> int:
    """Build in a folder, and return the exit code of the program with these arguments."""
    root.mkdir(parents=True)
    root.chmod(0o755)
    command, environment, folder, user = build(root)
    other = os.geteuid() == 0 and _may_be(user, environment)
    if other:
        os.chown(folder, *user)
    print(f"the program runs as user {user[0] if other else os.geteuid()}", flush=True)
    started = subprocess.run(  # type: ignore[call-overload]
        [*command, *arguments], cwd=folder, env=environment, check=False, **(_as(user) if other else {})
    )
    return int(started.returncode)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), sys.argv[2:]))
