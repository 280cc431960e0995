"""Commit edits to branches of a repository, one offer a commit, without touching its files, index or hooks.

Objects are written and the branches are set; nothing is checked out, and nothing is pushed. What a file is called is
one argument or one line of an input that git ends by a zero byte, so that no name is taken for an option or a path.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rightsize.model.errors import InputError, UsageError

Commit = tuple[str, Mapping[str, bytes]]
"""A message, and the whole content of each file after it, by its path in the folder."""


def commit_branches(
    folder: Path, before: Mapping[str, bytes], branches: Sequence[tuple[str, Sequence[Commit]]]
) -> None:
    """Make branches, each on top of the one before; the first stands on HEAD.

    Args:
        folder: A folder of the repository.
        before: The content of each file that is changed, as it was read.
        branches: The name of each branch, and its commits.

    Raises:
        UsageError: The folder is in no repository, git is not installed, or a branch is there already.
        InputError: A file is not committed as it was read.
    """
    with tempfile.TemporaryDirectory() as place:
        git = _git(folder, Path(place) / "index")
        head = git(["rev-parse", "--verify", "HEAD^{commit}"]).decode().strip()
        prefix = git(["rev-parse", "--show-prefix"]).decode("utf-8", "surrogateescape").rstrip("\n")
        git(["read-tree", head])
        for name, content in before.items():
            if _blob(git, name, content) != _committed(git, head, prefix + name):
                raise InputError(
                    f"`{name}` differs from the last commit", hint="commit it first, or leave out --branch"
                )
        for branch, _ in branches:
            if git(["for-each-ref", "--format=%(refname)", f"refs/heads/{branch}"]):
                raise UsageError(f"the branch `{branch}` is there already", hint="delete it, or leave out --branch")
        parent = head
        for branch, commits in branches:
            for message, files in commits:
                parent = _commit(git, parent, prefix, message, files)
            git(["update-ref", f"refs/heads/{branch}", parent, "0" * len(head)])


Run = Callable[..., bytes]


def _git(folder: Path, index: Path) -> Run:
    environment = {**os.environ, "GIT_INDEX_FILE": str(index)}

    def run(arguments: Sequence[str], given: bytes = b"", *, missing: str = "") -> bytes:
        command = ["git", "-C", str(folder), *arguments]
        try:
            done = subprocess.run(command, input=given, capture_output=True, check=False, env=environment)  # noqa: S603
        except OSError:
            raise UsageError("git is not installed", hint="leave out --branch") from None
        if done.returncode != 0:
            told = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise UsageError(missing or f"git refuses: {told[-1] if told else arguments[0]}")
        return done.stdout

    return run


def _blob(git: Run, name: str, content: bytes) -> str:
    """Write a file as git would, with the line ends that its attributes ask for, and return its hash."""
    return git(["hash-object", "-w", "--stdin", f"--path={name}"], content).decode().strip()


def _committed(git: Run, commit: str, path: str) -> str:
    listed = git(["ls-tree", "-z", "--full-tree", commit, "--", path])
    return listed.decode("utf-8", "surrogateescape").partition("\t")[0].rpartition(" ")[2]


def _commit(git: Run, parent: str, prefix: str, message: str, files: Mapping[str, bytes]) -> str:
    lines = []
    for name, content in files.items():
        path = (prefix + name).encode("utf-8", "surrogateescape")
        listed = git(["ls-files", "-s", "-z", "--full-name", "--", f":(top,literal){prefix}{name}"])
        mode = listed.partition(b" ")[0] or b"100644"
        lines.append(mode + b" " + _blob(git, name, content).encode() + b"\t" + path + b"\0")
    git(["update-index", "-z", "--index-info"], b"".join(lines))
    tree = git(["write-tree"]).decode().strip()
    return git(["commit-tree", tree, "-p", parent, "-F", "-"], message.encode()).decode().strip()
