"""Write the tables of the page of figures from the result of a suite.

`rightsize backtest --suite full … -o json > suite.json` makes the result, and
`python -m rightsize.cli.suite_figures suite.json` prints the tables. They stand in `docs/figures.md`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from rightsize.cli.suite_page import calibrated, percent
from rightsize.model.errors import InputError
from rightsize.model.role_forms import load_json

_LOGGED = "logged"
_NUMBERS = "---:"


def write_figures(document: Mapping[str, Any]) -> str:
    """Return the tables of a suite as Markdown.

    Args:
        document: What `backtest --suite` prints with `-o json`.
    """
    plans = document["plans"]
    kinds = [kind for kind in plans[0]["needs_by_kind"] if kind != _LOGGED]
    holders = sum(numbers["holders"] for numbers in document["tenants"].values())
    needs = sum(numbers["needs"] for numbers in document["tenants"].values())
    parts = (
        [f"Suite {document['suite']}, seed {document['seed']}: {holders} principals, {needs} planted needs."],
        _table(("for the default plan", "all", "without reads"), _split(plans[0])),
        _table(_OUTCOME, map(_outcome, plans)),
        _table(("needs lost", *kinds), (_planted(plans[0], kinds), *(_lost(row, kinds) for row in plans))),
        _table(_ROLES, map(_roles, plans)),
        _table(_CALIBRATION, map(_calibrated, document["calibration"]["table"])),
    )
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


_OUTCOME = (
    "plan",
    "live excess removed",
    "live changes",
    "latent excess removed",
    "latent changes",
    "needs lost",
    "principals broken",
    "recorded calls denied",
)
_ROLES = ("plan", "new roles", "strings, median", "strings, largest", "explained", "Brier, bound", "Brier, expected")
_CALIBRATION = (
    "chance",
    "proposals",
    "mean chance",
    "mean bound",
    "broke",
    "observed",
    "95 % interval",
)


def _split(row: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield what goes of both kinds of excess, with and without reads, and what stays by design."""
    for kind in ("live", "latent"):
        yield f"{kind} excess removed", percent(row[f"{kind}_removed"]), percent(row[f"{kind}_changes_removed"])
    for kind in ("live", "latent"):
        yield f"{kind} excess that stays by design", percent(row[f"{kind}_by_design"]), ""


def _outcome(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"`{row['plan']}`",
        percent(row["live_removed"]),
        percent(row["live_changes_removed"]),
        percent(row["latent_removed"]),
        percent(row["latent_changes_removed"]),
        f"{row['needs_lost']} of {row['needs']}",
        f"{row['principals_broken']} of {row['principals']}",
        str(row["recorded_calls_denied"]),
    )


def _planted(row: Mapping[str, Any], kinds: Sequence[str]) -> tuple[str, ...]:
    return ("planted", *(str(row["needs_by_kind"][kind]["needs"]) for kind in kinds))


def _lost(row: Mapping[str, Any], kinds: Sequence[str]) -> tuple[str, ...]:
    return (f"`{row['plan']}`", *(str(row["needs_by_kind"][kind]["lost"]) for kind in kinds))


def _roles(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"`{row['plan']}`",
        str(row["new_roles"]),
        *("" if row[name] is None else f"{row[name]:g}" for name in ("strings_median", "strings_max")),
        percent(row["strings_explained"]),
        *("" if row[name] is None else f"{row[name]:.4f}" for name in ("brier", "brier_expected")),
    )


def _calibrated(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(map(str, calibrated(row).values()))


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    marks = ("---", *(_NUMBERS for _ in columns[1:]))
    return [f"| {' | '.join(columns)} |", f"|{'|'.join(marks)}|", *(f"| {' | '.join(row)} |" for row in rows)]


def main(arguments: Sequence[str]) -> int:
    """Print the tables of the named result."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m rightsize.cli.suite_figures RESULT.json\n")
        return 2
    try:
        text = write_figures(cast("Mapping[str, Any]", load_json(Path(arguments[0]).read_bytes())))
    except (OSError, InputError, KeyError, IndexError, TypeError) as error:
        sys.stderr.write(f"`{arguments[0]}` is no result of `backtest --suite … -o json`: {error!r}\n")
        return 5
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
