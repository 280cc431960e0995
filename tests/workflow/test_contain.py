"""Containment on the demo: further access goes, needed access stays, and nobody else is affected."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rightsize.analyze.inputs import schema_of
from rightsize.cli.main import run
from rightsize.guard.contain import ContainResult, Suspicion, contain_principal
from rightsize.guard.watch.containment import ContainmentRules, contain_signalled, is_quiet, read_rules, why_not
from rightsize.model.errors import InputError, UsageError
from rightsize.store.connection import open_store
from rightsize.store.quarantine import replace_decisions
from rightsize.store.watching import commit_pass, pending_changes
from rightsize.workflow.data.status import prune_store
from rightsize.workflow.plan.verify import verify_plan
from tests.store.test_watching import concluded

USER, BRIDGE = "ravi.menon@aldervalley.example", "hl7-bridge-legacy"


@pytest.fixture(scope="module")
def demo(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copy(demo_folder / "demo.duckdb", tmp_path_factory.mktemp("contain") / "demo.duckdb"))


@pytest.fixture(scope="module")
def contained(demo: Path) -> tuple[ContainResult, Path]:
    """What containing the user at the default options gives, and the folder of its plan."""
    folder = demo.with_name("plan")
    return contain_principal(demo, USER, folder), folder


@pytest.mark.nightly
def test_what_leads_on_is_narrowed_to_what_was_used(demo: Path, contained: tuple[ContainResult, Path]) -> None:
    """The plan verifies, touches nobody else, and leaves less to fall; the requests leave less still."""
    result, folder = contained
    assert {tuple(one.principal_ids) for one in result.containment.plan.proposals} == {(result.principal_id,)}
    assert {one.kind for one in result.containment.plan.proposals} == {"custom"}
    cells = [result.reach.counts[name]["cells"] for name in ("today", "after", "and_options")]
    assert cells == sorted(cells, reverse=True)
    assert cells[0] > cells[1] > cells[2]
    checked = verify_plan(demo, folder)
    assert checked.refusal is None


@pytest.mark.nightly
def test_what_was_done_in_the_suspect_time_is_no_need(demo: Path, tmp_path: Path) -> None:
    """Nothing of it stays that nothing before shows; the plan verifies, since the time is kept as a decision."""
    db = Path(shutil.copy(demo, tmp_path / "demo.duckdb"))
    since = dt.datetime(2026, 6, 1)
    result = contain_principal(db, USER, tmp_path / "plan", suspicion=Suspicion(since, None, "took over", "soc"))
    assert result.suspect > 0
    assert result.first_suspect is not None
    assert result.first_suspect >= since
    assert result.dwell(result.first_suspect + dt.timedelta(minutes=90)) == dt.timedelta(minutes=90)
    assert "suspect" in {word for words in result.containment.why.values() for word in words}
    assert {one.kind for one in result.containment.plan.proposals} == {"remove"}
    assert verify_plan(db, tmp_path / "plan").refusal is None


@pytest.mark.nightly
def test_suspect_calls_of_pruned_days_are_counted_too(demo: Path, tmp_path: Path) -> None:
    """Only their days are left: the first of them is the first call of its day."""
    db = Path(shutil.copy(demo, tmp_path / "demo.duckdb"))
    prune_store(db, 20, done=True)
    suspicion = Suspicion(dt.datetime(2026, 8, 1), dt.datetime(2026, 8, 20), "took over", "soc")
    result = contain_principal(db, USER, tmp_path / "plan", suspicion=suspicion)
    assert result.suspect > 0
    assert result.first_suspect is not None
    assert dt.date(2026, 8, 1) <= result.first_suspect.date() <= dt.date(2026, 8, 20)


@pytest.mark.nightly
def test_what_an_unusual_day_used_first_is_suspect_though_every_signal_is_trusted(demo: Path, tmp_path: Path) -> None:
    db = Path(shutil.copy(demo, tmp_path / "demo.duckdb"))
    trust = {"principal": None, "from_time": None, "to_time": None, "decision": "trust", "reason": "a test"}
    trust |= {"owner": "soc", "expires": dt.date(2027, 1, 1)}
    with open_store(db, read_only=False) as store, store.transaction() as con:
        named = store.frame("SELECT signal_id FROM base.signals")["signal_id"]
        replace_decisions(con, [trust | {"signal_id": one} for one in named])
    result = contain_principal(db, "jonas.keller@aldervalley.example", tmp_path / "plan")
    assert result.suspect > 0, "its held use is counted by the day"
    assert "suspect" in {word for words in result.containment.why.values() for word in words}
    assert verify_plan(db, tmp_path / "plan").refusal is None


@pytest.mark.nightly
def test_requests_are_written_with_the_way_back_and_kept_from_emergency_accounts(demo: Path, tmp_path: Path) -> None:
    """An application can be blocked and loses its permissions; a group or an emergency account is not contained."""
    result = contain_principal(demo, BRIDGE, tmp_path / "plan")
    asked = {one.name: one for one in result.options}
    assert asked["block_sign_in"].request == {
        "method": "PATCH", "path": f"/servicePrincipals/{result.principal_id}", "body": {"accountEnabled": False},
    }  # fmt: skip
    assert asked["remove_permission"].leads_on
    assert asked["remove_permission"].undo is not None
    assert asked["remove_permission"].undo["body"]["principalId"] == result.principal_id
    counts = result.reach.counts
    assert (counts["today"]["takes_tenant"], counts["and_options"]["takes_tenant"]) == (True, False)
    written = json.loads((tmp_path / "plan" / "containment.json").read_text(encoding="utf-8"))
    assert len(written["options"]) == len(result.options)
    for name, what in (("Platform Engineers", "is a group"), ("emergency01@aldervalley.example", "emergency access")):
        with pytest.raises(UsageError, match=what):
            contain_principal(demo, name, tmp_path / "none")
    with pytest.raises(UsageError, match="emergency access"):
        contain_principal(demo, USER, tmp_path / "none", emergency=[USER])


@pytest.mark.slow
def test_the_last_owner_stays(demo: Path, tmp_path: Path) -> None:
    """It is said, and people decide."""
    result = contain_principal(demo, "mei.lin@aldervalley.example", tmp_path / "plan")
    assert result.containment.plan.proposals == ()
    assert any("would have no owner" in why for why in result.containment.stays.values())


@pytest.mark.nightly
def test_the_command_tells_what_falls_before_and_after(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer for programs has the changes and the requests."""
    assert run(["contain", USER, "--db", str(demo), "--out", str(tmp_path / "plan"), "-o", "json"]) == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert [one["why"] for one in document["changes"]] == [["leads_on"]]
    assert document["dwell_seconds"] is None, "nothing of it is suspect"
    assert "after the plan: " in said.err
    assert "`--keep-reads` keeps " in said.err, "it deploys"
    assert run(["contain", USER, "--db", str(demo), "--until", "2026-09-01"]) == 2


