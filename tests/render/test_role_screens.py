"""The first screen of a new role is the same in the report and in `review`, and fits."""

from __future__ import annotations

import datetime as dt
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from rightsize.cli.commands.review_walk import role_screen
from rightsize.model.errors import InputError
from rightsize.render.role_summary import SERVICE_COLUMNS, summary_text
from rightsize.workflow.plan.review import Review, open_review
from rightsize.workflow.plan_folder import read_plan_folder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def review(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Review:
    """A review of the demo's plan without decisions."""
    file = tmp_path_factory.mktemp("review") / "review.jsonl"
    return open_review(demo_folder / "demo.duckdb", demo_folder, file, dt.date(2026, 10, 1))


@pytest.mark.parametrize(("width", "lines"), [(80, 48), (120, 34)])
def test_review_shows_each_new_role_on_a_screen(review: Review, width: int, lines: int) -> None:
    for role in review.plan.roles:
        console = Console(file=io.StringIO(), width=width)
        console.print(role_screen(role, review.names))
        text = console.file.getvalue()  # type: ignore[attr-defined]
        squeezed = "".join(text.split())
        assert len(text.splitlines()) <= lines
        for _, line in summary_text(role.evidence["summary"], review.names).lines:
            assert "".join(line.split())[:40] in squeezed
        assert all(name in text for name in SERVICE_COLUMNS)


def test_the_report_has_the_lines_of_the_summaries(demo_folder: Path, review: Review) -> None:
    page = (demo_folder / "report.html").read_text(encoding="utf-8")
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    assert len(data["summaries"]) == len(review.plan.roles)
    for number, (lines, services) in data["summaries"].items():
        role = next(
            one for one in review.plan.roles if one.definition.role_definition_id == data["roles"]["id"][int(number)]
        )
        text = summary_text(role.evidence["summary"], review.names)
        assert [line for _, line in lines] == [line for _, line in text.lines]
        assert [row[0] for row in services] == [row["service"] for row in text.services]
    assert page.count('<details class="role" name="new-role">') == len(review.plan.roles)


@pytest.mark.parametrize("broken", [[], {"holders": 1}, {"services": [{"service": 1}]}, {"breaks": "high"}])
def test_an_edited_summary_is_refused(demo_folder: Path, tmp_path: Path, broken: object) -> None:
    """A summary of another form is an error that names the file; a plan of an older version has none."""
    folder = tmp_path / "plan"
    (folder / "roles").mkdir(parents=True)
    (folder / "evidence").mkdir()
    for name in ("plan.json", *(f"{part}/{file.name}" for part in ("roles", "evidence")
                                for file in (demo_folder / part).glob("*.[jp]*"))):  # fmt: skip
        (folder / name).write_bytes((demo_folder / name).read_bytes())
    file = min((folder / "evidence").glob("*.json"))
    document = json.loads(file.read_bytes())
    whole = document.pop("summary")
    file.write_text(json.dumps(document), encoding="utf-8")
    read_plan_folder(folder)
    document["summary"] = {**whole, **broken} if isinstance(broken, dict) else broken
    file.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(InputError, match=file.name):
        read_plan_folder(folder)
