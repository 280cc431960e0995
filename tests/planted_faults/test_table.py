"""The table of planted faults fits the tree, and the command judges as it says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.planted_faults.__main__ import main
from tests.planted_faults.faults import Fault, FaultError, changed_text, planted, read_faults
from tests.planted_faults.runs import ROOT, Found, is_enough

FAULTS = read_faults()
FAULT = Fault("swapped", "part.py", "The limit itself is too much.", "a <= b", "a < b", ("tests/test_part.py",))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_can_be_planted_and_tested(fault: Fault) -> None:
    """Its module has the old text exactly once, the new text differs, and the tests that concern it exist."""
    changed = changed_text(fault, ROOT)
    assert fault.new in changed
    if fault.module.endswith(".py"):
        compile(changed, fault.module, "exec")
    assert fault.tests
    assert [name for name in fault.tests if not (ROOT / name).is_file()] == []
    assert fault.wrong.endswith(".")


def test_the_faults_stand_in_many_modules() -> None:
    """Forty modules or more have one, none has more than two, and no name stands twice."""
    faults_of = Counter(fault.module for fault in FAULTS)
    assert len(faults_of) >= 40
    assert max(faults_of.values()) <= 2
    assert max(Counter(fault.name for fault in FAULTS).values()) == 1


def test_a_fault_is_planted_and_taken_out(tmp_path: Path) -> None:
    """Inside the `with` the module has the new text and no compiled form; afterwards it is as before."""
    module, compiled = tmp_path / "part.py", tmp_path / "__pycache__" / "part.cpython-311.pyc"
    module.write_text("return a <= b\n", encoding="utf-8")
    compiled.parent.mkdir()
    compiled.touch()
    with planted(FAULT, tmp_path):
        assert module.read_text(encoding="utf-8") == "return a < b\n"
        assert not compiled.exists()
    assert module.read_text(encoding="utf-8") == "return a <= b\n"


@pytest.mark.parametrize("content", ["return b\n", "return a <= b\nreturn a <= b\n"])
def test_a_text_that_is_not_there_once_is_an_error(content: str, tmp_path: Path) -> None:
    """A text that is missing or ambiguous names the fault and the module."""
    (tmp_path / "part.py").write_text(content, encoding="utf-8")
    with pytest.raises(FaultError, match=r"swapped: part\.py"):
        changed_text(FAULT, tmp_path)


def test_a_module_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """A module that was moved names the fault and the module."""
    with pytest.raises(FaultError, match=r"swapped: there is no file part\.py"):
        changed_text(FAULT, tmp_path)


def _found(by_default: int, by_later_tiers: int, missed: int = 0) -> list[Found]:
    return [
        *[Found(FAULT, "a test", "a test")] * by_default,
        *[Found(FAULT, None, "a test")] * by_later_tiers,
        *[Found(FAULT, None, None)] * missed,
    ]


def test_the_default_tier_may_miss_a_tenth() -> None:
    """Eighteen of twenty are enough for the default tier, and twenty of twenty for all tiers."""
    assert is_enough(_found(18, 2))
    assert not is_enough(_found(17, 3))
    assert not is_enough(_found(19, 0, missed=1))
    assert is_enough(_found(0, 20), only_all_tiers=True)


def test_the_list_shows_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    """`--list` prints one line a fault and plants none; an unknown name ends with 2."""
    assert main(["--list"]) == 0
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == [one.name for one in FAULTS]
    assert main(["no-such-fault", "--list"]) == 2
    assert "no-such-fault" in capsys.readouterr().err


def test_a_name_chooses_a_fault(capsys: pytest.CaptureFixture[str]) -> None:
    """Only the named fault is listed, with its module and what is wrong."""
    one = FAULTS[-1]
    assert main([one.name, "--list"]) == 0
    assert capsys.readouterr().out == f"{one.name}: {one.module}: {one.wrong}\n"
