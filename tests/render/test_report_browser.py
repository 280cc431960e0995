"""The report in a real browser: no network request, no error, and readable by everybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from rightsize.propose.verify.plan_reader import load_plan
from tests.render.browser import visit

TITLE = "document.getElementById('detail-title').textContent"
SETTLED = "new Promise((done) => setTimeout(done, 80))"


@pytest.fixture(scope="module")
def page(demo_folder: Path) -> Path:
    return demo_folder / "report.html"


def _first(page: Path, kind: str) -> str:
    """The id of a proposal of that kind."""
    plan = load_plan((page.parent / "plan.json").read_bytes())
    return str(next(one["id"] for one in plan["proposals"] if one["kind"] == kind))


@pytest.mark.parametrize("settings", [{}, {"dark": True}, {"width": 390, "height": 844}, {"print": True}], ids=str)
def test_it_opens_in_silence_and_everybody_can_read_it(page: Path, tmp_path: Path, settings: dict[str, object]) -> None:
    """No word on the console, no request, no violation of accessibility rules, nothing wider than the window."""
    seen = visit(
        page,
        tmp_path,
        {"eval": "document.documentElement.dataset.ready"},
        {"eval": "document.documentElement.scrollWidth <= innerWidth"},
        {"axe": True},
        **settings,
    )
    assert (seen.said, seen.asked) == ([], [])
    assert seen.results == ["true", True, []]


@pytest.mark.parametrize("dark", [False, True])
def test_what_falls_can_be_read_on_a_phone(page: Path, tmp_path: Path, dark: bool) -> None:
    """Opened, every blast radius keeps to the width of the window and to the rules of accessibility."""
    opened = "[...document.querySelectorAll('#escalation details')].map((one) => (one.open = true)).length"
    seen = visit(
        page,
        tmp_path,
        {"eval": opened},
        {"eval": "document.documentElement.scrollWidth <= innerWidth"},
        {"axe": True},
        dark=dark,
        width=390,
        height=844,
    )
    assert seen.results == [11, True, []]


def test_what_to_do_first_fits_one_screen(page: Path, tmp_path: Path) -> None:
    """At a laptop's size; the numbers, risk before and after, and the ten principals fit the next one."""
    bottoms = "['.first', '.glance'].map((one) => document.querySelector(one).getBoundingClientRect().bottom)"
    rows = "document.querySelectorAll('.ten tbody tr').length"
    seen = visit(page, tmp_path, {"eval": bottoms}, {"eval": rows}, width=1280, height=800)
    assert seen.results[0][0] <= 800
    assert seen.results[0][1] <= 1600
    assert seen.results[1] == 10


def test_a_proposal_shows_today_and_proposed_side_by_side(page: Path, tmp_path: Path) -> None:
    """With the reason of each action; and its links lead on, and back."""
    panes = "[...document.querySelectorAll('dialog .pair .pane > h3')].map((one) => one.textContent)"
    seen = visit(
        page,
        tmp_path,
        {"goto": f"#proposal={_first(page, 'custom')}"},
        {"eval": panes},
        {"eval": "document.querySelector('dialog').innerText"},
        {"axe": True},
        {"click": "dialog .facts a"},
        {"eval": f"{SETTLED}.then(() => {TITLE})"},
        {"click": "dialog .bar-top button"},
        {"eval": f"{SETTLED}.then(() => {TITLE})"},
        {"press": "Escape"},
        {"eval": "[document.querySelector('dialog').open, location.hash]"},
    )
    assert seen.results[1] == ["Today", "Proposed"]
    for text in ("used ⊆ proposed ⊆ granted", "Removed operations, by reason", "Why each action of", "≤"):
        assert text in seen.results[2]
    assert seen.results[3] == []
    assert not seen.results[5].startswith("Proposal for")
    assert seen.results[7].startswith("Proposal for")
    assert seen.results[9] == [False, ""]
    assert (seen.said, seen.asked) == ([], [])


