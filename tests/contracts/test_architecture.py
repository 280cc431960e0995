"""The documentation names modules that there are, and draws the layers as the import contracts have them."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

from tests.docs.blocks import prose

ROOT = Path(__file__).resolve().parents[2]
CODE = ROOT / "rightsize"
PAGE = ROOT / "docs" / "architecture.md"
PACKAGES = sorted(path.parent.name for path in CODE.glob("*/__init__.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_NAME = re.compile(rf"(?:rightsize\.)?({'|'.join(PACKAGES)})(?!\.(?:json|md|html))(\.\w+)+")
_PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)*/(?:[\w.-]+\.(?:py|sql|csv|md))?")


def _named(pattern: re.Pattern[str], page: Path = PAGE) -> list[str]:
    quoted = re.findall(r"`([^`\n]+)`", prose(page.read_text(encoding="utf-8")))
    return sorted({text for text in quoted if pattern.fullmatch(text)})


@cache
def _definitions(path: Path) -> frozenset[str]:
    """Return the names that a module defines or imports, without importing it."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
    return frozenset(found)


def _exists(dotted: str) -> bool:
    place, rest = CODE, dotted.removeprefix("rightsize.").split(".")
    while rest and (place / rest[0]).is_dir():
        place = place / rest.pop(0)
    module = place / f"{rest[0]}.py" if rest else place
    if rest and module.exists():
        place = module
        rest.pop(0)
    elif rest:
        place = place / "__init__.py"
    return not rest or (len(rest) == 1 and rest[0] in _definitions(place))


def test_every_module_that_a_page_names_exists() -> None:
    """A module, class or function that a page names by its package stands there."""
    named = {f"{page.name}: {name}": name for page in PAGES for name in _named(_NAME, page)}
    assert f"{PAGE.name}: ingest.pipeline.stage" in named
    assert [where for where, name in named.items() if not _exists(name)] == []


def test_every_test_that_a_page_names_exists() -> None:
    """A test file that a page names as proof stands there."""
    named = re.compile(r"tests/[\w/-]+\.py")
    assert [path for page in PAGES for path in _named(named, page) if not (ROOT / path).exists()] == []


def test_every_path_of_the_page_exists() -> None:
    """A path on the page stands under the package, or at the top of the tree."""
    named = _named(_PATH)
    assert "propose/assembly/plan.py" in named
    assert [path for path in named if not (CODE / path).exists() and not (ROOT / path).exists()] == []


def test_every_package_is_on_the_page() -> None:
    """No package, and no stage of a plan, is left out."""
    rooms = [path.parent.name for path in (CODE / "propose").glob("*/__init__.py")]
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in PACKAGES if not re.search(rf"\b{name}\b", text)] == []
    assert [name for name in rooms if f"propose/{name}/" not in text] == []


def _contracts() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layered = [one["layers"] for one in project["tool"]["importlinter"]["contracts"] if one["type"] == "layers"]
    return ["\n".join(re.sub(r"rightsize\.(propose\.)?(?=\w)", "", layer) for layer in layers) for layers in layered]


@pytest.mark.parametrize("layers", _contracts())
def test_the_layers_are_those_of_the_contracts(layers: str) -> None:
    """What the page draws is what import-linter checks."""
    assert f"```\n{layers}\n```" in PAGE.read_text(encoding="utf-8")
