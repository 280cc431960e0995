"""The SQL files are found in every kind of installation of rightsize."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from rightsize.model.errors import InternalError
from rightsize.store import queries

ROOT = Path(__file__).resolve().parents[2]


def _package_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = tmp_path / "site" / "rightsize"
    package.mkdir(parents=True)
    monkeypatch.setattr(queries, "PACKAGE", package)
    return package


def test_a_checkout_has_them_beside_the_package() -> None:
    """In a checkout and an editable install the folder is the project's own."""
    assert queries.queries_folder() == ROOT / "queries"
    assert queries.query_text("reduce/normalise").strip()


def test_a_wheel_has_them_inside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package reads its own texts, whatever lies beside it."""
    package = _package_at(tmp_path, monkeypatch)
    for folder, text in ((package / "_queries", "SELECT 'inside'"), (package.parent / "queries", "SELECT 'beside'")):
        (folder / "reduce").mkdir(parents=True)
        (folder / "reduce" / "normalise.sql").write_text(text, encoding="utf-8")
    assert queries.query_text("reduce/normalise") == "SELECT 'inside'"


def test_an_installation_without_them_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken installation is an internal error with what to do, not a missing file."""
    _package_at(tmp_path, monkeypatch)
    with pytest.raises(InternalError, match="not installed"):
        queries.query_text("reduce/normalise")


@pytest.mark.parametrize("name", ["reduce/nothing", "../pyproject", "/etc/passwd", "reduce/../reduce/normalise", ""])
def test_a_name_outside_the_folder_is_no_text(name: str) -> None:
    """Names lead to texts of the folder and to nothing else."""
    with pytest.raises(InternalError):
        queries.query_text(name)


def test_a_text_is_filled_with_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts and functions of SQL are filled in, with one bracket within another; what else is in braces stays."""
    folder = _package_at(tmp_path, monkeypatch) / "_queries"
    folder.mkdir()
    (folder / "a.sql").write_text("SELECT {outcome[x[1]]}, '{id}' FROM {rows}\n", encoding="utf-8")
    rank = "CASE x[1] WHEN 1 THEN 'started' WHEN 2 THEN 'denied' WHEN 3 THEN 'failed' WHEN 4 THEN 'succeeded'"
    assert queries.filled_text("a", rows="t") == f"SELECT {rank} ELSE 'other' END, '{{id}}' FROM t"


@pytest.mark.slow
def test_the_wheel_carries_every_text(tmp_path: Path) -> None:
    """What is built for users holds each SQL text, the scripts of shells, the schemas and the manual pages."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("needs hatchling, the build backend")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        carried = set(archive.namelist())
    texts = {path.relative_to(ROOT / "queries").as_posix() for path in (ROOT / "queries").rglob("*.sql")}
    assert carried >= {f"rightsize/_queries/{text}" for text in texts}
    beside = {"rightsize/cli/shells/rightsize.zsh", "rightsize/render/exemptions.schema.json"}
    assert carried >= beside
    assert any(name.endswith("/share/man/man1/rightsize-propose.1") for name in carried)
