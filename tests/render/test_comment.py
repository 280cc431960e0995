"""A plan as a comment on a pull request: its content, for any names and any length."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.plan import Plan
from rightsize.render.comment import LONGEST, short_ids, write_comment, write_difference
from rightsize.rules.prices import describe_unlogged
from tests.golden_files import stored
from tests.propose.small_tenant import CONTRIBUTOR, SUB, VM, SmallTenant

EXAMPLE = Path(__file__).resolve().parents[2] / "reports" / "example" / "comment.md"
HOSTILE = (
    "</code></td><script>alert(1)</script>",
    "@org/team #1 GH-2 https://evil.example www.evil.example a@b.example",
    "`x` \\| | \\\\| [x](javascript:y) ![i](//e) <!-- -->",
    "\u202egnp.exe\u200b\nsecond line\x1b[31m",
    "**bold** _it_ ~~s~~ &lt;b&gt; &#124; :smile: $x^2$",
)
OURS = {"h3", "p", "em", "strong", "code", "table", "thead", "tbody", "tr", "th", "td", "details", "summary"}


class Page(HTMLParser):
    """Collects the tags and the texts of the code and of each row."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.code: list[str] = []
        self.rows: list[int] = []
        self._inside = 0
        self.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))

    def handle_starttag(self, tag: str, _: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "code":
            self._inside += 1
            self.code.append("")
        elif tag == "tr":
            self.rows.append(0)
        elif tag in ("td", "th"):
            self.rows[-1] += 1

    def handle_endtag(self, tag: str) -> None:
        self._inside -= tag == "code"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.code[-1] += data


def _plan(names: tuple[str, ...] = HOSTILE) -> Plan:
    tenant = SmallTenant()
    for number, name in enumerate(names, 1):
        user = tenant.principal(number, display_name=name)
        tenant.assign(100 + number, user, CONTRIBUTOR, SUB)
        tenant.use(user, "Microsoft.Compute/virtualMachines/start/action", VM)
    return tenant.plan()


@pytest.mark.nightly
def test_names_are_text_and_every_row_is_whole() -> None:
    """No name makes a tag, a cell, a link or a mention: each stands as code, with what is invisible shown."""
    plan = _plan()
    text = write_comment(plan, plan.names)
    page = Page(text)
    assert page.tags <= OURS
    assert set(page.rows[: 1 + len(HOSTILE)]) == {7}
    assert HOSTILE[0] in page.code
    assert HOSTILE[1] in page.code
    assert HOSTILE[2] in page.code
    assert "\\u202egnp.exe\\u200b\\u000asecond line\\u001b[31m" in page.code
    assert HOSTILE[4] in page.code
    # Hosts look for these in the source, before or after it is rendered, but not within code.
    outside = re.sub(r"<code>.*?</code>", "", text)
    assert not re.search(r"@|#\d|https?:|www\.", outside)
    assert not re.search(r"@\w|https?:|www\.", text)


@pytest.mark.nightly
def test_a_reviewer_sees_what_goes_what_comes_and_how_sure_that_is() -> None:
    plan = _plan(("Mei",))
    text = write_comment(plan, plan.names)
    (changed,) = [one for one in plan.proposals if one.kind != "keep"]
    (row,) = [line for line in text.splitlines() if changed.id[:8] in line]
    assert "<code>Mei</code>" in row
    assert "<code>Contributor</code> at " in row
    assert plan.roles[0].definition.role_name in html.unescape(row)
    assert "proved" in row
    bound = changed.evidence["break_probability"]["bound"]
    assert f"{100 * changed.break_probability_30d:.1f} % (≤ {100 * bound:.1f} %)" in row
    assert describe_unlogged() in text
    assert text.startswith("### 1 of 1 assignments change\n")
    assert "**0 are denied**" in text


@pytest.mark.slow
def test_how_proposals_stand_is_shown_where_somebody_reviews() -> None:
    plan = _plan(("Mei",))
    (one,) = plan.proposals
    assert " | accepted |" in write_comment(plan, plan.names, {one.id: "accepted"})


@pytest.mark.nightly
def test_a_long_plan_is_cut_at_a_row_and_says_so_first() -> None:
    """Those that remove the most excess stay; nothing is longer than a host takes, in characters or bytes."""
    (one,) = _plan(("Å" * 300,)).proposals
    many = tuple(replace(one, id=f"{number:08x}-0", excess_after=number / 10_000) for number in range(2_000))
    plan = replace(_plan(("Mei",)), proposals=many)
    text = write_comment(plan, {one.principal_ids[0]: "Å" * 300})
    assert LONGEST - 1_000 < len(text.encode()) <= LONGEST
    rows = [line for line in text.splitlines() if line.startswith("| <code>")]
    assert f"The table has {len(rows)} of 2,000 changes" in text[:1_500]
    assert all(line.endswith(" |") and line.count(" | ") == 6 for line in rows)
    assert rows[0].startswith("| <code>00000000")
    assert text.rstrip().endswith(".")


@pytest.mark.slow
def test_the_example_is_the_demos_comment(demo_folder: Path) -> None:
    """The comment of the sample tenant is the one that the demo writes; RIGHTSIZE_WRITE_GOLDEN=1 writes it."""
    text = (demo_folder / "comment.md").read_text(encoding="utf-8")
    assert stored(EXAMPLE, text) == text


def test_short_ids_are_unique() -> None:
    ids = ["12345678-a", "12345678-b", "graph-0123456789", "graph-0123456799", "abcdefgh-x"]
    short = ["12345678-a", "12345678-b", "graph-012345678", "graph-012345679", "abcdefgh"]
    assert short_ids(ids) == dict(zip(ids, short, strict=True))


def test_a_difference_says_first_whether_anything_comes() -> None:
    """What the new role grants beyond the old one stands in the first sentence and in the first rows."""
    old = RoleDefinition("", "@team", (PermissionBlock(("N.A/*",)),))
    new = RoleDefinition("", "new|role", (PermissionBlock(("N.B/*",)),))
    rows = [
        {"only_in": "A", "operation": "N.A/", "plane": "control", "from": "witness"},
        {"only_in": "B", "operation": "N.B/", "plane": "control", "from": "witness"},
        {"only_in": "B", "operation": "N.B/t/read", "plane": "control", "from": "catalogue"},
    ]
    text = write_difference(old, new, rows)
    assert Page(text).code[:4] == ["@team", "new|role", "N.B/", "N.B/t/read"]
    assert "**The new role grants operations that the old role does not**" in text
    assert "0 are removed and 1 are added" in text
    assert "grants only a part of what the old role grants" in write_difference(old, new, rows[:1])
    assert "Both roles grant the same" in write_difference(old, new, [])
