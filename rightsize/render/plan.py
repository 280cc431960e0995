"""Write the plan folder: `plan.json`, one file a role, the evidence for each role, and tables of evidence in Parquet.

Every file is written whole or not at all, `plan.json` last. `manifest.json` lists the written files, so that a later
run deletes only files of rightsize that nobody has changed since. Text from the tenant is ASCII-escaped in JSON: no
invisible or direction-changing character reaches a diff.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.plan_evidence import (
    EvidenceFile,
    files_of,
    grant_tables,
    readings_of,
    stays_inline,
    take_rows,
    write_table,
)
from rightsize.model.errors import InputError
from rightsize.model.file_reading import hash_of_found, is_found, read_found
from rightsize.model.json_schemas import load_object
from rightsize.model.plan import PLAN_FORMAT, Plan, PlannedAssignment, Proposal
from rightsize.model.plan_file import OPERATIONS, READINGS, SaidOnce, shortened
from rightsize.model.plan_totals import total_excess
from rightsize.model.role_forms import hash_of_role, to_arm
from rightsize.render.deploy.files import PLAN_FORMS
from rightsize.render.role_summary import write_review
from rightsize.render.rows import compact, indented

PLAN = "plan.json"
MANIFEST = "manifest.json"
_FOLDERS = ("roles", "evidence", "graph", "directory", "trust", "vault", *PLAN_FORMS)
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
        files: The text of each file by its name; `plan_files` returns those of a plan.
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
        _replace(directory / MANIFEST, _json({name: digest_of(files[name]) for name in sorted(files)}))
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
        _replace(directory / MANIFEST, _json(dict(sorted(known.items()))))
    except OSError as error:
        raise _unwritable(directory, error) from error


def plan_files(plan: Plan) -> dict[str, str | bytes]:
    """Return the contents of all files of a plan by name: texts, and bytes of Parquet."""
    files: dict[str, str | bytes] = {}
    for name, parts in plan_texts(plan):
        listed = list(parts)
        files[name] = "".join(map(str, listed)) if isinstance(listed[0], str) else bytes(listed[0])
    return files


def plan_texts(plan: Plan) -> Iterator[tuple[str, Iterable[str | bytes]]]:
    """Yield for each file of a plan its name and the parts of its content."""
    tables = evidence_tables(plan)
    listed = files_of(tables)
    yield PLAN, plan_parts(plan, listed)
    for one in listed:
        yield one.file, (write_table(tables.pop(one.table)),)
    for name, text in _role_files(plan):
        yield name, (text,)


def evidence_tables(plan: Plan) -> dict[str, pl.DataFrame]:
    """Return the tables of evidence of a plan, in the order of its proposals."""
    every = plan.all_proposals
    tables = take_rows((one.id, one.plane, one.evidence) for one in every) | grant_tables(every)
    tables[READINGS.name] = readings_of(plan.rests_on)
    if plan.uses is not None:
        uses = pl.concat([pl.DataFrame(plan.uses), tables[OPERATIONS.name]])
        ids = pl.DataFrame({"proposal_id": [one.id for one in every]}, schema={"proposal_id": pl.String})
        tables[OPERATIONS.name] = ids.join(uses, on="proposal_id", maintain_order="left_right").select(uses.columns)
    return tables


def plan_parts(plan: Plan, listed: Sequence[EvidenceFile] | None = None) -> Iterator[str]:
    """Yield the text of `plan.json` in parts, one for each line: a proposal and a role have a line each.

    Args:
        plan: The plan.
        listed: The files of its tables of evidence; None computes them.
    """
    without = replace(plan, proposals=(), parts=tuple(replace(part, proposals=()) for part in plan.parts), uses=None)
    evidence = [one.as_json() for one in (files_of(evidence_tables(plan)) if listed is None else listed)]
    document = plan_document(without) | {"excess": total_excess(plan.proposals).as_json(), "evidence": evidence}
    lists: dict[str, Iterable[object]] = {name: found for name, found in document.items() if isinstance(found, list)}
    once = said_once(plan)
    document["grows"] = once.grows
    lists["proposals"] = (shortened(proposal_document(one), once) for one in plan.all_proposals)
    before = "{\n"
    for name, value in document.items():
        yield f"{before}{compact(name)}:"
        before = ",\n"
        if name in lists:
            yield from _lined("[", "]", (compact(one) for one in lists[name]))
        else:
            yield compact(value)
    yield "\n}\n"


def _lined(begin: str, end: str, items: Iterable[str]) -> Iterator[str]:
    """Yield items between brackets, one a line."""
    yield begin
    before = "\n"
    for item in items:
        yield before + item
        before = ",\n"
    yield end if before == "\n" else "\n" + end


def _role_files(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield name and text of every file of a plan except `plan.json`."""
    users_of: dict[str, list[Proposal]] = defaultdict(list)
    for proposal in plan.proposals:
        for role_id in sorted({one.role for one in proposal.assignments}):
            users_of[role_id].append(proposal)
    for role in plan.roles:
        users = users_of[role.definition.role_definition_id]
        yield f"roles/{role.slug}.json", _json(to_arm(role.definition))
        evidence = {**role.evidence, "proposals": [_review_json(proposal) for proposal in users]}
        yield f"evidence/{role.slug}.json", _json(evidence)
        yield f"evidence/{role.slug}.md", write_review(role, users, plan)
    for part in plan.parts:
        yield from part.files.items()


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return `plan.json` as values that `rows.plain` takes."""
    once = said_once(plan)
    return {
        "format_version": PLAN_FORMAT,
        "generated_from": plan.generated_from,
        "proposals": [shortened(proposal_document(proposal), once) for proposal in plan.all_proposals],
        "roles": [
            {
                "role": role.definition.role_definition_id,
                "name": role.definition.role_name,
                "file": f"roles/{role.slug}.json",
                "content": hash_of_role(role.definition),
            }
            for role in plan.roles
        ],
        "advice": [
            {"subject": advice.subject, "text": advice.text}
            for advice in (*plan.advice, *(one for part in plan.parts for one in part.advice))
        ],
        "replay": plan.replay,
        "excess": total_excess(plan.proposals).as_json(),
        "evidence": [one.as_json() for one in files_of(evidence_tables(plan))],
        "would_tell": plan.would_tell,
        "grows": once.grows,
        "reads": plan.reads,
        "curve": list(plan.curve),
        **({"separation": plan.separation} if plan.separation else {}),
        "planes": {
            part.plane: {"window": part.window, "replay": part.replay, "rests_on": part.rests_on}
            | ({"reads": part.reads} if part.reads else {})
            for part in plan.parts
        },
    }


def said_once(plan: Plan) -> SaidOnce:
    """Return what a plan says once for all of its proposals."""
    grown = {one.role: str(one.because) for proposal in plan.all_proposals for one in proposal.proof.tomorrow}
    return SaidOnce(dict(sorted(grown.items())))


def proposal_document(proposal: Proposal) -> dict[str, Any]:
    """Return a whole proposal as values that `rows.plain` takes; `plan.json` leaves out what goes without saying."""
    return {
        "id": proposal.id,
        "plane": proposal.plane,
        "principal_ids": list(proposal.principal_ids),
        "kind": proposal.kind,
        "reason": proposal.reason,
        "replaces": list(proposal.replaces),
        "assignments": [_assignment(one) for one in proposal.assignments],
        "evidence": stays_inline(proposal.evidence),
        "proof": {
            "used_subset": proposal.proof.used_subset,
            "granted_superset": proposal.proof.granted_superset,
            "witness": proposal.proof.witness,
            "tomorrow": [{"role": one.role, "because": one.because} for one in proposal.proof.tomorrow],
        },
        "break_probability_30d": proposal.break_probability_30d,
        "excess_before": proposal.excess_before,
        "excess_after": proposal.excess_after,
        "risk_before": proposal.risk_before,
        "risk_after": proposal.risk_after,
    }


def _assignment(one: PlannedAssignment) -> dict[str, Any]:
    """Return an assignment as plain values, with `end_on` only where it has an end."""
    return {
        "role": one.role,
        "scope": one.scope,
        "principal_id": one.principal_id,
        "condition": one.condition,
        "state": one.state,
    } | ({"end_on": one.end_on} if one.end_on else {})


def _review_json(proposal: Proposal) -> dict[str, Any]:
    """Return the part of a role's evidence about a proposal that assigns it: removals, certainty, proof."""
    document = proposal_document(proposal)
    keys = ("id", "principal_ids", "kind", "replaces", "assignments", "proof", "break_probability_30d")
    absent = {"absent": proposal.evidence["absent"]} if "absent" in proposal.evidence else {}
    return {key: document[key] for key in keys} | {"removed": proposal.evidence.get("removed", {})} | absent


def _json(document: object) -> str:
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
    folder, slash, file = name.rpartition("/")
    plain_name = bool(file) and all(
        character.isascii() and (character.isalnum() or character in "-.") for character in file
    )
    return plain_name and not file.startswith(".") and (folder in _FOLDERS if slash else True)


def _remove_own(directory: Path, name: str, digest: str) -> None:
    if is_found(directory, name) and hash_of_found(directory, name) == digest:
        (directory / name).unlink()
