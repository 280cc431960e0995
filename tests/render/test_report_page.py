"""The report as bytes: its policy, data and tables, and plans that do not fit the store."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import html
import json
import re
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rightsize.analyze.window import Window
from rightsize.cli.main import run
from rightsize.model.errors import InputError
from rightsize.model.plan_totals import TODAY
from rightsize.propose.verify.plan_reader import load_plan
from rightsize.render.next_steps import describe_danger, describe_step, describe_undo, stays_for_emergency
from rightsize.render.report.embed import to_json
from rightsize.render.report.figures import bar
from rightsize.render.report.page import draw_calendar
from rightsize.store.connection import open_store
from rightsize.workflow.analysis.attack_paths import reach_from
from rightsize.workflow.analysis.reach import show_reach
from rightsize.workflow.answers.logs import find_missing
from rightsize.workflow.answers.report import read_sources, report_store
from rightsize.workflow.plan.next_steps import next_of
from rightsize.workflow.plan_folder import read_plan_folder
from rightsize.workflow.suite.demo import STORE, TITLE
from tests.golden_files import stored

EXAMPLE = Path(__file__).resolve().parents[2] / "reports" / "example" / "report.html"
DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.S)


@pytest.fixture(scope="module")
def page(demo_folder: Path) -> str:
    return (demo_folder / "report.html").read_text(encoding="utf-8")


def _data(page: str) -> dict[str, Any]:
    (text,) = DATA.findall(page)
    document: dict[str, Any] = json.loads(text)
    return document


def _written(demo_folder: Path, tmp_path: Path, **options: Any) -> str:
    report_store(read_sources(demo_folder / STORE, **options), tmp_path / "report.html")
    return (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_example_is_the_demos_report(page: str) -> None:
    """`RIGHTSIZE_WRITE_GOLDEN=1` writes it anew."""
    assert stored(EXAMPLE, page) == page


@pytest.mark.nightly
def test_the_same_store_and_plan_give_the_same_bytes(page: str, demo_folder: Path, tmp_path: Path) -> None:
    assert _written(demo_folder, tmp_path, plan=demo_folder, title=TITLE) == page


@pytest.mark.slow
def test_the_policy_allows_this_style_and_this_script_and_nothing_else(page: str) -> None:
    """By their hashes; and the page has no attribute of style or event, which these would not allow."""
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    for kind, pattern in (("style", r"<style>(.*?)</style>"), ("script", r"<script>(.*?)</script>")):
        (text,) = re.findall(pattern, page, re.S)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src &#39;sha256-{digest}&#39;" in policy
    assert policy.startswith("default-src &#39;none&#39;;")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not re.search(
        r"<[^>]+ (?:style|on\w+|src)=", DATA.sub("", re.sub(r"<(style|script)>.*?</\1>", "", page, flags=re.S))
    )
    assert not re.search(r"url\(|@import|innerHTML|document\.write|\beval\b|insertAdjacent", page)


@pytest.mark.slow
def test_a_text_of_the_tenant_cannot_end_the_data(hostile_page: Path) -> None:
    """Whatever it is, it is JSON inside of one element, and comes back as it was."""
    text = hostile_page.read_text(encoding="utf-8")
    assert len(re.findall(r"</script", text)) == 2
    names = _data(text)["principals"]["name"]
    assert any("</script><script>alert(1)</script>" in name for name in names)
    assert not re.search("[\u200b-\u200f\u202a-\u202e\u2066-\u2069\x00-\x08\x1b]", text)
    assert to_json({"<": "</script>&"}) == '{"\\u003c":"\\u003c/script\\u003e\\u0026"}'


@pytest.mark.slow
def test_who_falls_with_whom_stands_on_the_page_with_the_shortest_ways(page: str, demo_folder: Path) -> None:
    """The same subjects, in the same order, with the same counts as `reach` has them, and readable without scripts."""
    section = page.partition('<section id="escalation">')[2].partition("</section>")[0]
    ranked = show_reach(demo_folder / STORE, print).rows
    rows = re.findall(r'<tr><td class="name">(?:<span[^>]*>)?(.*?)</?(?:span|td)', section)
    assert [html.unescape(name).strip() for name in rows] == [row["name"] for row in ranked][:100]
    assert section.count("the whole tenant</span>") == sum(row["takes_tenant"] for row in ranked[:100])
    drawn = [html.unescape(name) for name in re.findall(r'<details name="blast"><summary>(.*?) <span', section)]
    wide = [row for row in ranked if row["state"] == "active" and row["cells"]]
    kinds = {"principal": 6, "resource": 3, "outsider": 2}
    assert drawn == [name for kind, most in kinds.items()
                     for name in [row["name"] for row in wide if row["kind"] == kind][:most]]  # fmt: skip
    first = reach_from(demo_folder / STORE, ranked[0]["subject"]).ways[0]
    told = section.partition("<details name")[2].partition("</details>")[0]
    assert html.escape(first["name"]) in told and html.escape(first["steps"][0]["to"]) in told


@pytest.mark.slow
def test_the_ways_are_drawn_before_and_after_the_plan(page: str) -> None:
    """A chain from each subject to the worst that it reaches, and what the plan leaves of it."""
    section = page.partition('<section id="escalation">')[2].partition("</section>")[0]
    assert section.count('<div class="ways">') == section.count('<details name="blast">') > 0
    assert '<ol class="way cut-off">' in section
    cut = section.partition('<ol class="way cut-off">')[2].partition("</ol>")[0]
    assert "pull_request" in cut and "no way is left" in cut


@pytest.mark.slow
def test_the_first_steps_of_today_are_cards_with_the_words_of_next(page: str, demo_folder: Path) -> None:
    """In its order; a change has its way back and a question its reason, and emergency access is only named."""
    section = page.partition('<section class="first"')[2].partition("</section>")[0]
    cards = [html.unescape(re.sub(r"<[^>]+>", "", card)) for card in re.findall(r"<li>(.*?)</li>", section, re.S)]
    found = next_of(demo_folder / STORE, demo_folder, names_db=True)
    steps = [step for step in found.steps.of_wave(TODAY) if not stays_for_emergency(step)]
    assert f"the first 5 of {len(steps)} steps" in section
    for card, step in zip(cards, steps[:5], strict=True):
        does, undo = describe_step(step, found.names), describe_undo(step)
        assert does[:1].upper() + does[1:] in card and describe_danger(step, found.names) in card
        assert (f"Way back: {undo}." if undo else "The plan keeps it: ") in card
    assert any("whole tenant in 1 step, once activated" in card for card in cards)
    assert "Emergency access stays:" in section
    waves = page.partition('<section class="waves"')[2].partition("</section>")[0]
    assert "Today, what gives the tenant away" in waves and '<td class="n">1</td>' not in waves


@pytest.mark.slow
def test_each_plane_has_its_bar(page: str) -> None:
    planes = page.partition('<ul class="planes">')[2].partition("</ul>")[0]
    assert re.findall(r"<li><span>(.*?)</span>", planes) == [
        "Azure control plane", "Azure data plane", "Directory roles", "Microsoft Graph permissions",
        "Federated credentials", "Access policies of key vaults",
    ]  # fmt: skip


@pytest.mark.slow
def test_what_is_held_of_the_directory_and_of_graph_stands_on_the_page(page: str, demo_folder: Path) -> None:
    """Each grant once, with what was used of it and the kind of its proposal; its counts are added to no others."""
    section = page.partition('<section id="planes">')[2].partition("</section>")[0]
    plan = load_plan((demo_folder / "plan.json").read_bytes())
    for plane, title in (
        ("graph", "Microsoft Graph permissions</h3>"),
        ("directory", "Directory roles</h3>"),
    ):
        table = section.partition(title)[2].partition("</table>")[0]
        kinds = re.findall(r'<span class="chip \w+">(.*?)</span>', table)
        proposed = [one["kind"].replace("_", " ") for one in plan["proposals"] if one["plane"] == plane]
        assert sorted(kinds) == sorted(proposed)
    assert "Global Administrator" in section and "Mail.ReadWrite" in section


@pytest.mark.slow
def test_activations_stand_on_the_page_with_what_was_done(page: str, demo_folder: Path) -> None:
    """Each that the analysis could rebuild, the newest first."""
    section = page.partition('<section id="activations">')[2].partition("</section>")[0]
    with open_store(demo_folder / STORE, read_only=True) as store:
        rows = store.table("activations").sort("start_on", descending=True).to_dicts()
    assert section.count('<tr><td class="name">') == len(rows) > 0
    began = re.findall(r"<td>(\d{4}-\d\d-\d\d \d\d:\d\d)</td>", section)
    assert began == [str(row["start_on"])[:16] for row in rows]
    for operation in {name for row in rows for name in row["done"]}:
        assert f"<code>{operation}</code>" in section


@pytest.mark.slow
def test_a_report_without_reach_or_other_planes_has_no_empty_section(hostile_page: Path) -> None:
    text = hostile_page.read_text(encoding="utf-8")
    for name in ("escalation", "planes", "activations"):
        assert (f'<section id="{name}">' in text) == (f'<a href="#{name}">' in text)


@pytest.mark.nightly
def test_what_stays_unknown_is_what_logs_says(page: str, demo_folder: Path, tmp_path: Path) -> None:
    """The same missing things in the same order, with the same share, price and first command."""
    shutil.copy(demo_folder / STORE, tmp_path / STORE)
    result = find_missing(tmp_path / STORE)
    rows = list(result.rows())
    section = page.partition('<section class="unknown"')[2].partition("</section>")[0]
    listed = section.partition("<ol ")[2].partition("</ol>")[0]
    assert re.findall(r'<li><span class="name">(.*?)</span>', listed) == [row["title"] for row in rows] != []
    shown = re.findall(r'<td class="name">(.*?)</td>.*?<span>(.*?)</span>.*?<code>(.*?)</code>', section)
    assert [html.unescape(command) for *_, command in shown] == [row["commands"][0] for row in rows[: len(shown)]]
    assert [share for _, share, _ in shown] == [f"{100 * row['share']:.1f} %" for row in rows[: len(shown)]]
    decidable = result.share(result.decides([row["item"] for row in rows]))
    assert f"together decide up to {100 * decidable:.1f} %" in section


@pytest.mark.slow
def test_what_stays_by_design_stands_apart(page: str, demo_folder: Path) -> None:
    """Each such assignment once in its part, and none among what is kept for want of evidence."""
    plan = read_plan_folder(demo_folder).document
    apart = {one["id"] for one in plan["proposals"] if one["evidence"].get("by_design")}
    section = page.partition('<section id="by-design">')[2].partition("</section>")[0]
    assert set(re.findall(r'data-proposal="(.*?)"', section)) == apart != set()
    assert section.count("emergency access account") >= 2
    (kept,) = re.findall(r"Kept as they are \((\d+)\)", page)
    ours = [one for one in plan["proposals"] if one["plane"] in ("control", "data") and one["kind"] == "keep"]
    assert int(kept) == len(ours) - len(apart)
    assert [one[0] for one in _data(page)["proposals"] if one[13]] == [one["id"] for one in ours if one["id"] in apart]


@pytest.mark.slow
def test_all_but_the_first_cards_opens_on_demand(page: str) -> None:
    """Each part is closed, has a line on what is in it, and a link; nothing stands open but the summary."""
    markup = page.partition("<main>")[2].partition("</main>")[0]
    assert "<details open" not in markup
    opening = (
        r'<details class="part[^"]*"><summary><h2>[^<]+</h2> <span[^>]*>[^<]+</span></summary>\s*<section id="(.*?)">'
    )
    parts = re.findall(opening, markup)
    assert len(parts) == markup.count('<details class="part') > 10
    assert parts == re.findall(r'<a href="#(.*?)">', page.partition("<nav")[2].partition("</nav>")[0])[2:]


@pytest.mark.slow
def test_the_data_holds_every_principal_assignment_and_proposal(page: str, demo_folder: Path) -> None:
    """With numbers that point at rows that are there."""
    data = _data(page)
    plan = load_plan((demo_folder / "plan.json").read_bytes())
    ours = [one for one in plan["proposals"] if one["plane"] in ("control", "data")]
    assert [one[0] for one in data["proposals"]] == [one["id"] for one in ours]
    for plane, title in (("graph", "Microsoft Graph permissions"), ("directory", "Directory roles")):
        beyond = [one for one in plan["proposals"] if one["plane"] == plane]
        table = page.partition(f'<h3 class="shift">{title}</h3>')[2].partition("</table>")[0]
        assert table.count('<tr><td class="name">') == sum(one["kind"] != "keep" for one in beyond) > 0
    for table in (
        "principals",
        "roles",
        "scopes",
        "assignments",
        "uses",
        "reached",
        "findings",
        "unexplained",
        "layers",
    ):
        assert len({len(column) for column in data[table].values()}) == 1, table
    sizes = {
        "principal": len(data["principals"]["id"]),
        "role": len(data["roles"]["id"]),
        "scope": len(data["scopeIds"]),
        "operation": len(data["operations"]),
        "assignment": len(data["assignments"]["id"]),
        "holder": len(data["principals"]["id"]),
        "why": len(data["words"]),
    }
    assert len(data["scopes"]["granted"]) == sizes["scope"]
    for table in ("assignments", "uses", "reached", "findings", "unexplained", "providers"):
        for name, size in sizes.items():
            column = data[table].get(name, [])
            assert all(value is None or 0 <= value < size for value in column), (table, name)
    for one in data["proposals"]:
        assert one[2] < sizes["assignment"]
        assert all(
            place[0] < sizes["role"] and place[1] < sizes["scope"] and place[2] < sizes["principal"] for place in one[6]
        )


@pytest.mark.slow
def test_new_roles_stand_beside_those_of_today(page: str, demo_folder: Path) -> None:
    """Each with its strings, and the reason of each string."""
    data = _data(page)
    plan = load_plan((demo_folder / "plan.json").read_bytes())
    for role in plan["roles"]:
        row = data["roles"]["id"].index(role["role"])
        file = json.loads((demo_folder / role["file"]).read_text(encoding="utf-8"))["properties"]["permissions"][0]
        assert data["roles"]["permissions"][row][0].get("actions", []) == file["actions"]
        strings = {*file["actions"], *file["dataActions"]}
        assert {action[0] for action in data["actions"][str(row)]} == strings


@pytest.mark.slow
def test_the_numbers_are_those_of_the_store_and_the_plan(page: str, demo_folder: Path) -> None:
    """Verdicts as `analyze` and `propose` wrote them, and the plan's replay."""
    with open_store(demo_folder / STORE, read_only=True) as store:
        counted = dict(
            store.frame(
                "SELECT verdict, sum(operations)::BIGINT FROM verdicts "
                "WHERE (operation IS NULL OR verdict = 'out_of_coverage') AND plane IN ('control', 'data') GROUP BY ALL"
            ).iter_rows()
        )
    text = re.sub(r"<[^>]+>", " ", page)
    plan = load_plan((demo_folder / "plan.json").read_bytes())
    for words in (
        f"{counted['unused']:,}",
        f"{counted['unobservable']:,} unobservable, {counted['out_of_coverage']:,} out of coverage",
        f"{plan['replay']['allowed']} distinct calls stay allowed",
    ):
        assert words in text


