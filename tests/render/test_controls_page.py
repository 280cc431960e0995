"""The page of controls is made of their headers."""

from __future__ import annotations

from rightsize.cli.reference_pages import write_controls_page
from rightsize.store.controls import control_names, read_control


def test_every_control_has_a_row_and_a_section() -> None:
    """The row has its question and what it checks; the titles of frameworks stand once, at the end."""
    controls = [read_control(name) for name in control_names()]
    text = write_controls_page(controls)
    rows = {line.split("`")[1]: line for line in text.splitlines() if "| [`" in line}
    assert rows.keys() == {one.name for one in controls}
    checks = text.partition("## What is checked")[2]
    for one in controls:
        assert f"\n## {one.name}\n\n{one.question.description}\n" in text
        assert one.question.title in rows[one.name]
        for tag in one.tags:
            assert f"{tag.framework} {tag.id}" in rows[one.name]
            assert f"| {tag.id} |" in checks