def test_search_filter_and_order_narrow_a_table(page: Path, tmp_path: Path) -> None:
    """By keyboard too, and the count is announced."""
    first = "document.querySelector('#principals tbody td').textContent"
    status = "document.querySelector('#principals [role=status]').textContent"
    sorted_by = "document.querySelector('#principals th[aria-sort]').textContent"
    types = "[...document.querySelectorAll('#principals tr td:nth-child(2)')].map((one) => one.textContent)"
    seen = visit(
        page,
        tmp_path,
        {"eval": status},
        {"fill": ["#principals input", "patient portal team"]},
        {"eval": status},
        {"eval": first},
        {"fill": ["#principals input", ""]},
        {"select": ["#principals select", "group"]},
        {"eval": types},
        {"eval": "document.querySelector('#principals th button').focus()"},
        {"press": "Enter"},
        {"eval": sorted_by},
        {"eval": "document.activeElement.textContent"},
    )
    assert seen.results[0].startswith("1 to 20 of")
    assert seen.results[2:4] == ["1 row", "Patient Portal Team"]
    assert set(seen.results[6]) == {"group"}
    assert seen.results[9].startswith("principal")
    assert seen.results[10].startswith("principal")


def test_every_row_of_a_table_leads_to_a_view(page: Path, tmp_path: Path) -> None:
    """Principals, assignments, roles, scopes and proposals can be looked at closely, without a word on the console."""
    opened = (
        "(async () => { const wrong = []; let count = 0;"
        "for (const link of [...document.querySelectorAll('.explorer tbody a')]) { link.click();"
        "await new Promise((done) => setTimeout(done, 20));"
        "const dialog = document.querySelector('dialog'); count += 1;"
        "if (!dialog.open || dialog.innerText.length < 100 || /undefined|NaN|null/.test(dialog.innerText)) "
        "wrong.push(link.href); } return [count > 90, wrong]; })()"
    )
    seen = visit(page, tmp_path, {"eval": opened})
    assert seen.results == [[True, []]]
    assert seen.said == []


def test_without_scripts_there_are_tables_and_pictures(page: Path, tmp_path: Path) -> None:
    """Whoever opens it in a mail program sees all parts, and nothing that needs the script."""
    text = "document.querySelector('main').innerText"
    seen = visit(page, tmp_path, {"eval": text}, {"eval": "document.querySelectorAll('main a').length"}, scripts=False)
    for words in (
        "The 10 principals with the most excess",
        "Patient Portal Team",
        "Days that the logs cover",
        "used ⊆ proposed",
        "Reader",
    ):
        assert words in seen.results[0]
    assert seen.results[1] == 0
    assert seen.said == []


def test_names_of_attackers_stay_text(hostile_page: Path, tmp_path: Path) -> None:
    """No element, script, request or dialog comes of a name, in the tables and when everything is opened."""
    foreign = (
        "document.querySelectorAll('main img, main script, dialog img, dialog script, "
        "main b:not(.shift b, .tree > li > b)').length"
    )
    opened = (
        f"(async () => {{ const links = [...document.querySelectorAll('.explorer tbody a')].map((one) => one.href);"
        f"let found = 0; for (const href of links) {{ location.href = href;"
        f"await new Promise((done) => setTimeout(done, 15));"
        f"found += {foreign}; }} return [links.length > 50, found]; }})()"
    )
    has_markup = "document.body.innerText.includes('<img src=x onerror=alert(2)>')"
    seen = visit(hostile_page, tmp_path, {"eval": foreign}, {"eval": has_markup}, {"axe": True}, {"eval": opened})
    assert seen.results == [0, True, [], [True, 0]]
    assert (seen.said, seen.asked) == ([], [])


def test_without_a_script_names_of_attackers_stay_text_too(hostile_page: Path, tmp_path: Path) -> None:
    count = "document.querySelectorAll('main img, main script').length"
    seen = visit(
        hostile_page, tmp_path, {"eval": count}, {"eval": "document.querySelectorAll('script').length"}, scripts=False
    )
    assert seen.results == [0, 2]
    assert (seen.said, seen.asked) == ([], [])
