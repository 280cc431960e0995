"""Make and check the chain of hashes beside a plan: loaded files, store content, catalogue, plan and its files.

Each link is the hash of the link before it and of its own part, so that the last link covers all. The plan itself names
no files and load times: the same content makes the same plan, whatever files it came from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.model.errors import InputError
from rightsize.model.file_reading import hash_of_found, is_found, read_found, stands_in
from rightsize.model.json_schemas import load_object
from rightsize.render.plan import PLAN, FileText, digest_of, read_manifest

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
    for name, found in sorted(files.items()):
        if not is_found(folder, name) or hash_of_found(folder, name) != found:
            altered.append(name)
    if altered:
        shown = ", ".join(f"`{name}`" for name in altered[:5])
        raise InputError(f"not what the chain of the plan says: {shown}, {len(altered)} in all", hint=_AGAIN)


def _link(before: str, part: str, found: str) -> str:
    return _digest(f"{before}\n{part}\n{found}\n".encode())


def _digest_of(document: object) -> str:
    return _digest(json.dumps(document, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _json(document: object) -> str:
    return json.dumps(document, ensure_ascii=True, indent=1) + "\n"
