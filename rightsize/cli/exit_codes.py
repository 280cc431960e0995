"""Map each error to its exit code, which scripts rely on."""

from __future__ import annotations

from enum import IntEnum

from rightsize.model import errors


class ExitCode(IntEnum):
    """The exit code of a run."""

    OK = 0
    """Done."""
    INTERNAL = 1
    """A promise of our own was broken."""
    USAGE = 2
    """The command line asks for something that makes no sense."""
    GATE = 3
    """A gate that was asked for did not hold."""
    ACCESS = 4
    """Sign-in or authorisation failed."""
    INPUT = 5
    """A file is not what it should be."""
    EVIDENCE = 6
    """What is loaded does not support the answer."""
    SERVICE = 7
    """Azure, Graph or the network did not do its part."""
    INTERRUPTED = 130
    """Stopped by the user."""


_BY_ERROR: tuple[tuple[type[errors.RightsizeError], ExitCode], ...] = (
    (errors.UsageError, ExitCode.USAGE),
    (errors.GateError, ExitCode.GATE),
    (errors.AccessError, ExitCode.ACCESS),
    (errors.InputError, ExitCode.INPUT),
    (errors.EvidenceError, ExitCode.EVIDENCE),
    (errors.ServiceError, ExitCode.SERVICE),
)


def exit_code_of(error: errors.RightsizeError) -> ExitCode:
    """Return the exit code of an error."""
    for kind, code in _BY_ERROR:
        if isinstance(error, kind):
            return code
    return ExitCode.INTERNAL
