"""Name each option in files and in the environment, and say which options are set by neither.

In the tables a name stands for the option of every command, `COMMAND OPTION` for that of one command or of all below a
word.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rightsize.cli.options import OutputFormat

FILE = "rightsize.toml"
"""The name of the configuration file."""
CONFIG = "RIGHTSIZE_CONFIG"
"""The variable that names the configuration file."""

SHARED_OPTIONS = ("db", "output", "color", "all", "quiet", "verbose", "no-input")
"""Options that all commands take, where they make sense: keys at the top of a file, and `RIGHTSIZE_DB` and the like."""

WITHOUT_FILE = frozenset({"completion", "config show", "schema"})
"""Commands that read no configuration file: a mistake in it does not keep them from working."""

TYPED = frozenset(
    {
        # Who confirms that Azure or the store changes.
        *("yes", "ask", "rollout status confirm", "rollout status by", "rollout status auto-rollback"),
        "rollout plan accept-short-window",
        # What a change of Azure does stands on its command line alone.
        *("rollout apply *", "rollout rollback *", "rollout auth", "rollout cloud"),
        # What is declared of the files of this one call.
        *("load covers", "load source", "load scope", "load inventory-by", "load inventory-on"),
        # Which file is read.
        "config",
    }
)
"""Options that are typed each time."""

_WRITE_STORE = (
    "analyze", "catalog import", "catalog refresh", "collect", "contain", "demo", "load", "logs", "propose", "prune",
    "signals", "watch",
)  # fmt: skip
"""The commands that write into their store."""

NOT_IN_FOUND_FILE = frozenset(
    {
        # Where anything is written: results, decisions, temporary files, stores.
        *("out", "role-out", "picture", "review review", "spill-folder", *(f"{one} db" for one in _WRITE_STORE)),
        # What keeps a change of Azure safe, and the store that it is measured by.
        *("rollout *", "rollout db", "contain emergency-access"),
        # Places outside of this machine, and files that are named within a text.
        *("webhook", "spark", "spark-conf", "spark-results", "cloud", "graph-map"),
        # Whom to believe.
        *("trust-collections", "signers", "signer", "plan-signers", "plan-signer", "key", "contain-rules", "review by"),
        # What decides a gate, which a pull request could loosen, and what is deleted.
        *("check *", "verify *", "roles check *", "roles no-new-access *", "roles not-granted *", "var-file"),
        "prune keep-days",
    }
)
"""Options that a file sets only if the user names that file: a file that was found may be another person's."""


GUARDS = frozenset({"plan-signers", "plan-signer"})
"""Options that only forbid, and change nothing: the environment and a named file may set them for every command."""


def is_typed(command: str, option: str) -> bool:
    """Return whether an option of a command is set on the command line alone."""
    return option not in GUARDS and _is_among(TYPED, command, option)


def needs_named_file(command: str, option: str) -> bool:
    """Return whether a file may set an option of a command only if the user named the file."""
    return _is_among(NOT_IN_FOUND_FILE, command, option)


def _is_among(names: frozenset[str], command: str, option: str) -> bool:
    words = command.split()
    above = [" ".join(words[:length]) for length in range(1, len(words) + 1)]
    if any(f"{one} {option}" in names for one in above):
        return True
    # What all commands take is meant only where it is named with a command.
    return option not in SHARED_OPTIONS and (option in names or any(f"{one} *" in names for one in above))


def options_of(command: Any) -> list[Any]:
    """Return the options of a command without `--help`."""
    return [one for one in command.params if one.param_type_name == "option" and one.name != "help"]


def option_name(option: Any) -> str:
    """Return the name of an option in files and in help: its first long form without the dashes."""
    return str(next(text for text in option.opts if text.startswith("--"))).removeprefix("--")


def variables_of(command: str, option: Any) -> Iterator[str]:
    """Yield the variables of the environment that set an option of a command, the most specific one first."""
    name = option_name(option)
    if name == "config":
        yield CONFIG
    elif not is_typed(command, name):
        declared = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())
        shared = [variable(name)] if is_shared(option) else []
        yield from dict.fromkeys((variable(command, name), *declared, *shared))


def is_shared(option: Any) -> bool:
    """Return whether an option of a command also takes what is set for all commands.

    A command with output formats of its own takes them only if it has the usual ones, too.
    """
    name = option_name(option)
    return name in SHARED_OPTIONS and (name != "output" or {*OutputFormat} <= {*map(str, option.type.choices)})


def variable(*words: str) -> str:
    """Return the name of the variable that words make, such as those of a command and its option."""
    return "_".join(("RIGHTSIZE", *words)).upper().replace(" ", "_").replace("-", "_")
