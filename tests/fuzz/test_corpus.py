"""Every input that ever broke a parser, and every one that a parser is fuzzed from, is read or refused."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path

import pytest

from rightsize.model.errors import InputError, InternalError
from tests.fuzz.__main__ import run
from tests.fuzz.mutate import mutate
from tests.fuzz.targets import TARGETS, Target, check

QUICK = [target for target in TARGETS if target.name not in ("logs", "listings")]
"""Those of the others stage files, which takes longer."""


@pytest.mark.slow
@pytest.mark.parametrize("target", QUICK, ids=lambda target: target.name)
def test_kept_inputs_and_some_changed_ones_are_read_or_refused(target: Target) -> None:
    for path in target.kept():
        check(target, path.read_bytes())
    drawn = random.Random(7)  # noqa: S311  the same in each run
    for seed in target.seeds():
        check(target, seed)
        for _ in range(15):
            check(target, mutate(seed, drawn))


@pytest.mark.slow
@pytest.mark.parametrize("target", [one for one in TARGETS if one not in QUICK], ids=lambda target: target.name)
def test_changed_files_are_read_or_refused(target: Target) -> None:
    drawn = random.Random(7)  # noqa: S311  the same in each run
    for data in [path.read_bytes() for path in target.kept()] + list(target.seeds())[::3]:
        check(target, mutate(data, drawn))


def test_an_error_that_is_not_ours_is_a_fault() -> None:
    """So is an internal error: only the input may be to blame."""

    def parse(data: bytes) -> object:
        raise {b"ours": InputError("x"), b"internal": InternalError("x")}.get(data, KeyError("x"))

    target = Target("x", parse, list)
    check(target, b"ours")
    with pytest.raises(InternalError):
        check(target, b"internal")
    with pytest.raises(KeyError):
        check(target, b"else")


@pytest.mark.nightly
def test_a_short_run_by_coverage(tmp_path: Path) -> None:
    """Atheris finds nothing new in one parser; all of them are for the nightly run."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("Atheris is not installed")
    number, _, said = run("bundle", 300, 3, tmp_path)
    assert (number, said) == (300, "held")
