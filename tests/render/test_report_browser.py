"""The report in a real browser: no network request, no error, and readable by everybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from rightsize.propose.verify.plan_reader import load_plan
from tests.render.browser import visit

pytestmark = pytest.mark.external


TITLE = "document.getElementById('detail-title').textContent"
SETTLED = "new Promise((done) => setTimeout(done, 80))"
CLOSED = (
    "new Promise((done) => { let left = 100; const look = () => (location.hash.includes('=') && (left -= 1) > 0"
    " ? setTimeout(look, 30) : done([document.querySelector('dialog').open, location.hash])); look(); })"
)
"""What is open, and the fragment, once the fragment is no view any more."""
FITS = "document.documentElement.scrollWidth <= innerWidth"
HEIGHT = "document.documentElement.scrollHeight"
OPEN_ALL = "[...document.querySelectorAll('details')].map((one) => (one.open = true)).length"
OPENED = "[...document.querySelectorAll('details.part[open] > section')].map((one) => one.id)"
FOUND = "document.querySelector('#results [role=status]').textContent"


@pytest.fixture(scope="module")
def page(demo_folder: Path) -> Path:
    return demo_folder / "report.html"


def _first(page: Path, kind: str) -> str:
    """The id of a proposal of that kind."""
    plan = load_plan((page.parent / "plan.json").read_bytes())
    return str(next(one["id"] for one in plan["proposals"] if one["kind"] == kind))


@pytest.mark.parametrize(
    "settings", [{}, {"width": 390, "height": 844}, pytest.param({"print": True}, marks=pytest.mark.nightly)], ids=str
)
def test_it_opens_in_silence_and_everybody_can_read_it(page: Path, tmp_path: Path, settings: dict[str, object]) -> None:
    """No word on the console, no request, no violation of accessibility rules, nothing wider than the window."""
    seen = visit(
        page,
        tmp_path,
        {"eval": "document.documentElement.dataset.ready"},
        {"eval": FITS},
        {"axe": True},
        {"eval": "document.querySelector('#find').value = 'portal-api'"},
        {"eval": "document.querySelector('#find').dispatchEvent(new Event('input'))"},
        {"eval": FOUND},
        {"eval": FITS},
        {"axe": True},
        **settings,
    )
    assert (seen.said, seen.asked) == ([], [])
    assert seen.results[:3] == ["true", True, []]
    assert "results for" in seen.results[5]
    assert seen.results[6:] == [True, []]


@pytest.mark.parametrize(
    "settings", [{"dark": True}, pytest.param({"width": 390, "height": 844}, marks=pytest.mark.nightly)], ids=str
)
def test_with_everything_open_everybody_can_read_it(page: Path, tmp_path: Path, settings: dict[str, object]) -> None:
    """In the colours of light and dark, and at the width of a phone and of a laptop."""
    seen = visit(page, tmp_path, {"eval": OPEN_ALL}, {"eval": FITS}, {"axe": True}, **settings)
    assert seen.results[0] > 20
    assert seen.results[1:] == [True, []]
    assert (seen.said, seen.asked) == ([], [])


def test_nothing_scrolls_sideways_on_a_phone(page: Path, tmp_path: Path) -> None:
    """With everything open, and in the dialog of each row."""
    wide = (
        "[...document.querySelectorAll('header *, main *, dialog, dialog *')].filter((one) => one.checkVisibility()"
        " && one.scrollWidth > one.clientWidth + 1 && ['auto', 'scroll'].includes(getComputedStyle(one).overflowX))"
        ".map((one) => one.getAttribute('aria-label') || one.className || one.tagName)"
    )
    opened = (
        "(async () => { const found = []; for (const link of document.querySelectorAll('.explorer tbody a')) {"
        "location.href = link.href; await new Promise((done) => setTimeout(done, 15));"
        f"for (const one of document.querySelectorAll('dialog details')) one.open = true; found.push(...{wide}); }}"
        "return [...new Set(found)]; })()"
    )
    seen = visit(page, tmp_path, {"eval": OPEN_ALL}, {"eval": wide}, {"eval": opened}, width=390, height=844)
    assert seen.results[1:] == [[], []]


@pytest.mark.parametrize("dark", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_what_falls_can_be_read_on_a_phone(page: Path, tmp_path: Path, dark: bool) -> None:
    """Opened, every blast radius keeps to the width of the window and to the rules of accessibility."""
    opened = (
        "(() => { const all = [...document.querySelectorAll('#escalation details')]; location.hash = '#escalation';"
        "for (const one of all) { one.removeAttribute('name'); one.open = true; } return all.length; })()"
    )
    seen = visit(
        page,
        tmp_path,
        {"eval": opened},
        {"eval": FITS},
        {"axe": True},
        dark=dark,
        width=390,
        height=844,
    )
    assert seen.results == [11, True, []]


def test_what_to_do_first_fits_one_screen(page: Path, tmp_path: Path) -> None:
    """At a laptop's size: what goes, stays and is unknown, and the first steps; the pictures follow."""
    bottoms = (
        "['.verdict', '.cards', '.unknown'].map((one) => document.querySelector(one).getBoundingClientRect().bottom)"
    )
    begins = "document.querySelector('.unknown > p').getBoundingClientRect().top"
    rows = "document.querySelectorAll('.ten tbody tr').length"
    shots = (
        {"eval": bottoms},
        {"eval": begins},
        {"eval": rows},
        {"eval": HEIGHT},
        {"eval": OPEN_ALL},
        {"eval": HEIGHT},
    )
    seen = visit(page, tmp_path, *shots, width=1280, height=800)
    verdict, cards, unknown = seen.results[0]
    assert verdict <= 330
    assert cards <= 800
    assert unknown <= 2000
    assert seen.results[1] <= 1300
    assert seen.results[2] == 10
    assert seen.results[3] <= 4000
    # Four planes, whose 118 assignments have a row each, and ten new roles.
    assert seen.results[5] <= 27_500


