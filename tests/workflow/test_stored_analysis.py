"""Readers answer the same from the stored analysis as from one in memory, and never from one of earlier content."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from rightsize.cli.main import run
from rightsize.model.errors import InputError
from rightsize.model.options import WindowOptions
from rightsize.propose.core.options import PlanOptions
from rightsize.store.connection import Store, open_store
from rightsize.store.sql import CONTENT_REVISION
from rightsize.store.stored_analysis import (
    NOT_STORED,
    Analysed,
    has_current_answers,
    is_current,
    stored_analysis,
)
from rightsize.workflow.analysis.analyze import analyze_store
from rightsize.workflow.analysis.attack_paths import reach_of_node
from rightsize.workflow.analysis.keep_analysis import analyse_in_memory
from rightsize.workflow.answers.explain import explain_principal
from rightsize.workflow.plan import propose
from rightsize.workflow.plan.propose import propose_plan
from rightsize.workflow.suite.demo import STORE

pytestmark = pytest.mark.slow

READERS: tuple[tuple[str, ...], ...] = (
    ("explain", "Mei Lin", "-o", "json"),
    ("reach", "Priya Raman", "--eligible", "-o", "json"),
    ("reach", "Mei Lin", "--picture", "{out}/reach.svg"),
    ("report", "--plan", "{demo}", "--out", "{out}/plan.html", "-o", "json"),
    ("check", "unused-assignments", "unexplained-use", "-o", "json"),
    ("jobs", "-o", "json"),
    ("can", "Mei Lin", "Microsoft.Compute/virtualMachines/write", "--at", "/subscriptions/{subscription}"),
    ("who-can", "Microsoft.Compute/virtualMachines/write", "--at", "/subscriptions/{subscription}", "-o", "json"),
)
"""Commands that show what an analysis says, each with its arguments."""
EVERYBODY = """
    SELECT DISTINCT principal_id FROM (
        SELECT principal_id FROM principals UNION SELECT principal_id FROM role_assignments
        UNION SELECT principal_id FROM usage_days UNION SELECT principal_id FROM sign_ins
        UNION SELECT group_id FROM group_closure)
    WHERE principal_id IS NOT NULL ORDER BY principal_id"""


@pytest.fixture(scope="module")
def demo(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo, whose plan stored an analysis."""
    return Path(shutil.copytree(demo_folder, tmp_path_factory.mktemp("stored") / "demo"))


@pytest.fixture(scope="module")
def bare(demo: Path) -> Path:
    """The same store without its stored analysis, and with answers that nobody trusts."""
    path = demo / "bare.duckdb"
    shutil.copy(demo / STORE, path)
    with open_store(path, read_only=False) as store:
        store.connection.execute("DROP SCHEMA analysed CASCADE")
        store.connection.execute("DELETE FROM base.meta WHERE name IN ('stored_analysis', 'steps_of', 'answers_of')")
    path.chmod(0o400)
    return path


