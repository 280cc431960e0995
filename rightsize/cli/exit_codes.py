"""Map each error to its exit code, which scripts rely on, and say which codes each command can end with."""

from __future__ import annotations

from collections.abc import Mapping
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


MEANINGS: Mapping[ExitCode, str] = {
    ExitCode.OK: "done",
    ExitCode.INTERNAL: "internal error",
    ExitCode.USAGE: "the command line or the configuration makes no sense",
    ExitCode.GATE: "a gate did not hold",
    ExitCode.ACCESS: "sign-in or authorisation failed",
    ExitCode.INPUT: "a file or a name is not what it should be",
    ExitCode.EVIDENCE: "what is loaded does not support the answer",
    ExitCode.SERVICE: "Azure, Graph or the network did not do its part",
    ExitCode.INTERRUPTED: "interrupted",
}
"""The meaning of each exit code in the help of commands."""

_ALWAYS = frozenset({ExitCode.OK, ExitCode.INTERNAL, ExitCode.USAGE, ExitCode.INTERRUPTED})
_READ_NO_INPUT = frozenset({"completion", "help", "plan schema", "queries list", "schema"})
"""The commands that read neither files nor a store; every other command can end with `INPUT`."""
_COMMANDS_BY_CODE: Mapping[ExitCode, frozenset[str]] = {
    ExitCode.GATE: frozenset(
        {
            *("can", "check", "needs", "plan verify", "watch", "who-can"),
            # A plan that is not signed by whom it has to be.
            *("mcp", "next", "plan comment", "plan files", "plan patch", "propose", "reach", "reach layers", "report"),
            *("review accept", "review defer", "review list", "review reject", "review reopen", "review"),
            *("roles check", "roles contains", "roles no-new-access", "roles not-granted"),
            *("rollout apply", "rollout plan", "rollout rollback", "rollout status"),
        }
    ),
    ExitCode.ACCESS: frozenset(
        {
            *("catalog refresh", "collect", "rollout apply", "rollout rollback", "rollout status", "status sources"),
            "watch",
        }
    ),
    ExitCode.EVIDENCE: frozenset(
        {
            *("analyze", "backtest", "can", "check", "contain", "differences", "explain", "export", "jobs", "who-can"),
            *("needs", "next", "propose", "prune", "reach", "reach layers", "report", "status logs", "status sources"),
            *("plan comment", "plan files", "plan patch", "plan verify", "roles check", "roles expand", "watch"),
            *("review accept", "review defer", "review list", "review reject", "review reopen", "review"),
            *("rollout apply", "rollout plan", "rollout status"),
        }
    ),
    ExitCode.SERVICE: frozenset(
        {
            *("catalog refresh", "collect", "load", "rollout apply", "rollout rollback", "rollout status"),
            *("status sources", "watch"),
        }
    ),
}
"""The commands that can end with a code that not all commands can end with."""


def codes_of(command: str) -> frozenset[ExitCode]:
    """Return the exit codes that a command can end with; `command` are the words after `rightsize`."""
    read = frozenset() if command in _READ_NO_INPUT else frozenset({ExitCode.INPUT})
    return _ALWAYS | read | {code for code, commands in _COMMANDS_BY_CODE.items() if command in commands}


def exit_rows(command: str) -> list[tuple[ExitCode, str]]:
    """Return the exit codes that a command can end with, in order, each with its meaning."""
    return [(code, MEANINGS[code]) for code in sorted(codes_of(command))]