def test_a_fragment_opens_its_part_and_an_opened_part_is_the_fragment(page: Path, tmp_path: Path) -> None:
    """By link, by mouse and by keyboard; a view that is closed gives the fragment before it."""
    seen = visit(
        page,
        tmp_path,
        {"goto": "#findings"},
        {"eval": OPENED},
        {"click": "details:has(> #roles) > summary"},
        {"eval": f"{SETTLED}.then(() => location.hash)"},
        {"press": "Enter"},
        {"eval": f"{SETTLED}.then(() => location.hash)"},
        {"press": "Enter"},
        {"eval": f"{SETTLED}.then(() => location.hash)"},
        {"goto": f"#proposal={_first(page, 'custom')}"},
        {"press": "Escape"},
        {"eval": CLOSED},
    )
    assert seen.results[1] == ["findings"]
    assert [seen.results[at] for at in (3, 5, 7)] == ["#roles", "", "#roles"]
    assert seen.results[10] == [False, "#roles"]
    seen = visit(
        page,
        tmp_path,
        {"eval": OPENED},
        {"eval": "document.querySelector('dialog').open"},
        {"press": "Escape"},
        {"eval": CLOSED},
        hash=f"#proposal={_first(page, 'custom')}",
    )
    assert (seen.results[0], seen.results[1], seen.results[3]) == (["proposals"], True, [False, "#proposals"])
    assert seen.said == []


def test_without_scripts_a_link_opens_its_part_too(page: Path, tmp_path: Path) -> None:
    (opened,) = visit(page, tmp_path, {"eval": OPENED}, scripts=False, hash="#coverage").results
    assert opened == ["coverage"]


