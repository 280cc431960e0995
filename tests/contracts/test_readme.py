"""The README's commands are the ones that CI runs, and the generated pages are current."""

from __future__ import annotations

from pathlib import Path

from rightsize.cli.reference import write_reference

ROOT = Path(__file__).resolve().parents[2]
RUN = "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/rightsize demo"
TEST = 'python3 -m venv .venv && .venv/bin/pip install -e ".[test]" && .venv/bin/pytest'


def test_the_readme_has_both_commands() -> None:
    """A newcomer can copy one line to run the product and one to run its tests."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert RUN in text
    assert TEST in text


def test_ci_runs_the_readmes_test_command() -> None:
    """CI installs and tests just as the README says."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert TEST in script


def test_the_command_reference_is_current() -> None:
    """`docs/commands.md` is what the commands say of themselves."""
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == write_reference()


def test_every_link_of_the_documentation_leads_somewhere() -> None:
    """Relative links in README and docs point at files that exist."""
    import re  # noqa: PLC0415

    missing = []
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                missing.append(f"{page.relative_to(ROOT)}: {target}")
    assert missing == []
