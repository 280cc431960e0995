"""Make and check the chain of hashes beside a plan, and sign it with the user's own tools.

Each link is the hash of the link before it and of its own part: loaded files, store content, catalogue, plan and its
files. So the last link covers all. The plan itself names no files and load times: the same content makes the same
plan, whatever files it came from.

The tools are OpenSSH's `ssh-keygen -Y` and minisign. For a plan, its chain is signed, and with it everything that the
chain covers.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rightsize.model.errors import GateError, InputError, UsageError
from rightsize.model.file_reading import SMALL, hash_of_found, is_found, read_found, read_given, stands_in
from rightsize.model.json_schemas import load_object
from rightsize.render.folder import PLAN, FileText, digest_of, note_file, read_manifest

if TYPE_CHECKING:
    import polars as pl

CHAIN = "chain.json"
_FORMAT = 1
_PARTS = ("inputs", "store", "catalogue", "plan", "files")
_AGAIN = "write the plan anew with `rightsize propose`"


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain of hashes that fits the plan folder it was read from.

    Attributes:
        head: The last link.
        store: Hash of the content of the store that the plan was made from.
        catalogue: Hash of the catalogue of operations that it was made from.
        inputs: Hashes of the files that were loaded at that time, with their shape.
        files: The other files of the plan folder, by name.
    """

    head: str
    store: str
    catalogue: str
    inputs: frozenset[tuple[str, str]]
    files: tuple[str, ...]

    def answer(self, store: str, loads: pl.DataFrame) -> dict[str, Any]:
        """Return how many loaded files the store of today lacks, and whether its content is the same."""
        known = set(loads.select("source", "sha256").iter_rows())
        return {
            "head": self.head,
            "inputs": len(self.inputs),
            "inputs_missing": len(self.inputs - known),
            "store_is_the_same": store == self.store,
        }


def make_chain(loads: pl.DataFrame, generated_from: Mapping[str, Any], files: Mapping[str, FileText]) -> str:
    """Return the chain of a plan as JSON.

    Args:
        loads: The table `loads`.
        generated_from: The `generated_from` of `plan.json`: what the plan was made from.
        files: Every file of the plan folder by name, including `plan.json`.
    """
    inputs = [
        {"source": source, "sha256": found} for source, found in sorted(loads.select("source", "sha256").iter_rows())
    ]
    digests = {name: digest_of(text) for name, text in sorted(files.items()) if name not in (PLAN, CHAIN)}
    hashes = {
        "inputs": _digest_of(inputs),
        "store": str(generated_from["content_hash"]),
        "catalogue": str(generated_from["catalogue_hash"]),
        "plan": digest_of(files[PLAN]),
        "files": _digest_of(digests),
    }
    links, last = [], ""
    for part in _PARTS:
        last = _link(last, part, hashes[part])
        links.append({"of": part, "sha256": hashes[part], "link": last})
    return _json({"format_version": _FORMAT, "links": links, "inputs": inputs, "files": digests})


def head_of(chain: str) -> str:
    """Return the last link of a chain of `make_chain`."""
    return str(json.loads(chain)["links"][-1]["link"])


