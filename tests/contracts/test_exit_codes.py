"""Each kind of error has its own exit code, and no other error shares it."""

from __future__ import annotations

import pytest

from rightsize.cli.exit_codes import ExitCode, exit_code_of
from rightsize.cli.main import run
from rightsize.model import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InternalError("x"), 1),
        (errors.UsageError("x"), 2),
        (errors.GateError("x"), 3),
        (errors.AccessError("x"), 4),
        (errors.InputError("x"), 5),
        (errors.EvidenceError("x"), 6),
        (errors.ServiceError("x"), 7),
    ],
)
def test_each_error_has_its_exit_code(error: errors.RightsizeError, code: int) -> None:
    """The mapping is the one that the documentation promises."""
    assert exit_code_of(error) == code


def test_every_error_is_mapped() -> None:
    """A new leaf of the error tree cannot fall through to `internal` unnoticed."""
    for leaf in errors.RightsizeError.__subclasses__():
        expected_internal = leaf is errors.InternalError
        assert (exit_code_of(leaf("x")) is ExitCode.INTERNAL) == expected_internal


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error says where help is, on stderr, and prints nothing on stdout."""
    assert run(["no-such-command"]) == ExitCode.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no-such-command" in captured.err


@pytest.mark.slow
def test_an_unknown_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """So does an option that no command has."""
    assert run(["--no-such-option"]) == ExitCode.USAGE
    assert "--no-such-option" in capsys.readouterr().err
