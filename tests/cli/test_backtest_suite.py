"""`rightsize backtest --suite`: a run of the small suite on Azure's whole catalogue, and the errors of its options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run
from rightsize.cli.suite_figures import main, show_suite, write_figures
from rightsize.demo.writing import guid
from rightsize.workflow.suite.run import SuiteResult, run_suite

PAGE = Path(__file__).parents[2] / "docs" / "backtest.md"
MAIN = "/subscriptions/" + guid("suite", "small", 0, "subscription", "main")
IDLE = guid("suite", "small", 0, "grant", "contractor-0@contoso.com", "Contributor", MAIN, "active")
FILES = ("built-in-roles.json", "operations.csv")


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the exports of the run."""
    return tmp_path_factory.mktemp("suite") / "kept"


@pytest.fixture(scope="module")
def suite(shared_data: Path, exports: Path, tmp_path_factory: pytest.TempPathFactory) -> SuiteResult:
    """The small suite: the default options, the trivial plans, and a plan that somebody wrote."""
    written = tmp_path_factory.mktemp("written") / "plan.json"
    written.write_text(json.dumps({"proposals": [{"kind": "remove", "replaces": [IDLE]}]}), encoding="utf-8")
    return run_suite(
        "small",
        0,
        db=exports / "none.duckdb",
        catalogue=[shared_data / "catalog" / name for name in FILES],
        settings=["reads=all"],
        plans=[written],
        exports=exports,
    )


@pytest.fixture(scope="module")
def rows(suite: SuiteResult) -> dict[str, dict[str, Any]]:
    return {row["plan"]: row for row in suite.rows()}


@pytest.mark.nightly
def test_every_planted_need_is_allowed_today(rows: dict[str, dict[str, Any]], exports: Path) -> None:
    """Keeping everything loses nothing and removes nothing, and all needs of the truth are counted."""
    keep = rows["keep"]
    truth = json.loads((exports / "small-0" / "truth.json").read_text(encoding="utf-8"))
    assert sum(one["needs"] for one in keep["needs_by_kind"].values()) == len(truth["needs"])
    assert all(one["needs"] for one in keep["needs_by_kind"].values())
    assert (keep["needs_lost"], keep["unruled_lost"], keep["principals_broken"]) == (0, 0, 0)
    assert (keep["live_removed"], keep["latent_removed"], keep["new_roles"]) == (0, 0, 0)


@pytest.mark.slow
def test_a_plan_denies_no_recorded_call(rows: dict[str, dict[str, Any]]) -> None:
    """Ours keeps what the log shows and what rules know, and removes excess of both kinds."""
    ours = rows["default"]
    kinds = {kind: one["lost"] for kind, one in ours["needs_by_kind"].items()}
    assert ours["recorded_calls_denied"] == 0
    assert [kinds[kind] for kind in ("logged", "read", "linked", "data")] == [0, 0, 0, 0]
    assert kinds["endpoint"] <= 1, "what runs on an endpoint stays on the very types that were used"
    assert 0 < ours["live_removed"] < 1
    assert 0 < ours["latent_removed"] < 1
    assert ours["live_by_design"] == rows["keep"]["live_by_design"] > 0
    assert ours["brier"] is not None


@pytest.mark.slow
def test_what_stays_by_design_is_a_small_share(suite: SuiteResult, rows: dict[str, dict[str, Any]]) -> None:
    """Ours leaves every such assignment; whoever takes one has removed nothing that counts."""
    ours = rows["default"]
    assert ours["assignments_by_design"] == sum(suite.by_design.values()) == 8
    assert rows["used-only"]["assignments_by_design"] == 0
    assert 0 < ours["live_by_design"] <= 0.1
    assert 0 < ours["latent_by_design"] <= 0.1


@pytest.mark.slow
def test_used_only_is_the_other_end(rows: dict[str, dict[str, Any]]) -> None:
    """It removes more than ours, denies no recorded call either, and loses what no log shows."""
    used, ours = rows["used-only"], rows["default"]
    assert used["recorded_calls_denied"] == 0
    assert used["live_removed"] > ours["live_removed"]
    assert used["needs_by_kind"]["read"]["lost"] == used["needs_by_kind"]["read"]["needs"] > 0
    assert used["needs_lost"] > rows["sibling"]["needs_lost"] > ours["needs_lost"]
    assert used["strings_explained"] == 1


@pytest.mark.slow
def test_a_plan_of_somebody_else_is_judged_on_its_tenant(rows: dict[str, dict[str, Any]]) -> None:
    """The plan takes the assignment of one who did nothing: nothing is lost, and its excess goes."""
    given = rows["given plan"]
    assert (given["tenants"], given["needs_lost"], given["recorded_calls_denied"]) == (1, 0, 0)
    assert 0 < given["live_removed"] < rows["default"]["live_removed"]
    assert (given["new_roles"], given["brier"]) == (0, None)