def test_one_search_finds_in_all_tables(page: Path, tmp_path: Path) -> None:
    """`/` begins it and Escape ends it; the number is announced, and a result leads to its view, table or row."""
    titles = "[...document.querySelectorAll('#results h2')].map((one) => one.textContent.replace(/ .*/, ''))"
    focused = "document.activeElement.closest('section').id"
    button = "[...document.querySelectorAll('#results li button')][0]"
    seen = visit(
        page,
        tmp_path,
        {"press": "/"},
        {"eval": "document.activeElement.id"},
        {"fill": ["#find", "patient portal"]},
        {"eval": FOUND},
        {"eval": titles},
        {"eval": "[...document.querySelectorAll('#results button')][0].click()"},
        {"eval": "[document.querySelector('#proposals input').value, document.querySelector('main').className]"},
        {"eval": "document.querySelector('#proposals [role=status]').textContent"},
        {"eval": OPENED},
        {"press": "Escape"},
        {"eval": "document.body.click(), document.activeElement.blur()"},
        {"press": "/"},
        {"fill": ["#find", "global administrator"]},
        {"eval": f"{button}.click()"},
        {"eval": focused},
        {"press": "/"},
        {"fill": ["#find", "nothing like it"]},
        {"eval": FOUND},
        {"press": "Escape"},
        {"eval": "[document.querySelector('#find').value, document.querySelector('#results').className]"},
    )
    assert seen.results[1] == "find"
    number = int(seen.results[3].split()[0])
    assert number > 20
    assert seen.results[4][:4] == ["Proposals", "Principals", "Roles", "Scopes"]
    assert seen.results[6] == ["patient portal", ""]
    assert 0 < int(seen.results[7].split()[0]) < number
    assert seen.results[8] == ["proposals"]
    assert seen.results[14] in ("by-design", "planes", "proposals")
    assert seen.results[17] == "Nothing has “nothing like it”"
    assert seen.results[19] == ["", "hidden"]
    assert seen.said == []


def test_paper_has_the_cards_and_every_proposal(page: Path, tmp_path: Path) -> None:
    """What print needs is open, with all rows and a head on each page; afterwards all is as before."""
    rows = "document.querySelectorAll('#proposals .explorer tbody tr').length"
    heads = "document.querySelectorAll('#proposals .explorer th button').length"
    cut = (
        "[...document.querySelectorAll('main .scroll')]"
        ".filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1).length"
    )
    seen = visit(
        page,
        tmp_path,
        {"eval": "dispatchEvent(new Event('beforeprint'))"},
        {"eval": rows},
        {"eval": heads},
        {"eval": OPENED},
        {"eval": cut},
        {"eval": "dispatchEvent(new Event('afterprint'))"},
        {"eval": rows},
        {"eval": f"{SETTLED}.then(() => location.hash)"},
        {"eval": OPENED},
        {"pdf": str(tmp_path / "page.pdf")},
        width=703,
        print=True,
    )
    plan = load_plan((page.parent / "plan.json").read_bytes())
    ours = [one for one in plan["proposals"] if one["plane"] in ("control", "data")]
    assert seen.results[1:5] == [len(ours), 0, ["by-design", "proposals"], 0]
    assert seen.results[6:9] == [20, "", []]
    pages = (tmp_path / "page.pdf").read_bytes().count(b"/Type /Page\n")
    assert 5 < pages < 20


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
        {"eval": CLOSED},
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
        {"goto": "#principals"},
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
    assert seen.results[1].startswith("1 to 20 of")
    assert seen.results[3:5] == ["1 row", "Patient Portal Team"]
    assert set(seen.results[7]) == {"group"}
    assert seen.results[10].startswith("principal")
    assert seen.results[11].startswith("principal")


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
    text = "document.querySelector('main').textContent"
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
    has_markup = "document.body.textContent.includes('<img src=x onerror=alert(2)>')"
    searched = f"document.querySelectorAll('#results li').length && ({foreign})"
    finds = ({"fill": ["#find", text]} for text in ("<img src=x", "</script>"))
    steps = [one for find in finds for one in (find, {"eval": searched}, {"eval": FOUND})]
    seen = visit(
        hostile_page, tmp_path, {"eval": foreign}, {"eval": has_markup}, {"axe": True}, *steps, {"eval": opened}
    )
    assert seen.results[:3] == [0, True, []]
    assert (seen.results[4], seen.results[7], seen.results[9]) == (0, 0, [True, 0])
    assert "results for “<img src=x”" in seen.results[5]
    assert "for “</script>”" in seen.results[8]
    assert (seen.said, seen.asked) == ([], [])


def test_without_a_script_names_of_attackers_stay_text_too(hostile_page: Path, tmp_path: Path) -> None:
    count = "document.querySelectorAll('main img, main script').length"
    seen = visit(
        hostile_page, tmp_path, {"eval": count}, {"eval": "document.querySelectorAll('script').length"}, scripts=False
    )
    assert seen.results == [0, 2]
    assert (seen.said, seen.asked) == ([], [])
