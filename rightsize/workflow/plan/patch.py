"""Write a plan as patches of a team's own code: one that adds access, one that removes it, and a page of the rest.

On request the edits are committed to branches of the repository, one offer a commit, without touching its files, index
or hooks.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rightsize.iac.patch.bicep_patch import patch_bicep, second_bicep_reader
from rightsize.iac.patch.grants import Change, Code, Offer, Refused, unified
from rightsize.iac.patch.proof import Subject, second_reader
from rightsize.iac.patch.repository import PLACES, owners_of, read_repository
from rightsize.iac.patch.terraform_patch import Patch, patch_terraform
from rightsize.iac.patch.vault_templates import patch_vault_resources, patch_vault_templates
from rightsize.iac.patch.vault_terraform import patch_vault_blocks
from rightsize.model.errors import InputError, UsageError
from rightsize.model.file_reading import read_found, read_given, write_text
from rightsize.model.nouns import RoleDefinition
from rightsize.model.plan import Plan
from rightsize.model.role_forms import load_relaxed_json
from rightsize.propose.verify.review import plan_of
from rightsize.render.deploy.bicep import role_bicep
from rightsize.render.deploy.files import Open, issue_page
from rightsize.render.deploy.terraform import role_terraform
from rightsize.render.escape import for_bicep, for_terminal, for_terraform
from rightsize.workflow.plan.patch_changes import Asked, changes_of
from rightsize.workflow.plan.review import accepted_of
from rightsize.workflow.plan_folder import read_plan_folder
from rightsize.workflow.signatures import ANYBODY, Signers

ADD, REMOVE, ISSUE = "add.patch", "remove.patch", "ISSUE.md"
_ENDINGS = (".tf", ".tfvars", ".tfvars.json", ".bicep", ".bicepparam", ".json", ".yaml", ".yml", ".tftpl")
_PASSED_OVER = ("node_modules",)
_MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Sources:
    """What says which code makes which assignment; each may name the folder that it belongs to, as `FOLDER=FILE`.

    Attributes:
        states: States of Terraform, and what `terraform show -json` prints.
        outputs: What `az deployment show` prints.
        has_stacks: Whether deployment stacks delete what leaves a Bicep file.
    """

    states: Sequence[str] = ()
    outputs: Sequence[Path] = ()
    has_stacks: bool = False


@dataclass(frozen=True, slots=True)
class PatchResult:
    """What was written.

    Attributes:
        rows: One a change: `proposal`, `change`, `result` (`patched`, `by hand`, `no code`), `path`, `line`, `why`.
        files: The names of the files.
        branches: The branches that were made.
        notes: What a person should know of it.
    """

    rows: list[dict[str, Any]]
    files: list[str]
    branches: list[str]
    notes: list[str]

    def count(self, result: str) -> int:
        """Return the number of changes with a result."""
        return sum(row["result"] == result for row in self.rows)


def write_patch(
    db: Path,
    plan: Path,
    into: Path,
    out: Path,
    sources: Sources,
    *,
    with_branches: bool = False,
    review: Path | None = None,
    signers: Signers = ANYBODY,
) -> PatchResult:
    """Write the patches of a plan for a repository.

    Args:
        db: The store, which has today's assignments.
        plan: The plan folder, or its `plan.json`.
        into: The repository, or a folder of it.
        out: The folder for the patches and the page.
        sources: What tells the addresses.
        with_branches: Whether branches with a commit for each edit are made, too.
        review: A file of decisions; only accepted proposals count.
        signers: Whose signature the plan must have.

    Raises:
        UsageError: A second parser is not installed, the folder is none, or a branch is there already.
        InputError: The plan, a state or a file cannot be read, or what is edited is not committed.
        EvidenceError: No proposal is accepted.
    """
    code = read_code(into)
    if any(path.endswith(".tf") for path in code.files):
        second_reader()
    if any(path.endswith(".bicep") for path in code.files):
        second_bicep_reader()
    read = plan_of(read_plan_folder(plan, signers))
    only = None if review is None else accepted_of(read, review, datetime.now(UTC).date())
    asked = changes_of(db, read, only)
    made = _patched(code, asked, sources, into)
    offers = made.offers
    added = code.edited(edit for offer in offers for edit in offer.add)
    final = code.edited(edit for offer in offers for edit in offer.both)
    page, notes = _page(made, code, sources)
    folder = _folder_in_repository(into)
    texts = {
        ADD: unified(code.files, added.files, folder),
        REMOVE: unified(added.files, final.files, folder),
        ISSUE: page,
    }
    branches = _branches(into, code, offers, read) if with_branches and offers else []
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write `{out}`: {error.strerror}") from None
    for name, text in texts.items():
        write_text(out / name, text)
    return PatchResult(list(_rows(made, code)), list(texts), branches, notes)


def _folder_in_repository(into: Path) -> str:
    """Return the path of a folder from the root of its repository, with a slash; empty for the root, or without one."""
    here = into.resolve()
    root = next((one for one in (here, *here.parents) if (one / ".git").exists()), here)
    return "" if root == here else f"{here.relative_to(root).as_posix()}/"


def read_code(into: Path) -> Code:
    """Return the code of a repository: no hidden folders, no links, no files beyond 4 MiB."""
    if not into.is_dir():
        raise UsageError(f"`{into}` is no folder", hint="name the repository with --into")
    files: dict[str, bytes] = {}
    for folder, names, found in os.walk(into):
        names[:] = sorted(name for name in names if not name.startswith(".") and name not in _PASSED_OVER)
        for name in found:
            path = Path(folder, name)
            if name.endswith(_ENDINGS) and not path.is_symlink() and path.stat().st_size <= _MOST_BYTES:
                files[path.relative_to(into).as_posix()] = b""
    files |= {name: b"" for name in PLACES if (into / name).is_file() and not (into / name).is_symlink()}
    return Code({name: read_found(into, name) for name in sorted(files)})


def _patched(code: Code, asked: Asked, sources: Sources, into: Path) -> Patch:
    """Return the proved edits of both languages; a change that both make is nobody's."""
    changes, roles = asked.changes, asked.roles
    blocks, files = _role_texts(asked.definitions)
    definitions = {id_: role for id_, role in asked.definitions.items() if id_ in blocks}
    states = {text: _state(text, into, code) for text in sources.states}
    repository = read_repository(code, states, roles)
    terraform = patch_terraform(repository, changes, roles, definitions, blocks, for_terraform)
    subject = Subject(code, repository.bound, roles, definitions)
    deployments = [_json(read_given(path), str(path)) for path in sources.outputs]
    bicep = patch_bicep(code, changes, asked.loaded, roles, files, deployments, for_bicep)
    both = _of_several(changes, terraform, bicep)
    of_vaults = _of_several(
        [one for own in asked.vaults.values() for one in own],
        patch_vault_blocks(repository, asked.vaults, subject, blocks, for_terraform, terraform.offers),
        patch_vault_resources(code, asked.vaults, roles, files, deployments, for_bicep, bicep.offers),
        patch_vault_templates(code, asked.vaults, deployments),
    )
    return Patch(
        [*both.offers, *of_vaults.offers],
        [*both.refused, *of_vaults.refused],
        [*both.missing, *of_vaults.missing],
        [*repository.loose, *both.notes, *of_vaults.notes],
    )