@pytest.mark.nightly
@pytest.mark.many(5)
@pytest.mark.parametrize("words", READERS, ids=" ".join)
def test_a_command_shows_the_same_from_the_store_as_from_memory(
    words: tuple[str, ...], demo: Path, bare: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Byte for byte, the files that it writes included; only where nothing is stored it says what makes it quick."""
    with open_store(bare, read_only=True) as store:
        subscription = store.rows("SELECT min(subscription_id) AS id FROM scopes")[0]["id"]
    shown = {}
    for db in (demo / STORE, bare):
        out = tmp_path / "out"
        out.mkdir()
        filled = [word.format(out=out, demo=demo, subscription=subscription) for word in words]
        assert run([*filled, "--db", str(db)]) == 0
        printed, said = capsys.readouterr()
        shown[db] = printed, {file.name: file.read_bytes() for file in out.iterdir()}
        assert (NOT_STORED in said) == (db == bare and words[0] not in ("can", "who-can"))
        shutil.rmtree(out)
    stored, computed = shown.values()
    assert stored == computed
    assert stored[0] or stored[1]


@pytest.mark.nightly
def test_everybody_of_the_demo_is_explained_alike(demo: Path, bare: Path) -> None:
    """Every principal and group, and every subject of reach, on stores that are open for reading only."""
    _assert_alike(demo / STORE, bare)


@pytest.mark.nightly
def test_everybody_of_the_hostile_tenant_is_explained_alike(hostile_planned: Path) -> None:
    """Names are markup, formulas and control characters."""
    db = hostile_planned / "store.duckdb"
    _assert_alike(db, db)


def _assert_alike(stored: Path, computed: Path) -> None:
    with open_store(stored, read_only=True) as first, open_store(computed, read_only=True) as second:
        found = stored_analysis(first, WindowOptions())
        assert found is not None
        made = analyse_in_memory(second, WindowOptions())
        everybody = [row["principal_id"] for row in first.rows(EVERYBODY)]
        assert len(everybody) > 10
        differing = [who for who in everybody if explain_principal(found, who) != explain_principal(made, who)]
        assert differing == []
        subjects = [row["node"] for row in made.rows("SELECT node FROM analysed.subjects ORDER BY node")]
        assert _reached(found, subjects) == _reached(made, subjects)


def _reached(analysed: Analysed, subjects: list[str]) -> list[object]:
    return [reach_of_node(analysed, node, eligible=eligible) for node in subjects for eligible in (False, True)]


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of one assignment, with a stored analysis."""
    path = tmp_path_factory.mktemp("analysed") / "small.duckdb"
    with open_store(path, read_only=False) as store:
        _assign(store, "a")
    analyze_store(path)
    return path


@pytest.fixture
def small(analysed: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copy(analysed, tmp_path / "small.duckdb"))


def _assign(store: Store, name: str) -> None:
    with store.transaction() as con:
        con.execute(
            """INSERT INTO base.role_assignments (role_assignment_id, state, principal_id, role_definition_id, scope)
            VALUES (?, 'active', 'ann', 'reader', '/subscriptions/s')""",
            [name],
        )


@pytest.mark.nightly
def test_a_change_of_content_makes_a_stored_analysis_an_earlier_one(small: Path) -> None:
    with open_store(small, read_only=False) as store:
        assert is_current(store)
        _assign(store, "b")
        assert is_current(store) is False
        assert stored_analysis(store, WindowOptions()) is None


@pytest.mark.nightly
def test_a_command_that_is_killed_leaves_an_analysis_that_nobody_reads(small: Path) -> None:
    """It dies in its transaction on the new content: the earlier analysis stays, with an earlier revision."""
    with open_store(small, read_only=False) as store:
        _assign(store, "b")
        with pytest.raises(KeyboardInterrupt), store.transaction(changes_content=False) as con:
            con.execute("CREATE OR REPLACE TABLE analysed.uses AS SELECT 1 AS broken")
            raise KeyboardInterrupt
    with open_store(small, read_only=True) as store:
        assert is_current(store) is False
        assert "principal_id" in {row["column_name"] for row in store.rows("DESCRIBE analysed.uses")}


def test_answers_and_marks_change_no_content(small: Path) -> None:
    with open_store(small, read_only=False) as store:
        revision = store.remembered(CONTENT_REVISION)
        store.write_answer("verdicts", store.table("verdicts"))
        store.remember("anything", "now")
        assert store.remembered(CONTENT_REVISION) == revision
        assert is_current(store)


@pytest.mark.nightly
def test_other_options_are_not_answered_by_the_stored_analysis(small: Path) -> None:
    """A window of the same days is; an analysis with other options leaves the stored one as it is."""
    with open_store(small, read_only=True) as store:
        found = stored_analysis(store, WindowOptions())
        assert found is not None
        days = found.windows["rbac"].days
        assert stored_analysis(store, WindowOptions(min_window=days, forget_days=400)) is not None
        for other in (
            WindowOptions(min_window=days - 1),
            WindowOptions(forget_days=3),
            WindowOptions(min_days=2),
        ):
            assert stored_analysis(store, other) is None
    analyze_store(small, WindowOptions(min_window=7))
    with open_store(small, read_only=True) as store:
        again = stored_analysis(store, WindowOptions())
        assert again is not None
        assert again.windows["rbac"].days == days


def test_answers_are_current_for_the_options_that_made_them(small: Path) -> None:
    """Without options asked, whatever they were: unusual days depend on none."""
    usual, short = WindowOptions(), WindowOptions(min_window=7)
    for asked in (usual, short):
        analyze_store(small, asked)
        with open_store(small, read_only=False) as store:
            assert [has_current_answers(store, one) for one in (usual, short)] == [asked == usual, asked == short]
            assert not has_current_answers(store, asked, ["/subscriptions/s"])
            assert has_current_answers(store)
    with open_store(small, read_only=False) as store:
        _assign(store, "b")
        assert not has_current_answers(store)


def test_a_plan_is_the_same_from_a_stored_analysis_which_it_does_not_make_again(
    analysed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare, small = (Path(shutil.copy(analysed, tmp_path / name)) for name in ("bare.duckdb", "small.duckdb"))
    with open_store(bare, read_only=False) as store:
        store.connection.execute("DELETE FROM base.meta WHERE name IN ('stored_analysis', 'steps_of', 'answers_of')")
    propose_plan(bare, PlanOptions(), tmp_path / "made")
    for name in ("analyse_inputs", "write_conclusions", "keep_analysis"):
        monkeypatch.setattr(propose, name, None)
    propose_plan(small, PlanOptions(), tmp_path / "read")
    made, read = (
        {file.name: file.read_bytes() for file in (tmp_path / name).rglob("*") if file.is_file()}
        for name in ("made", "read")
    )
    assert made == read
    with open_store(bare, read_only=True) as first, open_store(small, read_only=True) as second:
        for name in ("verdicts", "reach", "findings", "proposals"):
            assert_frame_equal(first.table(name), second.table(name), check_row_order=False)
        assert not second.table("proposals").is_empty()


def test_rules_and_version_are_part_of_the_key(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("rules_hash", lambda: "other"), ("__version__", "9.9")):
        with monkeypatch.context() as patched, open_store(small, read_only=True) as store:
            patched.setattr(f"rightsize.store.stored_analysis.{name}", value)
            assert is_current(store) is False


@pytest.mark.nightly
def test_status_says_whose_analysis_is_stored(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said() -> str:
        capsys.readouterr()
        assert run(["status", "--db", str(small)]) == 0
        return capsys.readouterr().out

    assert "of the loaded content" in said()
    with open_store(small, read_only=False) as store:
        _assign(store, "b")
    assert "of earlier content: `rightsize analyze` renews it" in said()


def test_a_reader_beside_a_writer_is_told_that_the_store_is_in_use(small: Path) -> None:
    program = "import sys, duckdb; con = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(small)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(InputError, match="is in use by another process"):
            open_store(small, read_only=True)
        writer.communicate()
    with open_store(small, read_only=True) as store:
        assert stored_analysis(store, WindowOptions()) is not None


def test_readers_of_a_stored_analysis_need_no_frames(small: Path, demo: Path) -> None:
    """Frames and the analysis take longer to import than the answer takes."""
    program = (
        "import sys\nfrom rightsize.cli.main import run\n"
        f"code = run(['explain', 'ann', '--db', {str(small)!r}, '-o', 'json'])\n"
        f"code = code or run(['jobs', '--db', {str(demo / STORE)!r}, '-o', 'json'])\n"
        "sys.exit(code or 9 * ('polars' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0
