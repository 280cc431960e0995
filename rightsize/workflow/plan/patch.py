"""Write a plan as patches of a team's own code: one that adds access, one that removes it, and a page of the rest."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rightsize.analyze.inputs import Inputs
from rightsize.iac.patch.bicep_assignments import Loaded
from rightsize.iac.patch.bicep_patch import patch_bicep, second_bicep_reader
from rightsize.iac.patch.code_owners import PLACES, owners_of
from rightsize.iac.patch.diffs import unified
from rightsize.iac.patch.grants import Change, Code, Grant, Offer, Refused, Roles, Wanted
from rightsize.iac.patch.proof import second_reader
from rightsize.iac.patch.repository import read_repository
from rightsize.iac.patch.terraform_patch import Patch, patch_terraform
from rightsize.model.errors import InputError, UsageError
from rightsize.model.file_reading import read_found, read_given, write_text
from rightsize.model.nouns import RoleDefinition
from rightsize.model.plan import PROPOSAL_KINDS, Plan, Proposal
from rightsize.model.role_forms import load_relaxed_json
from rightsize.propose.verify.review import plan_of
from rightsize.rbac.assignments import role_path
from rightsize.rbac.text import fold
from rightsize.render.deploy.bicep import role_bicep
from rightsize.render.deploy.code_names import snake
from rightsize.render.deploy.contents import spelled
from rightsize.render.deploy.issue import Open, issue_page
from rightsize.render.deploy.terraform import role_terraform
from rightsize.render.escape import for_bicep, for_terminal, for_terraform
from rightsize.render.sentences import full_path
from rightsize.store.connection import open_store
from rightsize.workflow.names import names_in, spellings_in
from rightsize.workflow.plan.branches import commit_branches
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
    made = _patched(code, asked, read, sources, into)
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


@dataclass(frozen=True, slots=True)
class Asked:
    """The changes of a plan, the roles that code may name, and every active assignment of the tenant."""

    changes: list[Change]
    roles: Roles
    loaded: list[Loaded]


def changes_of(db: Path, plan: Plan, only: Collection[str] | None) -> Asked:
    """Return what a plan changes about assignments of Azure roles."""
    names: dict[str, str] = {fold(id_): name for id_, name in names_in(db, plan).items()}
    with open_store(db, read_only=True) as store:
        inputs = Inputs.of(**{name: store.table(name) for name in ("role_definitions", "role_assignments")})
        spellings = spellings_in(store, [place.scope for one in plan.proposals for place in one.assignments])
    stored = {
        fold(row["role_definition_id"]): row["role_name"] for row in inputs.role_definitions.iter_rows(named=True)
    }
    new = {fold(role.definition.role_definition_id): role.definition.role_name for role in plan.roles}
    titles: dict[str, str] = {id_: title for id_, title in {**stored, **new}.items() if title}
    called: dict[str, set[str]] = defaultdict(set)
    for id_, title in titles.items():
        called[fold(title)].add(id_)
    rows = list(inputs.role_assignments.iter_rows(named=True))
    today = {(fold(row["role_assignment_id"]), row["state"]): _grant(row) for row in rows}
    changes = []
    for proposal in plan.proposals:
        is_wanted = only is None or proposal.id in only
        if is_wanted and proposal.is_of_rbac and PROPOSAL_KINDS[proposal.kind].changes:
            old = today.get(proposal.assignment)
            if old is not None:
                wanted = tuple(
                    _wanted(proposal, spellings, titles, new.keys() - stored.keys(), set(today.values()), old)
                )
                said = _said(proposal, old, wanted, titles, names)
                changes.append(Change(proposal.id, proposal.assignment[0], old, wanted, said))
    roles = Roles({title: next(iter(ids)) for title, ids in called.items() if len(ids) == 1})
    loaded = [
        Loaded(fold(row["role_assignment_id"]), _grant(row), row["scope"])
        for row in rows
        if row["state"] == "active" and row["scope"]
    ]
    return Asked(changes, roles, loaded)


def _grant(row: Mapping[str, Any]) -> Grant:
    scope = fold((row["scope"] or "").rstrip("/") or "/")
    return Grant(
        scope, fold(row["role_definition_id"]), fold(row["principal_id"]), row["condition"] or "", row["state"]
    )


def _wanted(
    proposal: Proposal,
    spellings: Mapping[str, str],
    titles: Mapping[str, str],
    new: Collection[str],
    existing: set[Grant],
    today: Grant,
) -> Iterator[Wanted]:
    """Yield the assignments that a proposal makes and the tenant does not have yet."""
    for one in proposal.assignments:
        scope, role = spelled(one.scope, spellings), fold(one.role)
        place = fold(scope.rstrip("/") or "/")
        grant = Grant(place, role, fold(one.principal_id), one.condition or "", one.state, one.end_on or "")
        if grant not in existing:
            title = titles.get(role, role)
            word = snake(title) or f"role_{role[:8]}"
            word = word if word[0].isalpha() else f"role_{word}"
            several = sum(fold(other.role) == role for other in proposal.assignments) > 1
            there = f"at_{snake(scope.rpartition('/')[2])[:24]}"
            label = there if role == today.role else f"{word}_{there}" if several else word
            yield Wanted(grant, scope, title, role_path(scope, role), role in new, word, label)


def _said(
    proposal: Proposal, today: Grant, wanted: Sequence[Wanted], titles: Mapping[str, str], names: Mapping[str, str]
) -> str:
    who = names.get(today.principal_id, today.principal_id)
    now = f"{titles.get(today.role, today.role)} at {full_path(today.scope, names)}"
    comes = [f"{one.role_name} at {full_path(one.scope, names)}" for one in wanted]
    comes = [
        f"eligible {text}" if one.grant.state == "eligible" else text for text, one in zip(comes, wanted, strict=True)
    ]
    if not proposal.assignments:
        return f"{who}: {now} goes"
    return f"{who}: {now} becomes {' and '.join(comes) or 'what is there already'}"


def _patched(code: Code, asked: Asked, plan: Plan, sources: Sources, into: Path) -> Patch:
    """Return the proved edits of both languages; a change that both make is nobody's."""
    changes, roles = asked.changes, asked.roles
    blocks, files = _role_texts(plan)
    definitions: dict[str, RoleDefinition] = {
        fold(one.definition.role_definition_id): one.definition for one in plan.roles
    }
    definitions = {id_: role for id_, role in definitions.items() if id_ in blocks}
    states = {text: _state(text, into, code) for text in sources.states}
    repository = read_repository(code, states, roles)
    terraform = patch_terraform(repository, changes, roles, definitions, blocks, for_terraform)
    deployments = [_json(read_given(path), str(path)) for path in sources.outputs]
    bicep = patch_bicep(code, changes, asked.loaded, roles, files, deployments, for_bicep)
    missing = {change.old for change in terraform.missing} & {change.old for change in bicep.missing}
    twice = {change.old for change in changes} - {one.old for one in (*terraform.missing, *bicep.missing)}
    for patch in (terraform, bicep):
        dropped = [offer for offer in patch.offers if any(change.old in twice for change in offer.changes)]
        patch.offers = [offer for offer in patch.offers if offer not in dropped]
        patch.refused += [
            Refused(change, "Terraform and Bicep both make it", offer.both[0].path, 1)
            for offer in dropped
            for change in offer.changes
        ]
    return Patch(
        [*terraform.offers, *bicep.offers],
        [*terraform.refused, *bicep.refused],
        [change for change in changes if change.old in missing],
        [
            *repository.loose,
            *terraform.notes,
            *bicep.notes,
        ],
    )


def _role_texts(plan: Plan) -> tuple[dict[str, str], dict[str, str]]:
    """Return each new role as Terraform and as Bicep, by its GUID; one with a condition within it only as Bicep."""
    blocks: dict[str, str] = {}
    files: dict[str, str] = {}
    for one in plan.roles:
        id_ = fold(one.definition.role_definition_id)
        files[id_] = role_bicep(one.definition)
        with suppress(InputError):
            blocks[id_] = role_terraform(one.definition)
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
                deletes += [f"{change.today.scope.rstrip('/')}/{at}/{change.old}" for change in offer.changes]
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
    first = said[0] if len(said) == 1 else f"{len(said)} assignments, the first of {said[0]}"
    subject = f"access, {phase}: {first}"
    proposals = "".join(f"\nProposal: {change.proposal}" for change in offer.changes)
    return f"{subject[:100]}\n\n" + "\n".join(said) + f"\n{proposals}\n"
