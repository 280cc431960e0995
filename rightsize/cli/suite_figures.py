"""Show the result of a suite: as a page for a terminal, and as tables for the page of figures.

Write the tables of the page of figures from the result of a suite.

`rightsize backtest --suite full … -o json > suite.json` makes the result, and
`python -m rightsize.cli.suite_figures suite.json` prints the tables. They stand in `docs/figures.md`.

Show the outcome of the suite: what goes and what breaks, the needs lost by class, new roles, and the calibration.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rightsize.cli.options import OutputFormat
from rightsize.cli.output import show, write
from rightsize.model.errors import InputError
from rightsize.model.role_forms import load_json

if TYPE_CHECKING:
    from rightsize.workflow.suite.run import SuiteResult


EXISTENCE = ("subscription", "there", "absent", "not registered", "unknown", "judged", "waiting", "why")
_POINTS = 12
"""A curve with more points than this is thinned out on the page."""
CALIBRATION = ("chance", "proposals", "expected", "bound", "broke", "observed", "95 % interval")


def show_suite(result: SuiteResult) -> None:
    """Write the page of a suite for a terminal."""
    holders = sum(numbers["holders"] for numbers in result.tenants.values())
    needs = sum(numbers["needs"] for numbers in result.tenants.values())
    rows = list(result.rows())
    write(
        f"suite {result.suite}, seed {result.seed}: {', '.join(result.tenants)}\n"
        f"{holders} principals with {needs} needs\n"
        "planned from 90 days, judged on every need and on the 30 days after\n"
    )
    words = ", ".join(f"{number} {word.replace('_', ' ')}" for word, number in result.by_design.items())
    write("\n".join(textwrap.wrap(f"stay by design: {words}", 80)) + "\n\n")
    _show_table([_outcome(row) for row in rows])
    write(
        "\nlive: excess removed, on types of resources that exist there; latent: on others\n"
        "broken: principals that lose a need of the next 30 days; denied: recorded calls\n"
        "\nexcess removed without reads, assignments left of those that have to stay by\n"
        "design, and their share of all excess of today, which counts nowhere else\n\n"
    )
    _show_table([_excess(row) for row in rows])
    write("\nneeds lost that the log of the window does not show, by kind\n\n")
    kinds = rows[0]["needs_by_kind"]
    planted = {kind: one["needs"] for kind, one in kinds.items()}
    shown = [{"plan": "(planted)", **planted}, *map(_by_kind, rows)]
    show(shown, ("plan", *(kind for kind in kinds if kind != _LOGGED)), OutputFormat.TABLE)
    write(
        "\nunruled: checked inside a write by a made-up pair, which no rule may know; they\ncount in no other figure\n"
        "\nnew roles, and the strings in each\n\n"
    )
    _show_table([_roles(row) for row in rows])
    write("\nexplained: strings that were observed, that read, or whose type exists there\n")
    _show_jobs(result, rows)
    write(
        "\ntypes of resources by what is known of them, and assignments that absent types\n"
        "decide, or that wait for something to come\n\n"
    )
    show([_exists(row, result) for row in result.existence], EXISTENCE, OutputFormat.TABLE)
    write(f"\ncalibration of the break probability for {result.setting}, logged operations\n\n")
    show([calibrated(row) for row in result.calibration()], CALIBRATION, OutputFormat.TABLE)
    write("\n" + "\n".join(describe_scores(result.scores())) + "\n")


def _show_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as a table whose columns are those of the first one."""
    show(rows, list(rows[0]), OutputFormat.TABLE)


