"""A collection's folder may come from anywhere: what it names is checked before any of it is read."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from rightsize.collect.listing import CollectionUnit
from rightsize.collect.pages import JOURNAL, MANIFEST, Run
from rightsize.collect.runs import find_runs, open_loadable
from rightsize.model.errors import InputError

KNOWN = ("users",)
QUESTION = {"until": "2026-10-01T00:00:00+00:00", "days": 90, "raw": False}
QUESTION |= {name: [] for name in ("sources", "subscriptions", "workspaces", "containers")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished collection with one page of users and one covered log."""
    said = {"tenant_id": "t", "cloud": "public", "started": "2026-10-01T01:00:00+00:00", "question": QUESTION}
    covers = [{"source": "activity_log", "scope": "/", "first": "2026-07-01", "last": "2026-09-30"}]
    run = Run.create(tmp_path / "run", {**said, "covers": covers})
    at = run.progress("users", CollectionUnit("/", ()))
    run.write(at, b'{"value":[]}\n', rows=0, pages=1, pending=[], state="complete")
    run.close()
    return run.folder


def change(path: Path, keys: tuple[str | int, ...], value: object) -> None:
    """Give a value of the JSON in a file, or in the first line of a journal, another value."""
    document = json.loads(
        path.read_text(encoding="utf-8").splitlines()[0] if path.name == JOURNAL else path.read_bytes()
    )
    place: Any = document
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(json.dumps(document) + "\n", encoding="utf-8")


def test_the_folder_itself_is_read(folder: Path) -> None:
    """Else the refusals below would say nothing."""
    found = open_loadable(folder, (), KNOWN)
    assert (len(found.pages), len(found.covers)) == (1, 1)


@pytest.mark.parametrize(
    ("file", "keys", "value"),
    [
        (JOURNAL, ("file", "name"), "../../../../etc/passwd"),
        (JOURNAL, ("file", "name"), "/etc/passwd"),
        (JOURNAL, ("file", "name"), "/dev/zero"),
        (JOURNAL, ("file", "name"), "00001-../x.jsonl.gz"),
        (JOURNAL, ("file", "sha256"), 5),
        (JOURNAL, ("file", "rows"), -1),
        (JOURNAL, ("file", "rows"), True),
        (JOURNAL, ("source",), "../../x"),
        (JOURNAL, ("source",), "nobody"),
        (JOURNAL, ("source",), ["users"]),
        (JOURNAL, ("unit",), None),
        (JOURNAL, ("state",), "perfect"),
        (JOURNAL, ("state",), []),
        (JOURNAL, ("lost",), "x"),
        (JOURNAL, ("first",), "0001-01-01T00:00:00+00:00"),
        (JOURNAL, ("last",), "9999-12-31T00:00:00+00:00"),
        (JOURNAL, ("pending",), [{"service": "arm"}]),
        (JOURNAL, ("pending",), 1),
        (MANIFEST, ("covers", 0, "first"), "0001-01-01"),
        (MANIFEST, ("covers", 0, "last"), "9999-12-31"),
        (MANIFEST, ("covers", 0, "last"), "2026-06-30"),
        (MANIFEST, ("covers", 0, "source"), 1),
        (MANIFEST, ("covers",), True),
        (MANIFEST, ("started",), "yesterday"),
        (MANIFEST, ("finished",), 1),
        (MANIFEST, ("question", "until"), "x"),
        (MANIFEST, ("question", "days"), "x"),
        (MANIFEST, ("question", "sources"), [1]),
        (MANIFEST, ("question",), []),
        (MANIFEST, ("tenant_id",), []),
    ],
)
def test_what_no_collection_says_is_refused(
    folder: Path, file: str, keys: tuple[str | int, ...], value: object
) -> None:
    """Names that lead elsewhere, unknown sources, days of which there are no logs, and values of another type."""
    change(folder / file, keys, value)
    with pytest.raises(InputError):
        open_loadable(folder, (), KNOWN)


@pytest.mark.parametrize("line", [b"[]", b"5", b'"x"', b"{}", b'{"restart": true}'])
def test_a_line_that_is_no_entry_is_refused(folder: Path, line: bytes) -> None:
    (folder / JOURNAL).write_bytes(line + b"\n")
    with pytest.raises(InputError, match="line 1 of"):
        open_loadable(folder, (), KNOWN)


def test_a_page_that_is_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    """Though the hash is that of the file behind it: so nobody can ask whether a file has some content."""
    (page,) = folder.glob("pages/users/*/*")
    secret = tmp_path / "secret"
    secret.write_bytes(b"known content")
    page.unlink()
    page.symlink_to(secret)
    change(folder / JOURNAL, ("file", "sha256"), hashlib.sha256(b"known content").hexdigest())
    with pytest.raises(InputError, match="reached by a link"):
        open_loadable(folder, (), KNOWN)


@pytest.mark.parametrize("name", [MANIFEST, JOURNAL])
@pytest.mark.parametrize("kind", ["link", "pipe", "device"])
def test_only_regular_files_of_a_collection_are_read(folder: Path, tmp_path: Path, name: str, kind: str) -> None:
    """A link to a device would fill the memory, and a pipe would wait for ever."""
    (folder / name).rename(tmp_path / "outside")
    if kind == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to("/dev/zero" if kind == "device" else tmp_path / "outside")
    with pytest.raises(InputError, match=r"reached by a link|not a regular file"):
        open_loadable(folder, (), KNOWN)
    assert find_runs(folder) == ([] if name == MANIFEST else [folder])


def test_a_manifest_that_lacks_its_start_or_is_nested_deep_is_refused(folder: Path) -> None:
    said = json.loads((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_text(json.dumps({key: value for key, value in said.items() if key != "started"}))
    with pytest.raises(InputError, match="`started` is not a time"):
        open_loadable(folder, (), KNOWN)
    (folder / MANIFEST).write_text(json.dumps(said)[:-1] + ', "x": ' + "[" * 900 + "]" * 900 + "}")
    with pytest.raises(InputError, match=r"nested too deeply|nested deeper"):
        open_loadable(folder, (), KNOWN)


def test_a_collection_behind_a_link_is_not_found(folder: Path, tmp_path: Path) -> None:
    """In a folder of collections; the folder that a person names may be one."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "linked").symlink_to(folder)
    assert find_runs(tmp_path / "runs") == []
    assert find_runs(tmp_path / "runs" / "linked") == [tmp_path / "runs" / "linked"]
