"""`rightsize signals`: open signals, the calls they hold in quarantine, and decisions of people."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run
from rightsize.store.connection import open_store
from tests.store.staged import at, calls, guid, load, record

ANN = guid(100)
NOON = "2026-01-20T12:00:00"
DECISION = {"signal": "risk_detection/1", "decision": "trust", "reason": "a drill", "owner": "soc@x"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ann restarts a machine every day, and deletes it once, beside a risk detection. Copied, never opened again."""
    restart, delete = (f"Microsoft.Compute/virtualMachines/{verb}" for verb in ("restart/action", "delete"))
    habit = [
        record(time=f"2026-01-{day:02d}T12:00:00", correlation_id=f"c{day}", operation=restart) for day in range(2, 22)
    ]
    signal = {"signal_id": "risk_detection/1", "kind": "risk_detection", "name": "anomalousToken", "severity": "high"}
    signal |= {"first_time": at(NOON), "last_time": at(NOON), "updated_on": at(NOON), "source": "risk_detection"}
    who = {"signal_id": "risk_detection/1", "entity_kind": "principal", "value": ANN, "principal_id": ANN}
    path = tmp_path_factory.mktemp("signals") / "r.duckdb"
    with open_store(path, read_only=False) as store:
        load(store, calls(*habit, record(time=NOON, correlation_id="bad", operation=delete)))
        load(store, {"signals": [signal], "signal_entities": [who]})
    return path


@pytest.fixture
def db(filled: Path, tmp_path: Path) -> Path:
    """A store of one's own, as `filled` says."""
    return Path(shutil.copy(filled, tmp_path / "r.duckdb"))


def answer(capsys: pytest.CaptureFixture[str], db: Path, *words: str) -> Any:
    capsys.readouterr()
    assert run(["signals", *words, "--db", str(db), "-o", "json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.nightly
def test_a_signal_says_whom_it_names_and_what_it_holds(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = answer(capsys, db)
    assert (row["signal_id"], row["state"], row["who"]) == ("risk_detection/1", "stands", ANN)
    assert (row["calls"], row["operations"]) == (3, 2)


@pytest.mark.nightly
def test_only_what_has_no_other_evidence_waits_for_a_person(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = answer(capsys, db, "--show", "quarantine")
    assert [(row["operation"].rsplit("/", 1)[-1], row["only_evidence"], row["other_calls"]) for row in rows] == [
        ("delete", True, 0),
        ("action", False, 18),
    ]


@pytest.mark.slow
def test_the_table_fits_a_terminal(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--show", "quarantine"]):
        assert run(["signals", *words, "--db", str(db)]) == 0
        shown = capsys.readouterr()
        assert max(len(line) for line in shown.out.splitlines()) <= 80
        assert "1 used operations have no other evidence" in " ".join(shown.err.split())


def decide(folder: Path, *entries: dict[str, Any]) -> str:
    path = folder / "decisions.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    return str(path)


@pytest.mark.nightly
def test_trust_gives_free_and_ends_with_its_last_day(
    db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for expires, state, calls_ in (("2026-12-31", "trusted", 0), ("2026-01-01", "trusted", 3)):
        (row,) = answer(capsys, db, "--decisions", decide(tmp_path, DECISION | {"expires": expires}))
        assert (row["state"], row["calls"]) == (state, calls_)


@pytest.mark.nightly
def test_the_file_that_is_given_last_is_all_that_is_decided(
    db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(capsys, db, "--decisions", decide(tmp_path, DECISION | {"expires": "2026-12-31"}))
    (row,) = answer(capsys, db, "--decisions", decide(tmp_path))
    assert (row["state"], row["calls"]) == ("stands", 3)


@pytest.mark.nightly
@pytest.mark.parametrize(("decision", "calls_"), [("quarantine", 7), ("trust", 1)])
def test_a_time_of_a_principal_is_decided_by_itself(
    decision: str, calls_: int, db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Held: four more days. Trusted: a time that begins after the first call of the detection's window."""
    about = {"principal": ANN, "from": "2026-01-10T00:00:00Z", "to": "2026-01-13T23:00:00Z", "decision": decision}
    if decision == "trust":
        about |= {"from": "2026-01-20T11:00:00Z", "to": "2026-01-20T13:00:00Z"}
    entry = about | {"reason": "r", "owner": "o", "expires": "2026-12-31"}
    rows = answer(capsys, db, "--show", "quarantine", "--decisions", decide(tmp_path, entry))
    assert sum(row["calls"] for row in rows) == calls_


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [{"decision": "maybe"}, {"principal": "x"}, {"reason": ""}, {"expires": "soon"}, {"from": "now"}, {"sigal": "x"}],
)
def test_an_entry_that_is_none_is_refused(
    change: dict[str, str], db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = decide(tmp_path, DECISION | {"expires": "2026-12-31"} | change)
    assert run(["signals", "--decisions", path, "--db", str(db)]) == 5
    assert "entry 1" in capsys.readouterr().err
