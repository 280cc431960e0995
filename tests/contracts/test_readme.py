"""The README's commands are the ones that CI runs, and links lead to pages of the tree or of the site."""

from __future__ import annotations

from pathlib import Path

from rightsize.cli.reference_pages import REFERENCE_PAGES

ROOT = Path(__file__).resolve().parents[2]
RUN = "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/rightsize demo"
TEST = 'python3 -m venv .venv && .venv/bin/pip install --no-compile -e ".[test]" && .venv/bin/pytest'


def test_the_readme_has_both_commands() -> None:
    """A newcomer can copy one line to run the product and one to run its tests."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert RUN in text
    assert TEST in text


def test_ci_runs_the_readmes_test_command() -> None:
    """CI installs and tests just as the README says."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert TEST in script


def test_every_link_of_the_documentation_leads_somewhere() -> None:
    """Relative links in README point at files; those in docs also at pages that the site writes."""
    import re  # noqa: PLC0415

    missing = []
    made = {ROOT / "docs" / name for name in REFERENCE_PAGES}
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            found = (page.parent / target).resolve()
            if "://" not in target and not found.exists() and (found not in made or page.name == "README.md"):
                missing.append(f"{page.relative_to(ROOT)}: {target}")
    assert missing == []
