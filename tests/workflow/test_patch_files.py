"""Patches as files and as branches: what git makes of them, and who is told what is left."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rightsize.iac.patch.grants import Change, Grant, Refused, Wanted, unified
from rightsize.iac.patch.repository import NOBODY, owners_of
from rightsize.model.errors import InputError, UsageError
from rightsize.render.deploy.files import Open, issue_page
from rightsize.workflow.plan.patch import commit_branches, read_code

HOSTILE = "-a b\t\"'é\n$(x).tf"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a repository with one commit, in which a folder has code."""
    folder = tmp_path / "repository"
    (folder / "infra").mkdir(parents=True)
    (folder / "infra" / HOSTILE).write_bytes(b"one\n")
    (folder / "infra" / "plain.tf").write_bytes(b"one\r\ntwo")
    (folder / "infra" / "plain.tf").chmod(0o755)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.name", "Test")
    git(folder, "config", "user.email", "test@example.com")
    git(folder, "config", "core.autocrlf", "false")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def git(folder: Path, *arguments: str) -> str:
    """Return what git prints in a folder."""
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=True)
    return done.stdout.decode()


@pytest.mark.slow
def test_a_diff_of_any_file_name_and_line_end_applies(clone: Path, tmp_path: Path) -> None:
    before = {HOSTILE: b"one\n", "plain.tf": b"one\r\ntwo"}
    after = {HOSTILE: b"one\x0c\ntwo\n", "plain.tf": b"one\r\nthree", "new/role one.tf": b"made\n"}
    patch = tmp_path / "add.patch"
    patch.write_text(unified(before, after, "infra/"), encoding="utf-8", newline="")
    subprocess.run(["git", "apply", "--whitespace=nowarn", str(patch)], cwd=clone / "infra", check=True)
    assert {name: (clone / "infra" / name).read_bytes() for name in after} == after


@pytest.mark.slow
def test_branches_leave_files_and_index_alone(clone: Path) -> None:
    """Each branch stands on the one before; modes stay, and nothing is checked out."""
    before = {name: (clone / "infra" / name).read_bytes() for name in (HOSTILE, "plain.tf")}
    (clone / "infra" / "loose.tf").write_text("not added")
    first = ("add: --all \x1b[31m", {HOSTILE: b"two\n", "role.tf": b"made\n"})
    second = ("remove", {"plain.tf": b"gone\r\n"})
    commit_branches(clone / "infra", before, [("rightsize/1/add", [first]), ("rightsize/1/remove", [second])])
    assert git(clone, "status", "--porcelain") == "?? infra/loose.tf\n"
    assert git(clone, "log", "--format=%s", "rightsize/1/remove").splitlines()[::2] == ["remove", "first"]
    assert git(clone, "show", "rightsize/1/remove:infra/role.tf") == "made\n"
    assert "100755" in git(clone, "ls-tree", "-r", "rightsize/1/remove", "--", "infra/plain.tf")
    assert git(clone, "diff", "--name-only", "main", "rightsize/1/add", "-z").split("\0")[:2] == [
        f"infra/{HOSTILE}",
        "infra/role.tf",
    ]
    with pytest.raises(UsageError, match="is there already"):
        commit_branches(clone / "infra", before, [("rightsize/1/add", [first])])


@pytest.mark.slow
def test_what_is_not_committed_is_not_edited_on_a_branch(clone: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`plain.tf` differs from the last commit"):
        commit_branches(clone / "infra", {"plain.tf": b"other"}, [("one", [("m", {"plain.tf": b"x"})])])
    with pytest.raises(UsageError, match="git refuses"):
        commit_branches(tmp_path, {}, [("one", [("m", {"plain.tf": b"x"})])])


def test_code_is_read_without_links_and_hidden_folders(tmp_path: Path) -> None:
    for name in ("main.tf", ".terraform/modules/x.tf", "node_modules/y.tf", "a/readme.md", ".github/CODEOWNERS"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "link.tf").symlink_to(tmp_path / "main.tf")
    (tmp_path / "linked").symlink_to(tmp_path / "a")
    assert set(read_code(tmp_path).files) == {"main.tf", ".github/CODEOWNERS"}
    with pytest.raises(UsageError, match="is no folder"):
        read_code(tmp_path / "none")


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("main.tf", "@all"),
        ("infra/main.tf", "@infra @ops"),
        ("infra/deep/x.tf", "@infra @ops"),
        ("docs/a.tf", "@docs"),
        ("docs/deep/a.tf", "@all"),
        ("x/secret.tf", NOBODY),
        ("any/modules/a.tf", "@modules"),
    ],
)
def test_the_last_line_that_fits_names_the_owner(path: str, owner: str) -> None:
    text = "# Owners\n* @all\n/infra/ @infra @ops\ndocs/* @docs\nsecret.tf\n[Section]\nmodules/ @modules # all\n"
    assert owners_of(path, {"CODEOWNERS": text.encode()}) == owner


def test_what_is_left_is_told_by_owner_with_the_exact_change() -> None:
    """Names are hostile: none becomes markup, and none ends the code."""
    today = Grant("/subscriptions/1", "r", "p")
    wanted = Wanted(Grant("/subscriptions/1", "n", "p"), "/subscriptions/1", 'R"${x}', '/roles/n"${x}', False, "r", "r")
    change = Change("id", "old-guid", today, (wanted,), "<b>x</b> | y")
    page = issue_page(Open({"@team": [Refused(change, "why `x`", "a|b.tf", 3)]}, [change], ["/a b/c"], ["note *one*"]))
    assert "## For \\@team" in page
    assert "### a\\|b.tf:3" in page
    assert "<b>" not in page
    assert 'role_definition_id = "/roles/n\\"$${x}"' in page
    assert "az role assignment delete --ids '/a b/c'" in page
    assert "- note \\*one\\*" in page
