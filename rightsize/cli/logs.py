"""`rightsize logs`: show what to load or switch on, in the order of what it would decide, with its price."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rightsize.cli.narration import say, say_next, set_verbosity
from rightsize.cli.options import (
    DEFAULT_DB,
    DEFAULT_FORGET_DAYS,
    AsOf,
    Db,
    ForgetDays,
    MinDays,
    NoInput,
    Output,
    OutputFormat,
    Quiet,
    Verbose,
    WholeWindow,
)
from rightsize.cli.output import show, write
from rightsize.model.errors import UsageError

if TYPE_CHECKING:
    from rightsize.workflow.logs import LogsResult

COLUMNS = (
    "rank", "item", "title", "excess", "excess_alone", "share", "expected", "operations", "assignments", "needs",
    "gb_per_month", "gb_source", "records_per_month", "price_per_month", "currency", "plan", "price_as_of",
    "price_source", "is_sent", "licence", "decides_on", "chosen", "commands",
)  # fmt: skip
_BRIEF = ("no.", "missing", "decides_up_to", "GB_a_month", "price_a_month", "decides_on")
_FEW = 3
_LEAST = 0.001
_TENTH = 0.1
_CENT = 0.01


def logs(
    budget: Annotated[
        float | None,
        typer.Option("--budget", help="Choose the best set that costs at most this a month.", show_default=False),
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option("--prices", help="A CSV file of prices in the place of those that are known.", show_default=False),
    ] = None,
    plan: Annotated[
        str, typer.Option("--plan", help="The plan or destination of the prices: analytics, sentinel, storage …")
    ] = "analytics",
    region: Annotated[str, typer.Option("--region", help="The region of the prices.")] = "us",
    bicep: Annotated[
        Path | None,
        typer.Option("--bicep", help="Write the diagnostic settings into this folder.", show_default=False),
    ] = None,
    as_of: AsOf = None,
    min_window: WholeWindow = 90,
    min_days: MinDays = None,
    forget_days: ForgetDays = DEFAULT_FORGET_DAYS,
    db: Db = DEFAULT_DB,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Show which missing listings, logs and settings would decide most, with price, day and command for each.

    What a missing thing would decide is an upper bound: it may turn out that all of it was used. The share is of the
    excess that is undecided today. Emergency access accounts are left out.
    """
    from rightsize.workflow.logs import find_missing  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    if budget is not None and not (math.isfinite(budget) and budget >= 0):
        raise UsageError(f"`--budget {budget}` is not an amount from 0 up")
    result = find_missing(
        db,
        as_of=as_of,
        min_window=min_window,
        forget_days=forget_days,
        min_days=min_days,
        prices=prices,
        plan=plan,
        region=region,
        budget=budget,
        templates=bicep,
    )
    rows = list(result.rows())
    _say_window(result)
    if output is OutputFormat.TABLE:
        if rows:
            columns = (*_BRIEF, "chosen") if budget is not None else _BRIEF
            show([_brief(row) for row in rows], columns, output, table_columns=columns)
            write("\n" + "\n".join(_steps(rows, everything=verbose > 0)) + "\n")
    else:
        show(rows, COLUMNS, output, document=_document(result, rows))
    _say_rest(result, rows, bicep)


def _brief(row: dict[str, Any]) -> dict[str, Any]:
    found = {
        "no.": row["rank"],
        "missing": row["title"] + (" *" if row["needs"] and row["excess_alone"] < row["excess"] else ""),
        "decides_up_to": f"{row['share']:.1%}" if row["share"] >= _LEAST or not row["excess"] else f"<{_LEAST:.1%}",
        "GB_a_month": _amount(row["gb_per_month"]),
        "price_a_month": _price(row),
        "decides_on": row["decides_on"],
    }
    return found | {"chosen": "yes" if row["chosen"] else ""}


def _price(row: dict[str, Any]) -> str:
    price = row["price_per_month"]
    if price is None:
        return "unknown"
    if row["is_sent"]:
        return "paid"
    if price == 0:
        return "free"
    return f"{price:,.2f} {row['currency']}" if price >= _CENT else f"<{_CENT} {row['currency']}"


def _amount(gigabytes: float | None) -> str:
    if gigabytes is None:
        return "unknown"
    if gigabytes == 0:
        return "0"
    return f"{gigabytes:,.1f}" if gigabytes >= _TENTH else f"<{_TENTH}"