@pytest.mark.slow
def test_the_page_fits_a_terminal(suite: SuiteResult, capsys: pytest.CaptureFixture[str]) -> None:
    """Each contender has a row in each table, and no line is over 80 columns."""
    show_suite(suite)
    page = capsys.readouterr().out
    assert [line for line in page.splitlines() if len(line) > 80] == []
    for name in ("default", "given plan", "used-only", "sibling", "keep"):
        assert page.count(f"\n{name} ") == 5


@pytest.mark.slow
def test_jobs_and_curves_are_in_page_and_document(suite: SuiteResult, capsys: pytest.CaptureFixture[str]) -> None:
    """Each tenant has its Rand index and the whole curve; each new role of the default plan stands in the document."""
    document = suite.document()
    (jobs,) = document["jobs"]
    assert 0 < jobs["rand_index"] <= 1
    assert sum(number for part in jobs["parts"].values() for number in part.values()) > 40
    points = [one["custom_roles"] for one in document["curves"]["small-0"]]
    assert points == sorted(points, reverse=True)
    assert points[-1] == 0
    row = document["plans"][0]
    assert len(document["roles"]) == row["new_roles"] > 0
    assert sum(one["add_on"] for one in document["roles"]) == row["add_ons"]
    assert {one["tenant"] for one in document["roles"]} == {"small-0"}
    show_suite(suite)
    page = capsys.readouterr().out
    assert f"small-0       {jobs['planted']}" in page
    assert "small-0: excess left by the number of new roles, for default" in page


@pytest.mark.slow
def test_the_page_quotes_what_the_suite_prints(suite: SuiteResult, capsys: pytest.CaptureFixture[str]) -> None:
    """Each line, but for the width of the columns, which depends on the plans that are shown."""
    show_suite(suite)
    printed = {" ".join(line.split()) for line in capsys.readouterr().out.splitlines()}
    _, _, section = PAGE.read_text(encoding="utf-8").partition("## On Azure's whole catalogue\n")
    quoted = [" ".join(line.split()) for line in section.split("```")[1].splitlines()]
    lines = [line for line in quoted if line and line != "…" and not line.startswith("$") and "──" not in line]
    assert [line for line in lines if line not in printed] == []
    assert any(line.startswith("default ") for line in lines)
    assert f"default plan loses {('no', 'one', 'two', 'three')[next(suite.rows())['unruled_lost']]}." in section


@pytest.mark.slow
def test_the_tables_of_the_page_of_figures_have_every_contender(suite: SuiteResult) -> None:
    """Each table is whole: its rows have as many cells as its head, and each contender a row in three of them."""
    tables = [part.splitlines() for part in write_figures(suite.document()).split("\n\n")[1:]]
    assert [len({line.count("|") for line in table}) for table in tables] == [1] * 5
    for name in ("default", "given plan", "used-only", "sibling", "keep"):
        assert sum(line.startswith(f"| `{name}` |") for table in tables for line in table) == 3
    ours = next(line for line in tables[1] if line.startswith("| `default` |"))
    row = next(suite.rows())
    assert f"| {row['needs_lost']} of {row['needs']} | {row['principals_broken']} of {row['principals']} | 0 |" in ours


def test_a_file_that_is_no_result_has_no_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is printed for the result of another command, a broken file or none."""
    for number, text in enumerate(("{}", "[]", '{"plans": []}', "{")):
        file = tmp_path / f"{number}.json"
        file.write_text(text, encoding="utf-8")
        assert main([str(file)]) == 5
    assert main([str(tmp_path / "none.json")]) == 5
    assert main([]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("--suite", "small", "--train-days", "30"),
        ("--suite", "small", "--truth", "truth.json"),
        ("--suite", "small", "--forget-days", "3"),
        ("--seed", "3"),
        ("--catalogue", "roles.json"),
        ("--plan", "plan.json"),
        ("--exports", "kept"),
    ],
)
def test_an_option_without_effect_is_refused(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Options of the store do not go with a suite, nor those of a suite with the store."""
    assert run(["backtest", *arguments, "-q"]) == 2
    assert "has no effect" in capsys.readouterr().err


@pytest.mark.slow
def test_a_store_without_the_whole_catalogue_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A catalogue of a few operations would say little."""
    file = tmp_path / "operations.csv"
    file.write_text("operation,is_data_action\nMicrosoft.Web/sites/read,false\n", encoding="utf-8")
    assert run(["backtest", "--suite", "small", "--catalogue", str(file), "-q"]) == 6
    assert "the suite needs Azure's whole catalogue" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "has no list `proposals`"),
        ('{"proposals": [{"kind": "remove"}]}', "without `replaces`"),
        ('{"proposals": [{"kind": "custom", "replaces": ["a"], "assignments": [{"role": "b"}]}]}', "without `scope`"),
        ('{"proposals": [{"kind": "custom", "replaces": ["a"], "assignments": 3}]}', "cannot be read"),
    ],
)
def test_a_given_plan_that_is_none_is_an_error(
    tmp_path: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plan is read before any tenant is made."""
    file = tmp_path / "plan.json"
    file.write_text(text, encoding="utf-8")
    assert run(["backtest", "--suite", "small", "--plan", str(file), "-q"]) == 5
    assert said in capsys.readouterr().err
