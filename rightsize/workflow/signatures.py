"""Sign and check small files with the user's own tools: OpenSSH's `ssh-keygen -Y`, or minisign.

For a plan, the chain of hashes beside it is signed, and with it everything that the chain covers.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rightsize.model.errors import GateError, UsageError
from rightsize.model.file_reading import SMALL, is_found, read_found, read_given, stands_in
from rightsize.render.plan import note_file
from rightsize.workflow.chain import CHAIN

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
