"""The page on the architecture names what there is, and draws the layers as the import contracts have them."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = ROOT / "rightsize"
PAGE = ROOT / "docs" / "architecture.md"
PACKAGES = sorted(path.parent.name for path in CODE.glob("*/__init__.py"))
_NAME = re.compile(rf"({'|'.join(PACKAGES)})(\.\w+)+")
_PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)*/(?:[\w.-]+\.(?:py|sql|csv|md))?")
_LONGEST = 5


def _prose() -> str:
    return re.sub(r"^```.*?^```", "", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def _named(pattern: re.Pattern[str]) -> list[str]:
    return sorted({text for text in re.findall(r"`([^`\n]+)`", _prose()) if pattern.fullmatch(text)})


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
    place, rest = CODE, dotted.split(".")
    while rest and (place / rest[0]).is_dir():
        place = place / rest.pop(0)
    module = place / f"{rest[0]}.py" if rest else place
    if rest and module.exists():
        place = module
        rest.pop(0)
    elif rest:
        place = place / "__init__.py"
    return not rest or (len(rest) == 1 and rest[0] in _definitions(place))


def test_every_module_of_the_page_exists() -> None:
    """A module, class or function that the page names by its package stands there."""
    named = _named(_NAME)
    assert len(named) > _LONGEST
    assert [name for name in named if not _exists(name)] == []


def test_every_path_of_the_page_exists() -> None:
    """A path on the page stands under the package, or at the top of the tree."""
    named = _named(_PATH)
    assert len(named) > _LONGEST
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


@pytest.mark.parametrize("page", ["architecture", "glossary", "figures"])
def test_paragraphs_are_short(page: str) -> None:
    """No paragraph of these pages, and no entry of a list, is over five lines."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    parts = re.split(r"\n\s*\n|\n(?=\s*(?:[-|]|\d+\.) ?)", text)
    assert [part for part in parts if len(part.strip().splitlines()) > _LONGEST] == []
