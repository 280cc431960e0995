"""Hooks of the site: pages made of the program or outside of `docs/`, links, and texts for language models.

README is the home page, and decisions stand before the changelog. Each page is also written as Markdown beside its
HTML; `llms.txt` lists these texts by section, and `llms-full.txt` has those of the tutorial, how-to guides, reference
and explanation in one file, without the longest generated pages.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File
from pymdownx.slugs import slugify

from rightsize.cli.reference_pages import REFERENCE_PAGES

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "queries/kql/README.md": "kql.md",
    "tests/loopback/README.md": "loopback.md",
    "reports/example/report.html": "example/report.html",
}
"""Files of the repository that the site has, and their places there."""
LONG = frozenset({"commands.md", "controls.md", "schema.md", "sources.md", "figures.md"})
"""Pages of tables, which `llms-full.txt` leaves to their own files."""
_HOME = {place: source for source, place in OUTSIDE.items()}
_FENCED = re.compile(r"^```.*?^```$", flags=re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")
# Code hosts want `|` escaped within code in a table; this parser knows that it does not end the cell.
_ROW_CODE = re.compile(r"(?<=[| (])`[^`\n]*(?:\\\||&#124;)[^`\n]*`")
_texts: dict[str, str] = {}


def on_config(config: Any) -> Any:
    """Add all decisions to the navigation, before the changelog, and make anchors of titles as code hosts do."""
    pages = sorted(page.name for page in (ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    section = {"Decisions": ["decisions/README.md", *(f"decisions/{name}" for name in pages)]}
    config.nav = [*config.nav[:-1], section, config.nav[-1]]
    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")
    _texts.clear()
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the files from outside `docs/`, and the pages that are made of the program."""
    for place, write in REFERENCE_PAGES.items():
        files.append(File.generated(config, place, content=write()))
    for source, place in OUTSIDE.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links lead to the places that pages have in the site, and keep the text for language models."""
    place = page.file.src_uri
    text = link_in_site(markdown, place)
    _texts[place] = text
    return _ROW_CODE.sub(lambda code: code[0].replace("\\|", "|").replace("&#124;", "|"), text)


def link_in_site(markdown: str, place: str) -> str:
    """Return the text with each link between files of the repository as a link between pages of the site."""
    source = posixpath.dirname(_HOME.get(place, f"docs/{place}"))

    def moved(found: re.Match[str]) -> str:
        target = found[2]
        if "://" in target or target.startswith("mailto:"):
            return found[0]
        file = posixpath.normpath(posixpath.join(source, target))
        there = OUTSIDE.get(file, file.removeprefix("docs/"))
        return f"{found[1]}{posixpath.relpath(there, posixpath.dirname(place) or '.')}{found[3]}"

    parts, end = [], 0
    for fence in _FENCED.finditer(markdown):
        parts += [_LINK.sub(moved, markdown[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, _LINK.sub(moved, markdown[end:])])


def on_post_build(config: Any, **_: Any) -> None:
    """Write each page as Markdown, `llms.txt` and `llms-full.txt`."""
    site = Path(config.site_dir)
    for place, text in _texts.items():
        (site / place).parent.mkdir(parents=True, exist_ok=True)
        (site / place).write_text(text, encoding="utf-8")
    lines = [f"# {config.site_name}", "", f"> {config.site_description}"]
    whole = []
    for section, places in _sections(config.nav):
        lines += ["", f"## {section}", ""]
        lines += [_entry(place) for place in places]
        if section not in ("Optional", "Reference"):
            whole += [_texts[place] for place in places]
        elif section == "Reference":
            whole += [_texts[place] for place in places if place not in LONG]
    (site / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (site / "llms-full.txt").write_text("\n\n".join(whole), encoding="utf-8")


def _sections(nav: list[Any]) -> Iterator[tuple[str, list[str]]]:
    """Yield each section of the navigation with all its pages; what a reader may leave out comes last."""
    start, optional = [], []
    for entry in nav:
        ((name, content),) = entry.items()
        if name in ("Decisions", "Changelog"):
            optional += list(_places(content))
        elif isinstance(content, str):
            start.append(content)
    yield "Start", start
    for entry in nav:
        ((name, content),) = entry.items()
        if isinstance(content, list) and name != "Decisions":
            yield name, list(_places(content))
    yield "Optional", optional


def _places(content: Any) -> Iterator[str]:
    """Yield the pages of an entry of the navigation."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        for inner in content.values():
            yield from _places(inner)
    else:
        for inner in content:
            yield from _places(inner)


def _entry(place: str) -> str:
    """Return the line of a page in `llms.txt`: its title, and what the reader gets from it where the page says so."""
    said = _first_sentence(_texts[place])
    return f"- [{_title(_texts[place])}]({place})" + (f": {said}" if said else "")


def _title(text: str) -> str:
    return text.split("\n", 1)[0].removeprefix("# ").strip()


def _first_sentence(text: str) -> str:
    """Return the first sentence after the title, without links."""
    paragraph = next((part for part in text.split("\n\n")[1:] if part[:1].isalpha() or part[:1] == "`"), "")
    paragraph = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", paragraph)
    return re.split(r"(?<=[.:])\s", " ".join(paragraph.split()), maxsplit=1)[0].rstrip(":")
