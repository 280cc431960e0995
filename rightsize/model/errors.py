"""Define every error that rightsize raises on purpose.

    RightsizeError
    ├── UsageError      2  the command line asks for something that makes no sense
    ├── GateError       3  the answer is no, and the user asked for an exit code that says so
    ├── AccessError     4  sign-in or authorisation failed
    ├── InputError      5  a file, or a row that cannot be skipped, is not what it should be
    ├── EvidenceError   6  what is loaded does not support the answer
    ├── ServiceError    7  Azure, Graph or the network did not do its part
    └── InternalError   1  a promise of our own was broken

Only the command line maps them to exit codes. A message is one lower-case sentence without a full stop, in the
user's concepts, with the user's input in backticks; the hint says what to do.
"""

from __future__ import annotations

DISTRIBUTION = "rightsize-azure"
"""The name that package indexes know the program by; `rightsize` is another project's there."""


class RightsizeError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: What is wrong, one lower-case sentence without a full stop.
        hint: What to do about it, or None where the message says it.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(RightsizeError):
    """A command or a call asks for something that makes no sense."""


class GateError(RightsizeError):
    """A gate that the user asked for did not hold."""


class AccessError(RightsizeError):
    """Sign-in or authorisation failed; the message names the action, the scope and the smallest built-in role."""


class InputError(RightsizeError):
    """A file is malformed, or cannot be read to its end."""


class EvidenceError(RightsizeError):
    """The loaded data do not support the answer."""


class ServiceError(RightsizeError):
    """Azure, Graph or the network failed."""


class InternalError(RightsizeError):
    """The program broke a promise of its own."""


def install_extra(extra: str) -> str:
    """Return the command that installs an extra of this program, for a hint."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"