def _of_several(changes: Sequence[Change], *patches: Patch) -> Patch:
    """Return the patch of several languages; what two of them make is nobody's."""
    ids = {change.old for change in changes}
    made = Counter(old for patch in patches for old in ids - {one.old for one in patch.missing})
    for patch in patches:
        dropped = [offer for offer in patch.offers if any(made[change.old] > 1 for change in offer.changes)]
        patch.offers = [offer for offer in patch.offers if offer not in dropped]
        patch.refused += [
            Refused(change, "code of two languages makes it", offer.both[0].path, 1)
            for offer in dropped
            for change in offer.changes
        ]
    return Patch(
        [offer for patch in patches for offer in patch.offers],
        [one for patch in patches for one in patch.refused],
        [change for change in changes if not made[change.old]],
        [note for patch in patches for note in patch.notes],
    )


def _role_texts(definitions: Mapping[str, RoleDefinition]) -> tuple[dict[str, str], dict[str, str]]:
    """Return each new role as Terraform and as Bicep, by its GUID; one with a condition within it only as Bicep."""
    blocks: dict[str, str] = {}
    files: dict[str, str] = {}
    for id_, role in definitions.items():
        files[id_] = role_bicep(role)
        with suppress(InputError):
            blocks[id_] = role_terraform(role)
    return blocks, files