def _show_jobs(result: SuiteResult, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write how the new roles fit the planted jobs, how the inferred jobs do, and the curve of roles against excess."""
    write(f"\nnew roles by the {rows[0]['jobs']} planted jobs of which a log shows a change\n\n")
    _show_table([_by_job(row) for row in rows])
    write(
        "\nroles: without add-ons, whose changes are all risky; foreign: operations that a\n"
        "holder gets of jobs that it does not have, and did not use, the risky ones, and\n"
        "the number a holder; checks: the same of checks inside a write; misplaced: what\n"
        "an own job does in one environment, and its holder gets elsewhere too\n"
        "\nplanted and inferred jobs, and the adjusted Rand index of (holder, change)\n\n"
    )
    _show_table([one.row() for one in result.jobs])
    for name, points in result.curves.items():
        write(f"\n{name}: excess left by the number of new roles, for {result.setting}\n\n")
        show([_point(one) for one in _thinned(points)], ("new roles", "excess", "assignments"), OutputFormat.TABLE)


def _by_job(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "plan": row["plan"],
        "roles": row["new_roles"] - row["add_ons"],
        "add-ons": row["add_ons"],
        "a job": _decimal(row["roles_per_job"]),
        "foreign": row["foreign"],
        "risky": row["foreign_risky"],
        "a holder": _decimal(row["foreign_per_holder"]),
        "checks": row["foreign_checks"],
        "misplaced": row["misplaced"],
    }


def _decimal(number: float | None) -> str:
    return "" if number is None else f"{number:.2f}"


def _point(one: Mapping[str, Any]) -> dict[str, Any]:
    return {"new roles": one["custom_roles"], "excess": one["excess"], "assignments": one["assignments"]}


def _thinned(points: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return at most `_POINTS` of some points, the first and the last among them."""
    last = min(len(points), _POINTS) - 1
    return [points[number * (len(points) - 1) // max(1, last)] for number in range(last + 1)]


def _outcome(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "plan": row["plan"],
        "live": percent(row["live_removed"]),
        "latent": percent(row["latent_removed"]),
        "needs lost": f"{row['needs_lost']} of {row['needs']}",
        "broken": f"{row['principals_broken']} of {row['principals']}",
        "denied": row["recorded_calls_denied"],
    }


def _excess(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "plan": row["plan"],
        "live changes": percent(row["live_changes_removed"]),
        "latent changes": percent(row["latent_changes_removed"]),
        "stay": f"{row['assignments_by_design']} of {row['assignments']}",
        "live by design": percent(row["live_by_design"]),
        "latent by design": percent(row["latent_by_design"]),
    }


def _exists(row: Mapping[str, Any], result: SuiteResult) -> dict[str, Any]:
    name = row["subscription"] if len(result.tenants) == 1 else f"{row['tenant']} {row['subscription']}"
    return {**row, "subscription": name, "why": row["why"].replace("_", " ")}


def _by_kind(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"plan": row["plan"], **{kind: one["lost"] for kind, one in row["needs_by_kind"].items()}}


def _roles(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "plan": row["plan"],
        "new roles": row["new_roles"],
        "median": row["strings_median"],
        "9 in 10": row["strings_p90"],
        "largest": row["strings_max"],
        "explained": percent(row["strings_explained"]),
        "Brier": row["brier"],
        "expected": row["brier_expected"],
    }


def calibrated(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of a reliability table, as text that fits a line of 80 characters."""
    return {
        "chance": f"to {percent(row['to'])}",
        "proposals": row["count"],
        "expected": percent(row["expected"]),
        "bound": percent(row["predicted"]),
        "broke": row["broke"],
        "observed": percent(row["observed"]),
        "95 % interval": f"{percent(row['low'])} to {percent(row['high'])}",
    }


def describe_scores(scores: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines under a table of calibration: how well the probabilities fit what broke."""
    if scores["brier"] is None:
        yield "no plan removes an operation that a log would show, so there is no probability to check"
        return
    yield f"Brier score (lower is better): expected {scores['brier_expected']}, bound {scores['brier']};"
    yield f"{scores['brier_base_rate']} for a forecast that gives each proposal the share that broke"
    yield (
        f"calibration error (0 is best): expected {scores['calibration_error']}, "
        f"bound {scores['calibration_error_bound']}"
    )
    if scores["area"] is not None:
        yield f"area under the curve (0.5 is a guess): expected {scores['area']}, bound {scores['area_bound']}"


def percent(share: float | None) -> str:
    """Return a share in per cent with one decimal; empty where there is none."""
    return "" if share is None else f"{100 * share:.1f} %"


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
        _table(_OUTCOME_HEAD, map(_outcome_cells, plans)),
        _table(("needs lost", *kinds), (_planted(plans[0], kinds), *(_lost(row, kinds) for row in plans))),
        _table(_ROLES_HEAD, map(_roles_cells, plans)),
        _table(_CALIBRATION_HEAD, map(_calibrated_cells, document["calibration"]["table"])),
    )
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


_OUTCOME_HEAD = (
    "plan",
    "live excess removed",
    "live changes",
    "latent excess removed",
    "latent changes",
    "needs lost",
    "principals broken",
    "recorded calls denied",
)
_ROLES_HEAD = (
    "plan",
    "new roles",
    "strings, median",
    "strings, largest",
    "explained",
    "Brier, bound",
    "Brier, expected",
)
_CALIBRATION_HEAD = (
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


def _outcome_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
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


def _roles_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"`{row['plan']}`",
        str(row["new_roles"]),
        *("" if row[name] is None else f"{row[name]:g}" for name in ("strings_median", "strings_max")),
        percent(row["strings_explained"]),
        *("" if row[name] is None else f"{row[name]:.4f}" for name in ("brier", "brier_expected")),
    )


def _calibrated_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
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
