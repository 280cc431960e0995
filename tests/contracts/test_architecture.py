"""The documentation names modules and functions that there are, and draws the rooms as the code imports them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
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
    assert "0066-a-no-rests-on-complete-listings.md: analyze.lacks" in named
    assert [where for where, name in named.items() if not _exists(name)] == []


def test_every_test_that_a_page_names_exists() -> None:
    """A test file that a page names as proof stands there."""
    named = re.compile(r"tests/[\w/-]+\.py")
    assert [path for page in PAGES for path in _named(named, page) if not (ROOT / path).exists()] == []


def test_every_path_of_the_page_exists() -> None:
    """A path on the page stands under the package, or at the top of the tree."""
    named = _named(_PATH)
    assert "cli/registry.py" in named
    assert [path for path in named if not (CODE / path).exists() and not (ROOT / path).exists()] == []


def test_every_package_is_on_the_page() -> None:
    """No package is left out of the table of rooms, and no stage of a plan of the text."""
    text = PAGE.read_text(encoding="utf-8")
    rooms = text.partition("| room | holds")[2].partition("\n\n")[0]
    assert [name for name in PACKAGES if f"`{name}`" not in rooms] == []
    stages = [f"propose/{path.parent.name}" for path in (CODE / "propose").glob("*/__init__.py")]
    assert [name for name in stages if f"`{name}`" not in text] == []


@pytest.mark.slow
def test_every_step_names_a_function_of_its_room() -> None:
    """A row that begins with a room and a function names one that a module of this room defines."""
    steps = re.findall(r"^\| `([\w/]+)` \| `(\w+)` \| ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(steps) > 30
    assert [(room, name) for room, name in steps if name not in _defined_in(room)] == []


@cache
def _defined_in(room: str) -> frozenset[str]:
    return frozenset().union(*(_definitions(path) for path in (CODE / room).rglob("*.py")))


def _imported(path: Path) -> Iterator[str]:
    """Yield the packages of ours that a module imports anywhere in its text."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "rightsize":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rightsize."):
            yield str(node.module).split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("rightsize."))


def _arrows() -> dict[str, set[str]]:
    """Return which packages each package imports, but for those to which a longer way leads."""
    found = {
        name: {one for path in (CODE / name).rglob("*.py") for one in _imported(path)} & set(PACKAGES) - {name}
        for name in PACKAGES
    }

    @cache
    def below(name: str) -> frozenset[str]:
        return frozenset(found[name]).union(*(below(one) for one in found[name]))

    return {name: ones - {far for one in ones for far in below(one)} for name, ones in found.items() if ones}


@pytest.mark.nightly
def test_the_picture_has_the_imports_of_the_code() -> None:
    """Whoever changes what a package imports draws its line anew; a circle would never end here."""
    lines = [f"    {name} --> {' & '.join(sorted(ones))}" for name, ones in sorted(_arrows().items())]
    drawn = PAGE.read_text(encoding="utf-8").partition("```mermaid\ngraph TD\n")[2].partition("```")[0]
    assert drawn.replace("graph_room[graph]", "graph").splitlines() == lines