def _json(content: bytes, name: str) -> object:
    try:
        return load_relaxed_json(content)
    except InputError as error:
        raise InputError(f"`{name}`: {error.message}") from None


def _state(text: str, into: Path, code: Code) -> tuple[object, str | None]:
    """Return a state and the folder that it belongs to: the one that is named, or the one of the code it stands in."""
    named, sign, rest = text.partition("=")
    if sign and (into / named).is_dir():
        return _json(read_given(Path(rest)), rest), "" if named == "." else named.strip("/")
    path = Path(text)
    folder = None
    if path.resolve().is_relative_to(into.resolve()):
        folder = path.resolve().parent.relative_to(into.resolve()).as_posix()
        folder = "" if folder == "." else folder
        folder = folder if any(name.endswith(".tf") for name in code.names(folder)) else None
    return _json(read_given(path), text), folder


def _page(made: Patch, code: Code, sources: Sources) -> tuple[str, list[str]]:
    by_owner: dict[str, list[Refused]] = defaultdict(list)
    for one in sorted(made.refused, key=lambda one: (one.path, one.line, one.change.old)):
        by_owner[owners_of(one.path, code.files)].append(one)
    deletes = []
    if not sources.has_stacks:
        for offer in made.offers:
            if offer.both[0].path.endswith((".bicep", ".bicepparam")):
                at = "providers/Microsoft.Authorization/roleAssignments"
                own = [change for change in offer.changes if not change.vault]
                deletes += [f"{change.today.scope.rstrip('/')}/{at}/{change.old}" for change in own]
    return issue_page(Open(by_owner, made.missing, sorted(deletes), made.notes)), made.notes


def _rows(made: Patch, code: Code) -> Iterator[dict[str, Any]]:
    for offer in made.offers:
        edit = offer.both[0]
        line = code.line(edit.path, edit.start) if edit.path in code.files else 1
        for change in offer.changes:
            yield _row(change, "patched", edit.path, line, "")
    for one in made.refused:
        yield _row(one.change, "by hand", one.path, one.line, one.why)
    for change in made.missing:
        yield _row(change, "no code", "", None, "")


def _row(change: Change, result: str, path: str, line: int | None, why: str) -> dict[str, Any]:
    return {
        "proposal": change.proposal, "change": change.said, "result": result, "path": path, "line": line, "why": why,
    }  # fmt: skip


def _branches(into: Path, code: Code, offers: Sequence[Offer], plan: Plan) -> list[str]:
    """Make a branch of the first phase and one of the second on top of it; return their names."""
    key = str(plan.generated_from["content_hash"])[:8]
    names = [f"rightsize/{key}/add", f"rightsize/{key}/remove"]
    adds: list[tuple[str, Mapping[str, bytes]]] = []
    removes: list[tuple[str, Mapping[str, bytes]]] = []
    adding = [offer for offer in offers if offer.add]
    before = code.files
    for index, offer in enumerate(adding):
        after = code.edited(edit for one in adding[: index + 1] for edit in one.add).files
        adds.append((_message("add", offer), _changed(before, after)))
        before = after
    for index, offer in enumerate(offers):
        done, rest = offers[: index + 1], offers[index + 1 :]
        edits = [*(edit for one in done for edit in one.both), *(edit for one in rest for edit in one.add)]
        after = code.edited(edits).files
        removes.append((_message("remove", offer), _changed(before, after)))
        before = after
    paths = {edit.path for offer in offers for edit in (*offer.add, *offer.both)}
    own = {path: code.files[path] for path in sorted(paths) if path in code.files}
    commit_branches(into, own, list(zip(names, (adds, removes), strict=True)))
    return names


def _changed(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> dict[str, bytes]:
    return {path: content for path, content in after.items() if before.get(path) != content}


def _message(phase: str, offer: Offer) -> str:
    said = [for_terminal(change.said) for change in offer.changes]
    first = said[0] if len(said) == 1 else f"{len(said)} changes, the first of {said[0]}"
    subject = f"access, {phase}: {first}"
    proposals = "".join(f"\nProposal: {change.proposal}" for change in offer.changes)
    return f"{subject[:100]}\n\n" + "\n".join(said) + f"\n{proposals}\n"


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
