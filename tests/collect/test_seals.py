"""The word of a collection counts where this machine made it, or where a person says so."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from rightsize.cli.main import run
from rightsize.collect.listing import CollectionUnit
from rightsize.collect.pages import JOURNAL, MANIFEST, SEAL, Run, is_sealed_here, seal_of
from rightsize.store.connection import open_store
from tests.store.staged import rows_of

COVERS = [{"source": "activity_log", "scope": "/", "first": "2026-07-01", "last": "2026-09-30"}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A collection that this machine made, which covers a log."""
    said = {"tenant_id": "t", "cloud": "public", "started": "2026-10-01T01:00:00+00:00"}
    made = Run.create(tmp_path / "run", {**said, "covers": COVERS})
    at = made.progress("users", CollectionUnit("/", ()))
    user = {"id": "00000000-0000-0000-0000-000000000001", "userPrincipalName": "a@b.example", "displayName": "A"}
    page = {"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users", "value": [user]}
    made.write(at, json.dumps(page).encode() + b"\n", rows=1, pages=1, pending=[], state="complete")
    made.manifest[SEAL] = seal_of(made.manifest, made.folder / JOURNAL)
    made.save()
    made.close()
    return made.folder


def covered(folder: Path, *options: str) -> int:
    """Load the folder into a new store; return the number of days that are declared as covered."""
    store = folder.parent / f"{len(list(folder.parent.iterdir()))}.duckdb"
    assert run(["load", str(folder), "--db", str(store), "--no-input", *options]) == 0
    with open_store(store, read_only=True) as opened:
        return len(rows_of(opened, "declared_windows", "source"))


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From here on this is another machine."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))


@pytest.mark.slow
def test_a_collection_of_this_machine_is_believed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert covered(folder) > 0
    assert "did not collect" not in capsys.readouterr().err


@pytest.mark.nightly
@pytest.mark.usefixtures("elsewhere")
def test_a_collection_of_another_machine_is_believed_when_a_person_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else its rows count, and nothing that it says of its completeness; the load says so."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "third"))
    assert covered(folder) == 0
    assert "--trust-collections" in capsys.readouterr().err
    assert covered(folder, "--trust-collections") > 0


@pytest.mark.parametrize("change", ["manifest", "journal", "no seal"])
def test_a_changed_collection_is_not_ones_own(folder: Path, change: str) -> None:
    manifest = json.loads((folder / MANIFEST).read_bytes())
    assert is_sealed_here(manifest, folder / JOURNAL)
    if change == "manifest":
        manifest["covers"][0]["first"] = "2026-06-01"
    elif change == "journal":
        (folder / JOURNAL).write_bytes((folder / JOURNAL).read_bytes() + b"\n")
    else:
        del manifest[SEAL]
    assert not is_sealed_here(manifest, folder / JOURNAL)


@pytest.mark.usefixtures("elsewhere")
def test_the_key_is_private_and_made_once(tmp_path: Path) -> None:
    first = seal_of({"a": 1}, tmp_path / "none")
    (key,) = tmp_path.glob("other/rightsize/*")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert seal_of({"a": 1}, tmp_path / "none") == first


def test_a_machine_that_cannot_keep_a_key_seals_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Collecting goes on; its word is asked for like that of any other."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert seal_of({}, tmp_path / "none") is None
    assert not is_sealed_here({SEAL: None}, tmp_path / "none")
