"""`rightsize backtest`: measure how often plans break somebody, on later days of the logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.analyze.reasons import SHOWN
from rightsize.cli.command import Common, command
from rightsize.cli.narration import say
from rightsize.cli.options import AsOf, EmergencyAccess, ForgetDays, MinDays, OutputFormat
from rightsize.cli.output import show, write
from rightsize.cli.suite_figures import CALIBRATION, calibrated, describe_scores, percent, show_suite
from rightsize.model.errors import UsageError
from rightsize.model.options import DEFAULT_FORGET_DAYS
from rightsize.propose.core import options as plan_options
from rightsize.workflow.plan import backtest as workflow
from rightsize.workflow.suite import run as suites

COLUMNS = (
    "what",
    "name",
    "principals",
    "principals_denied",
    "break_rate_principals",
    "calls",
    "calls_denied",
    "break_rate_calls",
    "events",
    "events_denied",
    "break_rate_events",
    "first_break_day",
    "median_break_day",
    "excess_before",
    "excess_after",
    "excess_removed",
    "planted_needs",
    "planted_needs_denied",
    "break_rate_planted",
)
_RATES = ("plan", "principals", "calls", "first day", "excess removed")


class SuiteChoice(StrEnum):
    """Generated tenants: a small one, two small and a large one, one not known whole, of AI agents, or of teams."""

    SMALL = "small"
    FULL = "full"
    SPECIAL = "special"
    AGENTS = "agents"
    JOBS = "jobs"


@command(older_names={"dials": "options"})
def backtest(
    train_days: Annotated[
        int | None,
        typer.Option("--train-days", min=1, help="Days to learn from. Default: 90, or fewer where the logs are short."),
    ] = None,
    test_days: Annotated[
        int | None,
        typer.Option("--test-days", min=1, help="Days to test on. Default: 30, or a third of a short history."),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--options",
            help="Plan options to try, such as reads=sibling,unobservable=drop,max-break=0.1, or every. "
            "Repeatable; the first gives the headline and the calibration.",
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            "--truth", help="File truth.json of a demo tenant: also test its real needs, unlogged ones included."
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", help="Leave this alone: a principal (id or UPN), a scope, or a role. Repeatable."),
    ] = None,
    emergency_access: EmergencyAccess = None,
    as_of: AsOf = None,
    min_days: MinDays = None,
    forget_days: ForgetDays = DEFAULT_FORGET_DAYS,
    suite: Annotated[
        SuiteChoice | None,
        typer.Option("--suite", help="Measure plans on generated tenants whose needs are known, not on the store."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="With --suite: another number gives other tenants. Default: 0.")
    ] = None,
    catalogue: Annotated[
        list[Path] | None,
        typer.Option(
            "--catalogue",
            metavar="FILE",
            help="With --suite: Azure's operations or built-in roles. Repeatable. Default: those of the store.",
        ),
    ] = None,
    plan: Annotated[
        list[Path] | None,
        typer.Option(
            "--plan",
            metavar="PATH",
            help="With --suite: also judge this plan of a tenant of the suite, a folder or plan.json. Repeatable.",
        ),
    ] = None,
    exports: Annotated[
        Path | None,
        typer.Option("--exports", metavar="DIR", help="With --suite: keep the exports and needs of each tenant here."),
    ] = None,
    *,
    common: Common,
) -> None:
    """Count the later calls that earlier plans would have denied.

    These plans are made from the first days of the logs.
    """
    of_store = {
        "--train-days": train_days,
        "--test-days": test_days,
        "--truth": truth,
        "--exclude": exclude,
        "--emergency-access": emergency_access,
        "--as-of": as_of,
        "--min-days": min_days,
        "--forget-days": forget_days if forget_days != DEFAULT_FORGET_DAYS else None,
    }
    of_suite = {"--seed": seed, "--catalogue": catalogue, "--plan": plan, "--exports": exports}
    _require_unset(of_suite if suite is None else of_store, suite)
    if suite is not None:
        _measure(suite, seed or 0, catalogue or (), plan or (), exports, options or (), common)
        return
    result = workflow.backtest_store(
        common.db,
        options or (),
        train_days=train_days,
        test_days=test_days,
        as_of=as_of,
        truth=truth,
        shared=plan_options.PlanOptions(
            exclude=tuple(exclude or ()),
            emergency_access=tuple(emergency_access or ()),
            forget_days=forget_days,
            min_days=min_days,
        ),
        narrate=say,
    )
    if common.is_table:
        _show_page(result)
        common.say_next(common.with_db("rightsize propose"))
    else:
        common.show(list(result.rows()), COLUMNS, document=result.document())


def _require_unset(options: Mapping[str, object], suite: SuiteChoice | None) -> None:
    """Raise UsageError for an option that has no effect with, or without, a suite."""
    given = next((name for name, value in options.items() if value is not None and value != []), None)
    if given is not None:
        raise UsageError(f"`{given}` has no effect {'without' if suite is None else 'with'} `--suite`")


def _measure(
    suite: SuiteChoice,
    seed: int,
    catalogue: Sequence[Path],
    plans: Sequence[Path],
    exports: Path | None,
    options: Sequence[str],
    common: Common,
) -> None:
    """Run a suite, and show its outcome."""
    result = suites.run_suite(
        suite.value,
        seed,
        db=common.db,
        catalogue=catalogue,
        settings=options,
        plans=plans,
        exports=exports,
        narrate=say,
    )
    if common.is_table:
        show_suite(result)
        common.say_next("rightsize backtest, which measures plans on your own logs")
    else:
        rows = list(result.rows())
        common.show(rows, [name for name in rows[0] if name != "needs_by_kind"], document=result.document())


def _show_page(result: workflow.BacktestResult) -> None:
    document = result.document()
    folds = document["folds"]
    first, last = folds[0]["test"]["first_day"], folds[-1]["test"]["last_day"]
    write(
        f"{len(folds)} {'fold' if len(folds) == 1 else 'folds'} of {folds[0]['train']['days']} days to learn from and "
        f"{folds[0]['test']['days']} days to test on\n"
        f"tested from {first} to {last}, {document['label']}\n\n"
    )
    columns = (*_RATES, "needs") if result.with_truth else _RATES
    show(list(_rates(result)), columns, OutputFormat.TABLE)
    write("\nprincipals, calls: denied, of those allowed by the assignments at the end of the\ntraining days\n")
    if result.with_truth:
        write("needs: planted needs denied, including those that no log shows\n")
    write(f"\ncalibration of the break probability, one line for each range of it, for\n{document['setting']}\n\n")
    _show_calibration(document)
    graph = document.get("planes", {}).get("graph")
    if graph is not None:
        _show_graph(graph)


def _show_calibration(document: Mapping[str, Any]) -> None:
    show([calibrated(row) for row in document["calibration"]], CALIBRATION, OutputFormat.TABLE)
    write("\n" + "\n".join(_scores(document)) + "\n")


def _show_graph(document: Mapping[str, Any]) -> None:
    """Show the backtest of the permissions of Microsoft Graph."""
    covered = sum(fold["state"] in SHOWN for fold in document["folds"])
    write(
        f"\nMicrosoft Graph: its log is evidence for the training days of {covered} of {len(document['folds'])} folds\n"
        f"applications with a denied request: {document['principals_denied']} of {document['principals']}\n"
        f"denied requests: {document['calls_denied']} of {document['calls']}\n"
        f"excess removed: {percent(document['excess_removed'])}\n\n"
    )
    _show_calibration(document)


def _rates(result: workflow.BacktestResult) -> Iterator[dict[str, Any]]:
    """Yield the rates of each setting and baseline, as text that fits a line of 80 characters."""
    for row in result.rows():
        yield {
            "plan": row["name"],
            "principals": f"{row['principals_denied']} of {row['principals']}",
            "calls": f"{row['calls_denied']} of {row['calls']}",
            "first day": row["first_break_day"],
            "excess removed": percent(row["excess_removed"]),
            "needs": f"{row['planted_needs_denied']} of {row['planted_needs']}",
        }


def _scores(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines under the table of calibration."""
    rows = document["calibration"]
    if rows:
        held = sum(row["holds"] for row in rows)
        yield f"the bound holds in {held} of {len(rows)} ranges: the interval does not lie above it"
    yield from describe_scores(document)
