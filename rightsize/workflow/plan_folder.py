"""Read a plan folder from disk, in the one way of all commands: its chain, signature, `plan.json` and files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rightsize.model.errors import InputError
from rightsize.model.file_reading import LARGE, SMALL, is_found, parts_of_found, read_found, read_given, stands_in
from rightsize.render.folder import PLAN, prepared, read_manifest, write_folder
from rightsize.workflow import signatures

if TYPE_CHECKING:
    from rightsize.propose.verify.review import ReviewablePlan


@dataclass(frozen=True, slots=True)
class CheckedFolder:
    """A plan folder whose chain and signature have been checked, and whose plan has not been read.

    Attributes:
        text: Its `plan.json`.
        chain: Its chain of hashes, which fits; None where it has none.
        signature: Its signature, which holds; None where it has none.
    """

    folder: Path
    text: bytes
    chain: signatures.Chain | None
    signature: signatures.Signature | None


@dataclass(frozen=True, slots=True)
class PlanFolder(CheckedFolder):
    """A plan folder that was read and checked."""

    read: ReviewablePlan

    @property
    def files(self) -> tuple[str, ...]:
        """Return the names of its files beside `plan.json`: roles, tables, chain and what that covers, signatures."""
        chain = () if self.chain is None else (signatures.CHAIN, *self.chain.files)
        names = (*self.read.written.files, *chain, *signatures.signatures_of(self.folder))
        return tuple(dict.fromkeys(name for name in names if name != PLAN))


class FolderFiles(Mapping[str, bytes]):
    """The files of a folder by name, each read when it is asked for; a link among them is an error."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __contains__(self, name: object) -> bool:
        """Return whether the folder has anything of this name."""
        return isinstance(name, str) and stands_in(self._folder, name)

    def __getitem__(self, name: str) -> bytes:
        """Return the content of a file, or raise InputError."""
        return read_found(self._folder, name, most=LARGE if name.endswith(".parquet") else SMALL)

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the files that rightsize wrote."""
        return iter(read_manifest(self._folder))

    def __len__(self) -> int:
        """Return the number of files that rightsize wrote."""
        return len(read_manifest(self._folder))


def plan_file(path: Path) -> Path:
    """Return the path of `plan.json`, given its folder or the file itself."""
    return path / PLAN if path.is_dir() else path


def plan_text(path: Path) -> bytes:
    """Return the text of `plan.json`, found in a folder or typed by a person, or raise InputError.

    Stdin has no folder: the roles and the chain of another plan would be taken from where the command was started.
    """
    if str(path) == "-":
        raise InputError("a plan is a folder with its roles: it cannot be read from stdin", hint="name the plan folder")
    try:
        plan_file(path).lstat()
    except (FileNotFoundError, NotADirectoryError):
        hint = "`rightsize propose` writes one, `rightsize demo` a sample"
        raise InputError(f"there is no plan at `{path}`", hint=hint) from None
    except (OSError, ValueError):
        pass  # Reading it says why it cannot be read.
    return read_found(path, PLAN, most=LARGE) if path.is_dir() else read_given(path)


def check_plan_folder(path: Path, signers: signatures.Signers = signatures.ANYBODY) -> CheckedFolder:
    """Return a plan folder whose chain and signature have been checked.

    Args:
        path: The plan folder, or its `plan.json`.
        signers: Whose signature it must have.

    Raises:
        InputError: There is no plan, or its files are missing or altered.
        GateError: The plan is not signed by a required signer, or its signature does not hold.
        UsageError: The tool that checks the signature is not installed, or no key is named.
    """
    folder = plan_file(path).parent
    text = plan_text(path)
    chain = signatures.read_chain(folder, text)
    return CheckedFolder(folder, text, chain, signatures.check_signature(folder, signers))


def open_plan_folder(
    path: Path, signers: signatures.Signers = signatures.ANYBODY, *, with_pages: bool = True
) -> PlanFolder:
    """Return a plan folder as `check_plan_folder` and then `read_checked` do."""
    return read_checked(check_plan_folder(path, signers), with_pages=with_pages)


def read_checked(found: CheckedFolder, *, with_pages: bool = True) -> PlanFolder:
    """Return a checked plan folder whose every value has its type.

    Args:
        found: The plan folder.
        with_pages: Whether the evidence is read, too, that only pages show, which no proof needs.

    Raises:
        InputError: The file is not a plan, or its files are missing or altered.
    """
    # It imports frames, and steps that are kept need none.
    from rightsize.propose.verify.review import read_reviewable  # noqa: PLC0415

    read = read_reviewable(found.text, FolderFiles(found.folder), with_pages=with_pages)
    if found.chain is not None:
        signatures.check_origin(found.chain, read.document["generated_from"])
    return PlanFolder(found.folder, found.text, found.chain, found.signature, read)


def read_plan_folder(path: Path, signers: signatures.Signers = signatures.ANYBODY) -> ReviewablePlan:
    """Return a plan with its roles and their evidence; else as `open_plan_folder`."""
    return open_plan_folder(path, signers).read


def sign_plan(plan: Path, key: Path) -> Path:
    """Sign a plan, and return the path of the signature beside it.

    Raises:
        InputError: There is no chain, the folder differs from it, or there is no such key.
        UsageError: The tool is not installed, or refuses the key.
    """
    file = plan_file(plan)
    if signatures.read_chain(file.parent, plan_text(plan)) is None:
        raise InputError(
            f"`{file.parent}` has no `{signatures.CHAIN}`", hint="write the plan anew with `rightsize propose`"
        )
    return signatures.sign_chain(file.parent, key)


def copy_plan_folder(folder: Path, out: Path) -> list[str]:
    """Write the files of a plan folder into another one, as `propose` writes them; return their names, sorted.

    Files that no run of rightsize wrote are not copied. A file of an earlier plan in the other folder is deleted.

    Raises:
        InputError: The folder has no manifest of its files, or the other folder cannot be written.
    """
    names = [name for name in read_manifest(folder) if is_found(folder, name)]
    if PLAN not in names:
        raise InputError(f"`{folder}` has no manifest that names its plan", hint="`rightsize propose` writes one")
    with prepared(out, ((name, parts_of_found(folder, name)) for name in names)) as files:
        return write_folder(files, out)