@pytest.mark.nightly
def test_reads_of_a_deployer_stay_by_option_and_the_plan_verifies(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A time without seconds is taken, and a day reaches to its end."""
    db = Path(shutil.copy(demo, tmp_path / "demo.duckdb"))
    time = ["--since", "2026-09-28T06:00", "--until", "2026-09-28"]
    asked = ["contain", USER, "--keep-reads", *time, "--db", str(db), "--out", str(tmp_path / "plan"), "-o", "json"]
    assert run(asked) == 0
    reads = json.loads(capsys.readouterr().out)["unlogged_reads"]
    assert reads["kept"]
    assert reads["operations"] > 0
    with open_store(db, read_only=True) as store:
        decided = store.table("signal_decisions").filter(reason="containment")
    assert decided["from_time"].to_list() == [dt.datetime(2026, 9, 28, 6)]
    assert decided["to_time"].to_list() == [dt.datetime(2026, 9, 28, 23, 59, 59, 999999)]
    assert verify_plan(db, tmp_path / "plan").refusal is None


def signal(store_path: Path, principal: str, number: int) -> None:
    """What a watch that loaded an alert about a principal leaves."""
    schema = {name: kind for name, kind in schema_of("watch_changes").items() if name not in ("seq", "pending")}
    row: dict[str, Any] = dict.fromkeys(schema)
    row |= {"change_id": f"s{number}", "kind": "signal", "severity": "high", "day": dt.date(2026, 9, 30), "text": "a",
            "time": dt.datetime(2026, 9, 30, 8), "principal_id": principal, "detail": "{}"}  # fmt: skip
    with open_store(store_path, read_only=False) as store:
        commit_pass(store, concluded(pl.DataFrame([row], schema=schema), dt.date(2026, 9, 30)), ("stdout",))


@pytest.mark.nightly
def test_whoever_a_strong_signal_names_is_contained_once_and_handed_on_only_by_a_rule(
    demo: Path, tmp_path: Path
) -> None:
    """By default a plan and no more; with a rule a rollout stands in the queue, and nothing has been sent."""
    db = Path(shutil.copy(demo, tmp_path / "demo.duckdb"))
    out, now = tmp_path / "out", dt.datetime(2026, 9, 30, 8, 30)
    with open_store(db, read_only=True) as store:
        people = dict(store.frame("SELECT user_principal_name, principal_id FROM principals").iter_rows())
    signal(db, people[USER], 1)
    made = contain_signalled(db, out, ContainmentRules(), ("stdout",), now, 90)
    assert [one.name for one in made] == [USER]
    with open_store(db, read_only=True) as store:
        told = [one for one in pending_changes(store, "stdout") if one["kind"] == "containment"]
    assert len(told) == 1
    assert "30 minutes after the signal; not handed on: the rules do not set `hand_on`" in told[0]["text"]
    assert contain_signalled(db, out, ContainmentRules(), ("stdout",), now, 90) == []
    assert not (out / "queue").exists()

    signal(db, people[USER], 2)
    rules = ContainmentRules(hand_on=True, principals=(USER,), emergency_accounts=("emergency01@aldervalley.example",))
    contain_signalled(db, out, rules, ("stdout",), now, 90)
    assert [path.name for path in (out / "queue").iterdir()] == [f"{people[USER]}-s2"]
    assert (out / "queue" / f"{people[USER]}-s2" / "rollout.json").is_file()


@pytest.mark.slow
def test_rules_decide_whom_what_and_when(contained: tuple[ContainResult, Path]) -> None:
    """Every one of them has to agree."""
    result, _ = contained
    rules = ContainmentRules(hand_on=True, principals=("*",), emergency_accounts=("e",), quiet_hours=("22:00-06:00",))
    noon, night = dt.datetime(2026, 9, 30, 12), dt.datetime(2026, 9, 30, 23)
    assert why_not(rules, (), result, noon) == ""
    assert why_not(rules, (), result, night) == "it is within the quiet hours"
    assert why_not(ContainmentRules(hand_on=True, principals=("x",)), ("x",), result, noon).endswith("its principal")
    assert why_not(ContainmentRules(hand_on=True, principals=("*",), kinds=("remove",)), (), result, noon).endswith(
        "custom"
    )
    assert [is_quiet(rules, dt.datetime(2026, 9, 30, hour)) for hour in (5, 6, 21, 22)] == [True, False, False, True]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("hand_on = true", "names no emergency access account"),
        ('hand_on = "yes"', "has the wrong type"),
        ("handon = true", "is not a rule"),
        ('severity = "dire"', "has an unknown value"),
        ('quiet_hours = ["night"]', "not a span of hours"),
        ("principals = [1]", "an item that is not text"),
        ("= 1", "is not TOML"),
    ],
)
def test_a_file_of_rules_says_what_is_wrong_with_it(tmp_path: Path, text: str, what: str) -> None:
    """Before anything is watched."""
    (tmp_path / "rules.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=what):
        read_rules(tmp_path / "rules.toml")


def test_a_file_of_rules_is_read(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(
        'hand_on = true\nprincipals = ["*"]\nkinds = ["remove"]\nquiet_hours = ["07:00-19:00"]\n'
        'emergency_accounts = ["e"]\nseverity = "medium"\n',
        encoding="utf-8",
    )
    assert read_rules(tmp_path / "rules.toml") == ContainmentRules(
        "medium", True, ("*",), ("remove",), ("07:00-19:00",), ("e",)
    )
    assert read_rules(None) == ContainmentRules()
