"""The site: built without warnings, complete without a network, searched and read in a real browser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT
from tests.docs.kinds import nav, pages_below
from tests.render.browser import visit

pytest.importorskip("material", reason='needs pip install -e ".[docs]"')

FITS = "document.documentElement.scrollWidth <= innerWidth"
FOUND = "[...document.querySelectorAll('.md-search-result__link')].map((one) => one.getAttribute('href'))"


@pytest.fixture(scope="module")
def site(made_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """The folder of the site, built once; a warning is an error, also for a link or an anchor that leads nowhere."""

    def build(folder: Path) -> None:
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
        # No proxy answers there: what wants a network fails.
        nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
        given = {**os.environ, **nowhere, "NO_MKDOCS_2_WARNING": "1"}
        done = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")

    return made_once("site", build)


@pytest.mark.slow
def test_it_has_every_page_and_asks_nothing_of_a_network(site: Path) -> None:
    """No page loads a script, a style, a font or a picture from elsewhere; links that a reader follows may."""
    pages = {page.relative_to(site).as_posix(): page.read_text(encoding="utf-8") for page in site.rglob("*.html")}
    pages.pop("example/report.html")
    named = {f"{name}.html" for entry in nav() for name in pages_below(entry)}
    assert len(named) > 40
    assert named <= set(pages)
    loaded = re.compile(
        r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?(?:https?:)?//[^\s>]*|<link\b[^>]*\bhref=[\"']?(?:https?:)?//[^\s>]*"
    )
    assert {name: found for name, text in pages.items() if (found := loaded.findall(text))} == {}
    styles = [style.read_text(encoding="utf-8") for style in site.rglob("*.css")]
    assert [found for style in styles for found in re.findall(r"url\([\"']?(?:https?:)?//[^)]*", style)] == []


@pytest.mark.slow
def test_pages_read_as_on_a_code_host(site: Path) -> None:
    """No list or table is taken for a paragraph, and no escaped bar is shown in the code of a table."""
    strange = re.compile(r"<p>[^<]*\n[-*] [^\n]*|<p>\|[^\n]*|<td>[^\n]*<code>[^<\n]*(?:\\\||&amp;#124;)[^<\n]*</code>")
    wrong = {
        page.name: found
        for page in site.rglob("*.html")
        if (found := strange.findall(page.read_text(encoding="utf-8")))
    }
    assert wrong == {}


@pytest.mark.slow
def test_it_has_texts_for_language_models(site: Path) -> None:
    """`llms.txt` lists each page once, with its Markdown beside the page and what the reader gets from it."""
    text = (site / "llms.txt").read_text(encoding="utf-8")
    assert text.startswith("# rightsize\n\n> ")
    entries = re.findall(r"^- \[[^\n]+\]\(([^)]+)\)(.*)$", text, flags=re.MULTILINE)
    assert len(entries) == len({place for place, _ in entries}) > 70
    assert [place for place, _ in entries if not (site / place).is_file()] == []
    assert [place for place, said in entries if len(said) < 20 and not place.startswith("decisions/")] == []
    whole = (site / "llms-full.txt").read_text(encoding="utf-8")
    assert "# Tutorial: least privilege, from an empty folder to a merged role" in whole
    assert "# Tables and views" not in whole


@pytest.mark.external
@pytest.mark.parametrize("settings", [{}, {"width": 390, "height": 844}], ids=["desktop", "phone"])
def test_a_reader_finds_the_way(site: Path, tmp_path: Path, settings: dict[str, int]) -> None:
    """From home to the tutorial, by a search to a result: no word on the console, and nothing of a network."""
    seen = visit(
        site / "index.html",
        tmp_path,
        {"eval": FITS},
        {"click": ".md-content a[href='tutorial.html']"},
        {"wait": "h1#tutorial-least-privilege-from-an-empty-folder-to-a-merged-role"},
        {"eval": FITS},
        {"click": "[for=__search]" if settings else ".md-search__input"},
        {"fill": [".md-search__input", "eligibl"]},
        {"press": "e"},
        {"wait": ".md-search-result__link"},
        {"eval": FOUND},
        {"click": ".md-search-result__link"},
        {"wait": "h1:not([id^=tutorial])"},
        {"eval": "document.querySelector('.md-content').textContent.toLowerCase().includes('eligible')"},
        {"eval": FITS},
        **settings,
    )
    home, tutorial, found, named, result = (one for one in seen.results if one is not None)
    assert (home, tutorial, named, result) == (True, True, True, True)
    assert any("proposals.html" in place for place in found)
    assert seen.said == []
    assert [place for place in seen.asked if not place.startswith(("file://", "data:", "blob:"))] == []