def read_chain(folder: Path, plan: bytes) -> Chain | None:
    """Return the chain of a plan folder, or None where there is none.

    Args:
        folder: The plan folder.
        plan: Its `plan.json`.

    Raises:
        InputError: The file is not a chain, the chain is broken, the folder differs from it, or the chain is missing
            though the manifest of the folder names it.
    """
    if not stands_in(folder, CHAIN):
        if CHAIN in read_manifest(folder):
            raise InputError(f"`{folder}` lacks its `{CHAIN}`, which its manifest names", hint=_AGAIN)
        return None
    document = load_object(read_found(folder, CHAIN), f"`{CHAIN}`", hint=_AGAIN)
    if document.get("format_version") != _FORMAT:
        raise InputError(f"`{CHAIN}` is not a chain of this version", hint=_AGAIN)
    try:
        links = [(str(one["of"]), str(one["sha256"]), str(one["link"])) for one in document["links"]]
        inputs = [{"source": str(one["source"]), "sha256": str(one["sha256"])} for one in document["inputs"]]
        files = {str(name): str(found) for name, found in document["files"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"`{CHAIN}` is incomplete: {error}", hint=_AGAIN) from None
    last = ""
    for part, (of, found, link) in zip(_PARTS, links, strict=False):
        last = _link(last, part, found)
        if of != part or link != last:
            raise InputError(f"`{CHAIN}` is broken at `{part}`", hint=_AGAIN)
    if len(links) != len(_PARTS):
        raise InputError(f"`{CHAIN}` has {len(links)} links, not {len(_PARTS)}", hint=_AGAIN)
    hashes = {of: found for of, found, _ in links}
    if hashes["inputs"] != _digest_of(inputs) or hashes["files"] != _digest_of(files):
        raise InputError(f"`{CHAIN}` lists something else than it was made of", hint=_AGAIN)
    _check_folder(folder, plan, hashes["plan"], files)
    known = frozenset((one["source"], one["sha256"]) for one in inputs)
    return Chain(last, hashes["store"], hashes["catalogue"], known, tuple(sorted(files)))


def check_origin(chain: Chain, generated_from: Mapping[str, Any]) -> None:
    """Raise InputError where a plan says that it was made from something else than its chain does."""
    if (generated_from["content_hash"], generated_from["catalogue_hash"]) != (chain.store, chain.catalogue):
        raise InputError("the plan says that it was made from something else than its chain does", hint=_AGAIN)


def _check_folder(folder: Path, plan: bytes, wanted: str, files: Mapping[str, str]) -> None:
    """Raise InputError where a file differs from the chain."""
    altered = [PLAN] if _digest(plan) != wanted else []
    altered += [name for name, found in sorted(files.items()) if _digest_in(folder, name) != found]
    if altered:
        shown = ", ".join(f"`{name}`" for name in altered[:5])
        raise InputError(f"not what the chain of the plan says: {shown}, {len(altered)} in all", hint=_AGAIN)


def _digest_in(folder: Path, name: str) -> str | None:
    """Return the SHA-256 of a regular file in a folder; None where there is none."""
    with suppress(InputError):
        return hash_of_found(folder, name)
    return None


def _link(before: str, part: str, found: str) -> str:
    return _digest(f"{before}\n{part}\n{found}\n".encode())


def _digest_of(document: object) -> str:
    return _digest(json.dumps(document, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _json(document: object) -> str:
    return json.dumps(document, ensure_ascii=True, indent=1) + "\n"


NAMESPACE = "rightsize-plan"
_SSH, _MINISIGN = ".sig", ".minisig"
_STDERR = 2
_MINISIGN_KEY = b"untrusted comment:"
_SIGNS = "`rightsize plan sign PLAN --key FILE` does that"


@dataclass(frozen=True, slots=True)
class Signers:
    """Whose signature a plan must have.

    Attributes:
        file: OpenSSH's file of allowed signers (ssh-keygen(1)), or a public key of minisign; None asks for none.
        name: Whose signature it has to be, in the first of these; anybody's of the file without it.
    """

    file: Path | None = None
    name: str | None = None


ANYBODY = Signers()


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that was checked.

    Attributes:
        signer: Its signer, by the name in the file of signers; None where no file says whose the key is.
        key: The key that made it, as the tool shows it; empty where the file of signers has its name.
    """

    signer: str | None
    key: str = ""


def sign_chain(folder: Path, key: Path) -> Path:
    """Sign the chain of a plan folder, which has been read, and return the path of the signature beside it.

    The tool may ask for the key's passphrase on the terminal; this process reads only the first words of the key.

    Raises:
        InputError: There is no such key.
        UsageError: The tool is not installed, or refuses the key.
    """
    made = sign_file(folder / CHAIN, key, NAMESPACE)
    note_file(folder, made.name)
    return made


def sign_file(file: Path, key: Path, namespace: str) -> Path:
    """Sign a file, and return the path of the signature beside it.

    Args:
        file: The file.
        key: A key of OpenSSH, or of minisign.
        namespace: The purpose of OpenSSH's signature, so that it is valid for no other.

    Raises:
        InputError: There is no such key.
        UsageError: The tool is not installed, or refuses the key.
    """
    is_minisign = read_given(key, most=SMALL).startswith(_MINISIGN_KEY)
    made = _beside(file, _MINISIGN if is_minisign else _SSH)
    made.unlink(missing_ok=True)  # ssh-keygen would ask before it overwrites a signature
    if is_minisign:
        _sign(["minisign", "-S", "-s", str(key), "-m", str(file), "-x", str(made)])
    else:
        _sign(["ssh-keygen", "-Y", "sign", "-q", "-f", str(key), "-n", namespace, str(file)])
    return made


def signatures_of(folder: Path) -> list[str]:
    """Return the names of the signatures beside a plan, unchecked."""
    return [f"{CHAIN}{suffix}" for suffix in (_SSH, _MINISIGN) if stands_in(folder, f"{CHAIN}{suffix}")]


def check_signature(folder: Path, signers: Signers) -> Signature | None:
    """Check the signature of a plan whose chain has been read; None where it has none and needs none.

    A signature that lies beside a plan has to hold whether signers are named or not: one of OpenSSH brings its key, so
    that a changed plan is found; whose key it is only a file of signers says.

    Raises:
        GateError: The plan is not signed by one of the signers, or its signature does not hold.
        UsageError: The tool is not installed, or only a file of signers could check the signature.
    """
    if signers.file is not None:
        signer = check_file(folder, CHAIN, signers, namespace=NAMESPACE, what="the plan", hint=_SIGNS)
        return Signature(signer)
    beside = signatures_of(folder)
    if not beside:
        return None
    if not is_found(folder, CHAIN):
        raise GateError(f"`{beside[0]}` lies beside the plan, and its `{CHAIN}` does not", hint="do not apply it")
    if f"{CHAIN}{_SSH}" not in beside:
        hint = "`--signers FILE` names the public key, and so does the variable RIGHTSIZE_SIGNERS"
        raise UsageError(f"`{beside[0]}` lies beside the plan, and no key is named to check it", hint=hint)
    content = read_found(folder, CHAIN)
    with _copied(content, read_found(folder, f"{CHAIN}{_SSH}")) as (_, made):
        words = ["ssh-keygen", "-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(made)]
        return Signature(None, _check(words, "the plan", content).strip().rpartition(" with ")[2])


def check_file(folder: Path, name: str, signers: Signers, *, namespace: str, what: str, hint: str) -> str:
    """Return the signer of a file in a folder, by the name in the file of signers.

    Args:
        folder: The folder.
        name: The file; its signature is beside it.
        signers: The accepted signers, of which there is a file.
        namespace: The purpose that OpenSSH's signature must have.
        what: A description of the file for people.
        hint: The hint that says how to sign it.

    Raises:
        GateError: The file is not signed, or not by one of the signers.
        UsageError: The tool is not installed.
    """
    assert signers.file is not None  # noqa: S101  the caller has seen it
    accepted = read_given(signers.file, most=SMALL)
    is_minisign = accepted.startswith(_MINISIGN_KEY)
    signature = f"{name}{_MINISIGN if is_minisign else _SSH}"
    if not stands_in(folder, signature) or not stands_in(folder, name):
        raise GateError(f"{what} is not signed", hint=hint)
    content = read_found(folder, name)
    with _copied(content, read_found(folder, signature), accepted) as (file, made, keys):
        if is_minisign:
            _check(["minisign", "-V", "-q", "-p", str(keys), "-m", str(file), "-x", str(made)], what)
            return str(signers.file)
        signer = signers.name
        if signer is None:
            found = _check(["ssh-keygen", "-Y", "find-principals", "-s", str(made), "-f", str(keys)], what)
            signer = found.splitlines()[0].strip() if found.strip() else ""
        words = ["-f", str(keys), "-I", signer, "-n", namespace, "-s", str(made)]
        _check(["ssh-keygen", "-Y", "verify", *words], what, content)
        return signer


@contextmanager
def _copied(*contents: bytes) -> Iterator[list[Path]]:
    """Give the tools files with what was read, so that they open none of a folder by themselves."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, str(number)) for number in range(len(contents))]
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)
        yield files


def _beside(file: Path, suffix: str) -> Path:
    return file.with_name(f"{file.name}{suffix}")


def _sign(command: list[str]) -> None:
    """Run a tool that may ask for a passphrase; its output goes to stderr, since stdout is data."""
    try:
        done = subprocess.run(command, stdout=_STDERR, stderr=subprocess.PIPE, check=False)  # noqa: S603
    except OSError:
        raise _missing(command[0]) from None
    if done.returncode != 0:
        raise UsageError(f"`{command[0]}` cannot sign: {_first(done.stderr)}")


def _check(command: list[str], what: str, content: bytes | None = None) -> str:
    try:
        done = subprocess.run(command, input=content, capture_output=True, check=False)  # noqa: S603
    except OSError:
        raise _missing(command[0]) from None
    if done.returncode != 0:
        said = _first(done.stderr + b"\n" + done.stdout)
        raise GateError(f"the signature of {what} does not hold: {said}", hint="do not apply it")
    return done.stdout.decode(errors="replace")


def _missing(tool: str) -> UsageError:
    return UsageError(f"`{tool}` is not installed", hint="it makes and checks such signatures")


def _first(said: bytes) -> str:
    return (said.decode(errors="replace").strip().splitlines() or ["the tool gives no reason"])[0][:200]