@pytest.mark.slow
def test_layers_are_shown_as_granted_used_and_proposed(page: str, demo_folder: Path) -> None:
    """As the store has them since the plan was made."""
    with open_store(demo_folder / STORE, read_only=True) as store:
        (counted,) = store.frame(
            "SELECT count(DISTINCT principal_id) FROM layer_defeats WHERE layer = 'identity_control' "
            "AND basis = 'proposed' AND state = 'active' AND NOT conditional"
        ).iter_rows()
    (row,) = re.findall(r'data-layer="identity_control">.*?</tr>', page, re.S)
    assert f'<td class="n">{counted[0]}</td></tr>' in row
    layers = _data(page)["layers"]
    assert set(layers["basis"]) == {0, 1, 2}
    assert set(layers["layer"]) == set(range(6))


@pytest.mark.nightly
def test_without_a_plan_it_proposes_nothing_and_says_so(demo_folder: Path, tmp_path: Path) -> None:
    page = _written(demo_folder, tmp_path)
    assert "This report has no plan" in page
    assert "What to do on Monday" not in page
    assert 'id="proposals"' not in page
    assert _data(page)["proposals"] is None


@pytest.mark.nightly
def test_a_plan_of_another_store_is_marked(
    demo_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Above all numbers, in the answer, and on stderr."""
    for name in ("plan.json", "roles", "evidence"):
        source = demo_folder / name
        shutil.copytree(source, tmp_path / name) if source.is_dir() else shutil.copy(source, tmp_path / name)
    plan = json.loads((tmp_path / "plan.json").read_bytes())
    plan["generated_from"]["content_hash"] = "0" * 64
    (tmp_path / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    out = tmp_path / "report.html"
    arguments = ["report", "--db", str(demo_folder / STORE), "--plan", str(tmp_path), "--out", str(out), "-o", "json"]
    assert run(arguments) == 0
    written, told = capsys.readouterr()
    assert json.loads(written)["plan_is_of_this_store"] is False
    assert "has changed since the plan was made" in told
    assert "has changed since this plan was made" in out.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_plan_and_a_window_together_are_a_wrong_use(demo_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["report", "--db", str(demo_folder / STORE), "--plan", str(demo_folder), "--min-window", "30"]
    assert run(arguments) == 2
    assert "a plan has its own window" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.many(3)
@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("reason", 7, r"proposals\[3\]\.reason"),
        ("evidence", {"role": "r"}, "differs between"),
        ("proof", {"used_subset": "yes", "granted_superset": True, "witness": None}, r"proof\.used_subset"),
        ("excess_before", "much", r"proposals\[3\]\.excess_before"),
        ("principal_ids", [], r"proposals\[3\]\.principal_ids"),
        ("evidence", {"role": "r", "scope": "/", "removed": {"covered": "three"}}, r"removed\.covered"),
    ],
)
def test_a_plan_that_is_none_is_refused(
    demo_folder: Path, tmp_path: Path, key: str, value: object, message: str
) -> None:
    """With the place in it, and no page is written."""
    for name in ("roles", "evidence"):
        shutil.copytree(demo_folder / name, tmp_path / name)
    plan = json.loads((demo_folder / "plan.json").read_bytes())
    plan["proposals"][3][key] = value
    (tmp_path / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        report_store(read_sources(demo_folder / STORE, plan=tmp_path), tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


@pytest.mark.slow
def test_evidence_that_is_missing_or_none_is_refused(demo_folder: Path, tmp_path: Path) -> None:
    for name in ("roles", "evidence"):
        shutil.copytree(demo_folder / name, tmp_path / name)
    shutil.copy(demo_folder / "plan.json", tmp_path)
    evidence = sorted((tmp_path / "evidence").glob("*.json"))[0]
    for text in ("{}", "[", '{"actions": [{"action": 1}]}'):
        evidence.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=evidence.name):
            report_store(read_sources(demo_folder / STORE, plan=tmp_path), tmp_path / "report.html")
    evidence.unlink()
    with pytest.raises(InputError, match="has no"):
        report_store(read_sources(demo_folder / STORE, plan=tmp_path), tmp_path / "report.html")


def _coverage(scopes: int, days: range, state: str = "observed") -> pl.DataFrame:
    rows = [
        ("activity_log", "Administrative", f"/subscriptions/{n}", dt.date(2026, 1, 1) + dt.timedelta(days=day), state)
        for n in range(scopes)
        for day in days
    ]
    return pl.DataFrame(rows, schema=["source", "category", "scope", "day", "state"], orient="row")


WINDOW = Window(dt.date(2026, 1, 1), dt.date(2026, 1, 10))


def test_a_day_that_no_row_speaks_of_is_missing_in_the_calendar() -> None:
    calendar = draw_calendar(_coverage(1, range(2, 10)), WINDOW)
    (row,) = calendar.rows
    assert row.days == {"observed": 8, "declared_empty": 0, "quiet": 0, "missing": 2}
    assert row.covered == pytest.approx(0.8)
    assert [state for state, _ in row.paths] == ["observed", "missing"]


def test_many_logs_share_a_row_that_shows_the_worst_of_them() -> None:
    table = pl.concat([_coverage(60, range(10)), _coverage(1, range(0)).clear()])
    lost = (pl.col("scope") == "/subscriptions/7") & (pl.col("day") == dt.date(2026, 1, 5))
    calendar = draw_calendar(table.with_columns(state=pl.when(lost).then(pl.lit("missing")).otherwise("state")), WINDOW)
    (row,) = calendar.rows
    assert calendar.is_folded
    assert row.scope == "60 scopes"
    assert row.days["missing"] == 1


def test_a_scope_without_a_row_for_a_day_makes_the_day_missing_for_all() -> None:
    """In a shared row too: a log that ends early must not look covered because others go on."""
    table = pl.concat(
        [_coverage(60, range(10)), _coverage(61, range(8)).filter(pl.col("scope") == "/subscriptions/60")]
    )
    (row,) = draw_calendar(table, WINDOW).rows
    assert row.days["missing"] == 2


def test_what_was_used_never_vanishes_from_a_bar() -> None:
    segments = bar({"used": 1, "unused": 100_000, "unobservable": 0, "out_of_coverage": 5})
    assert [name for name, _, _ in segments] == ["used", "unused", "out_of_coverage"]
    assert min(width for _, _, width in segments) > 1
    assert sum(width for _, _, width in segments) == pytest.approx(100, abs=0.1)
    assert bar(dict.fromkeys(("used", "unused", "unobservable", "out_of_coverage"), 0)) == []