def _steps(rows: list[dict[str, Any]], *, everything: bool) -> Iterator[str]:
    """Yield what to do for each row; without `everything` only the first commands."""
    from rightsize.render.escape import for_terminal  # noqa: PLC0415  kept out of `--help`

    yield "What to do"
    for row in rows:
        notes = [f"needs also: {', '.join(row['needs'])}"] if row["needs"] else []
        notes += [f"licence: {row['licence']}"] if row["licence"] else []
        if row["expected"] is not None and row["excess"]:
            notes.append(f"unused in like scopes here: {100 * row['expected'] // row['excess']}% of it")
        said = f"  {row['rank']}. {row['item']}" + (f" ({'; '.join(notes)})" if notes else "")
        yield for_terminal(said)
        commands = row["commands"]
        shown = commands if everything else commands[:_FEW]
        yield from (for_terminal(f"     {command}") for command in shown)
        if len(commands) > len(shown):
            yield f"     and {len(commands) - len(shown):,} more; -v shows them"


def _document(result: LogsResult, rows: list[dict[str, Any]]) -> dict[str, Any]:
    chosen = result.chosen
    best = None
    if chosen is not None:
        decides = result.decides(chosen)
        price = sum(row["price_per_month"] for row in rows if row["item"] in chosen)
        best = {
            "items": list(chosen),
            "excess": decides,
            "share": round(result.share(decides), 4),
            "price_per_month": round(price, 4),
        }
    return {
        "window": {"first_day": result.window.first_day, "last_day": result.window.last_day},
        "undecided_excess": result.undecided,
        "assignments_without_bound": result.unlisted,
        "decidable_excess": result.decides([row["item"] for row in rows]),
        "options": rows,
        "best_set": best,
        "promises": [
            {
                "item": one.item,
                "promised_on": one.promised_on,
                "promised": one.promised,
                "came": one.came,
                "is_missing": one.is_missing,
            }
            for one in result.outcomes
        ],
    }


def _say_window(result: LogsResult) -> None:
    window = result.window
    say(f"window {window.first_day} to {window.last_day}, {window.days} days; prices of the plan {result.plan}")


def _say_rest(result: LogsResult, rows: list[dict[str, Any]], bicep: Path | None) -> None:
    if rows:
        whole = result.decides([row["item"] for row in rows])
        say(
            f"all of it together decides up to {result.share(whole):.1%} of the undecided excess; "
            "nothing that is known here decides the rest"
        )
    if any(row["needs"] for row in rows):
        say("*: a part of it needs other missing things, too")
    if result.chosen is not None:
        _say_best(result, rows)
    for one in result.outcomes:
        if one.is_missing and not one.came:
            continue
        share = f"{one.came / one.promised:.0%}" if one.promised else "nothing"
        state = "it is still missing in part" if one.is_missing else "it is no longer missing"
        say(f"promised on {one.promised_on} for {one.item}: {share} of the upper bound is decided today; {state}")
    if bicep is not None:
        say(f"wrote {len(result.files)} templates to {bicep}")
    _say_next(result, rows)


def _say_best(result: LogsResult, rows: list[dict[str, Any]]) -> None:
    chosen = [row for row in rows if row["chosen"]]
    if not chosen:
        say("no set fits the budget: what is missing costs more, or its price is not known")
        return
    decides = result.decides([row["item"] for row in chosen])
    price = sum(row["price_per_month"] for row in chosen)
    say(
        f"best set for the budget: {', '.join(row['item'] for row in chosen)}; it decides up to "
        f"{result.share(decides):.1%} for {price:,.2f} {result.prices.currency} a month"
    )


_CATALOGUE = "rightsize catalog import operations.json roles.json"
_UNLISTED = {
    "no_catalogue": "no catalogue of operations is loaded",
    "not_in_catalogue": "the catalogue has no operation that their roles grant",
    "role_definition_missing": "their role definitions are not loaded",
}


def _say_next(result: LogsResult, rows: list[dict[str, Any]]) -> None:
    for reason, number in result.unlisted.items():
        say(f"{number:,} assignments have no bound, since {_UNLISTED[reason]}: `{_CATALOGUE}`")
    if not result.has_grants:
        say("no assignment is loaded, so nothing can be decided")
        say_next("rightsize exports > get.sh; bash get.sh exports; rightsize load exports")
        return
    if result.unlisted and not rows:
        say_next(_CATALOGUE)
        return
    if not rows:
        say("nothing is missing that would decide more")
        say_next("rightsize propose")
        return
    first = next((row for row in rows if row["chosen"]), rows[0]) if result.chosen else rows[0]
    if first["commands"]:
        say_next(first["commands"][0])
