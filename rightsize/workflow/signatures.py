"""Sign and check small files with the user's own tools: OpenSSH's `ssh-keygen -Y`, or minisign.

For a plan, the chain of hashes beside it is signed, and with it everything that the chain covers.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from rightsize.model.errors import GateError, InputError, UsageError
from rightsize.render.plan import note_file
from rightsize.workflow.chain import CHAIN, read_chain
from rightsize.workflow.plan_folder import plan_file
from rightsize.workflow.text_files import read_bytes

NAMESPACE = "rightsize-plan"
_SSH, _MINISIGN = ".sig", ".minisig"
_STDERR = 2
_MINISIGN_KEY = b"untrusted comment:"


def sign_plan(plan: Path, key: Path) -> Path:
    """Sign a plan, and return the path of the signature beside it.

    The tool may ask for the key's passphrase on the terminal; this process reads only the first words of the key.

    Raises:
        InputError: There is no chain, the folder differs from it, or there is no such key.
        UsageError: The tool is not installed, or refuses the key.
    """
    folder = plan_file(plan).parent
    if read_chain(folder) is None:
        raise InputError(f"`{folder}` has no `{CHAIN}`", hint="write the plan anew with `rightsize propose`")
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
    is_minisign = read_bytes(key).startswith(_MINISIGN_KEY)
    made = _beside(file, _MINISIGN if is_minisign else _SSH)
    made.unlink(missing_ok=True)  # ssh-keygen would ask before it overwrites a signature
    if is_minisign:
        _sign(["minisign", "-S", "-s", str(key), "-m", str(file), "-x", str(made)])
    else:
        _sign(["ssh-keygen", "-Y", "sign", "-q", "-f", str(key), "-n", namespace, str(file)])
    return made


def signature_of(folder: Path) -> str | None:
    """Return the name of a signature beside a plan, unchecked, or None."""
    names = (f"{CHAIN}{suffix}" for suffix in (_SSH, _MINISIGN))
    return next((name for name in names if (folder / name).is_file()), None)


def check_signature(folder: Path, signers: Path, signer: str | None = None) -> str:
    """Return the signer of a plan, by the name in the file of signers; see `check_file`.

    Args:
        folder: The plan folder; its chain has been read.
        signers: OpenSSH's file of allowed signers (ssh-keygen(1)), or a public key of minisign.
        signer: Whose signature it has to be, in the first of these; anybody's of the file without it.
    """
    hint = "`rightsize plan sign PLAN --key FILE` does that"
    return check_file(folder / CHAIN, signers, signer, namespace=NAMESPACE, what="the plan", hint=hint)


def check_file(file: Path, signers: Path, signer: str | None, *, namespace: str, what: str, hint: str) -> str:
    """Return the signer of a file, by the name in the file of signers.

    Args:
        file: The file; its signature is beside it.
        signers: OpenSSH's file of allowed signers (ssh-keygen(1)), or a public key of minisign.
        signer: Whose signature it has to be, in the first of these; anybody's of the file without it.
        namespace: The purpose that OpenSSH's signature must have.
        what: A description of the file for people.
        hint: The hint that says how to sign it.

    Raises:
        GateError: The file is not signed, or not by one of the signers.
        UsageError: The tool is not installed.
    """
    is_minisign = read_bytes(signers).startswith(_MINISIGN_KEY)
    made = _beside(file, _MINISIGN if is_minisign else _SSH)
    if not made.is_file() or not file.is_file():
        raise GateError(f"{what} is not signed", hint=hint)
    if is_minisign:
        _check(["minisign", "-V", "-q", "-p", str(signers), "-m", str(file), "-x", str(made)], what)
        return str(signers)
    if signer is None:
        found = _check(["ssh-keygen", "-Y", "find-principals", "-s", str(made), "-f", str(signers)], what)
        signer = found.splitlines()[0].strip() if found.strip() else ""
    words = ["-f", str(signers), "-I", signer, "-n", namespace, "-s", str(made)]
    _check(["ssh-keygen", "-Y", "verify", *words], what, read_bytes(file))
    return signer


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
