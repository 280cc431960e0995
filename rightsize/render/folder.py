"""Write files into a plan folder, and read the manifest of what an earlier run wrote there.

Every file is written whole or not at all, `plan.json` last. `manifest.json` lists the written files, so that a later
run deletes only files of rightsize that nobody has changed since.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rightsize.model.errors import InputError
from rightsize.model.file_reading import hash_of_found, is_found, read_found
from rightsize.model.json_schemas import load_object
from rightsize.render.rows import indented

PLAN = "plan.json"
MANIFEST = "manifest.json"
_FOLDERS = ("roles", "evidence", "graph", "directory", "trust", "vault")
_SYNCED_AT_ONCE = 4
"""Files that the disk is asked to keep at a time: one after the other, thousands of them take minutes."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file that is too large for memory: written beside its final place, and hashed while it was written."""

    path: Path
    sha256: str


FileText = str | bytes | Prepared


@contextmanager
def prepared(directory: Path, texts: Iterable[tuple[str, Iterable[str | bytes]]]) -> Iterator[dict[str, Prepared]]:
    """Write texts, each part by part, into a folder; delete them at the end unless `write_folder` moved them.

    Args:
        directory: The folder; it is created where it is missing.
        texts: The name of each file and the parts of its content, one after the other.

    Raises:
        InputError: The folder cannot be written.
    """
    files: dict[str, Prepared] = {}
    try:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with ThreadPoolExecutor(_SYNCED_AT_ONCE) as pool:
                synced = []
                for name, parts in texts:
                    found = hashlib.sha256()
                    path = _write_beside(directory, _hashed(parts, found))
                    files[name] = Prepared(path, found.hexdigest())
                    synced.append(pool.submit(_sync, path))
            for one in synced:
                one.result()
        except OSError as error:
            raise _unwritable(directory, error) from error
        yield files
    finally:
        for file in files.values():
            file.path.unlink(missing_ok=True)


def _hashed(parts: Iterable[str | bytes], found: hashlib._Hash) -> Iterator[bytes]:
    for part in parts:
        written = _bytes_of(part)
        found.update(written)
        yield written


def write_folder(files: Mapping[str, FileText], directory: Path) -> list[str]:
    """Write files into a plan folder, delete those that only an earlier run wrote, and return all names.

    Args:
        files: The text of each file by its name; `render.plan.plan_files` returns those of a plan.
        directory: The folder; it is created where it is missing.

    Raises:
        InputError: The folder cannot be written.
    """
    try:
        for folder in sorted({"roles", *(name.partition("/")[0] for name in files if "/" in name)}):
            if (directory / folder).is_symlink():
                raise InputError(f"`{directory / folder}` is a link: nothing is written through it")
            (directory / folder).mkdir(parents=True, exist_ok=True)
        earlier = read_manifest(directory)
        for name in sorted(files, key=lambda name: (name == PLAN, name)):
            _replace(directory / name, files[name])
        for name in sorted(set(earlier) - set(files)):
            _remove_own(directory, name, earlier[name])
        _replace(directory / MANIFEST, json_text({name: digest_of(files[name]) for name in sorted(files)}))
        _remove_left(directory)
    except OSError as error:
        raise _unwritable(directory, error) from error
    return sorted([*files, MANIFEST])


def note_file(directory: Path, name: str) -> None:
    """Note a file that was made beside a plan, so that the next plan deletes it.

    Raises:
        InputError: The folder cannot be written.
    """
    try:
        known = read_manifest(directory) | {name: hash_of_found(directory, name)}
        _replace(directory / MANIFEST, json_text(dict(sorted(known.items()))))
    except OSError as error:
        raise _unwritable(directory, error) from error


def json_text(document: object) -> str:
    """Return a document as the text of a JSON file."""
    return indented(document) + "\n"


def digest_of(text: FileText) -> str:
    """Return the SHA-256 of a file, as hexadecimal text."""
    return text.sha256 if isinstance(text, Prepared) else hashlib.sha256(_bytes_of(text)).hexdigest()


def _bytes_of(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _unwritable(directory: Path, error: OSError) -> InputError:
    return InputError(f"`{directory}` cannot be written: {error.strerror}")


def _replace(path: Path, text: FileText) -> None:
    """Move a file from beside its place to its place; a symbolic link there is replaced, not followed."""
    beside = text.path if isinstance(text, Prepared) else _write_beside(path.parent, [_bytes_of(text)])
    try:
        if not isinstance(text, Prepared):
            _sync(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _write_beside(directory: Path, parts: Iterable[bytes]) -> Path:
    """Write a file into a folder under a name of its own."""
    handle, name = tempfile.mkstemp(dir=directory, prefix=f".rightsize-{os.getpid()}-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.writelines(parts)
        Path(name).chmod(0o666 & ~_umask())  # A temporary file is private whatever the umask.
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _sync(path: Path) -> None:
    """Wait until the disk has the content of a file."""
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_left(directory: Path) -> None:
    """Remove the files that runs which were killed wrote beside their place, here and one folder down."""
    if os.name != "posix":
        return  # Elsewhere nobody can be asked whether a process lives.
    for path in (*directory.glob(".rightsize-*-*.tmp"), *directory.glob("*/.rightsize-*-*.tmp")):
        number = path.name.split("-")[1]
        if not number.isdecimal():
            continue
        try:
            os.kill(int(number), 0)
        except (ProcessLookupError, OverflowError):
            path.unlink(missing_ok=True)
        except PermissionError:
            continue  # It lives, and is somebody else's.


def read_manifest(directory: Path) -> dict[str, str]:
    """Return the files that an earlier run says it wrote; a foreign manifest counts as empty."""
    try:
        found = load_object(read_found(directory, MANIFEST), f"`{MANIFEST}`")
    except InputError:
        return {}
    return {name: digest for name, digest in found.items() if isinstance(digest, str) and _is_own_name(name)}


def _is_own_name(name: str) -> bool:
    """Return whether a plan folder can hold a name: inside one of its folders, or beside `plan.json`."""
    # It imports every form, and a plan folder that is only read needs none.
    from rightsize.render.deploy.files import PLAN_FORMS  # noqa: PLC0415

    folder, slash, file = name.rpartition("/")
    plain_name = bool(file) and all(
        character.isascii() and (character.isalnum() or character in "-.") for character in file
    )
    return plain_name and not file.startswith(".") and (not slash or folder in _FOLDERS or folder in PLAN_FORMS)


def _remove_own(directory: Path, name: str, digest: str) -> None:
    if is_found(directory, name) and hash_of_found(directory, name) == digest:
        (directory / name).unlink()
