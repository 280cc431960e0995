"""`rightsize status logs`: show what to load or switch on, in the order of what it would decide, with its price."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.narration import say
from rightsize.cli.output import write
from rightsize.model.errors import UsageError
from rightsize.model.options import WholeWindowOptions
from rightsize.model.progress import counted
from rightsize.render.escape import for_terminal
from rightsize.render.sentences import price_text, volume_text
from rightsize.workflow.answers import logs as workflow

COLUMNS = (
    "rank", "item", "title", "excess", "excess_alone", "share", "expected", "operations", "assignments", "needs",
    "gb_per_month", "gb_source", "is_assumed", "records_per_month", "price_per_month", "currency", "plan",
    "price_as_of", "price_source", "is_sent", "licence", "decides_on", "chosen", "commands", "policy_commands",
)  # fmt: skip
PART_COLUMNS = (
    "item", "scope", "rank", "excess", "excess_alone", "share", "operations", "gb_per_month", "records_per_month",
    "is_assumed", "price_per_month", "chosen", "commands", "policy_commands",
)  # fmt: skip
_BRIEF: tuple[str, ...] = ("no.", "missing", "decides_up_to", "GB_a_month", "price_a_month", "decides_on")
_BY_SCOPE = _BRIEF[:-1]
_FEW, _FIRST, _SCOPES = 3, 5, 10
_LEAST = 0.001


class Grouping(StrEnum):
    """The subject of a row: a missing thing, or one of the scopes that lack it."""

    ITEM = "item"
    SCOPE = "scope"


@command(rows=True)
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
    records_per_day: Annotated[
        int | None,
        typer.Option(
            "--records-per-day",
            min=0,
            help="Records a day of a resource whose log is missing, where no like log tells.",
            show_default="assumed",
        ),
    ] = None,
    by: Annotated[
        Grouping, typer.Option("--by", help="One row each missing thing, or each scope that lacks it.")
    ] = Grouping.ITEM,
    bicep: Annotated[
        Path | None,
        typer.Option("--bicep", help="Write the diagnostic settings into this folder.", show_default=False),
    ] = None,
    *,
    window: WholeWindowOptions,
    common: Common,
) -> None:
    """Show which missing logs and listings would decide most.

    Each has its price, the day on which it decides, and the command that gets it. What a missing thing would decide is
    an upper bound: it may turn out that all of it was used. The share is of the excess that is undecided today.
    Emergency access accounts are left out.
    """
    if budget is not None and not (math.isfinite(budget) and budget >= 0):
        raise UsageError(f"`--budget {budget}` is not an amount from 0 up")
    result = workflow.find_missing(
        common.db,
        window,
        prices=prices,
        plan=plan,
        region=region,
        budget=budget,
        templates=bicep,
        records_per_day=records_per_day,
    )
    rows, parts = list(result.rows()), list(result.part_rows())
    _say_window(result)
    if not common.is_table:
        shown, names = (rows, COLUMNS) if by is Grouping.ITEM else (parts, PART_COLUMNS)
        common.show(shown, tuple(names), document=_document(result, rows, parts))
    elif rows:
        brief, heads = _briefs(rows, parts), _BRIEF
        if by is Grouping.SCOPE:
            brief, heads = _part_briefs(rows, parts, everything=common.verbose > 0), _BY_SCOPE
        columns = heads if budget is None else (*heads, "chosen")
        common.show(list(brief), columns, table_columns=columns)
        write("\n" + "\n".join(_steps(rows, parts, everything=common.verbose > 0)) + "\n")
    _say_rest(result, rows, bicep)
    _say_next(result, rows, common)


_Row = dict[str, Any]


def _briefs(rows: Sequence[_Row], parts: Sequence[_Row]) -> Iterator[_Row]:
    for row in rows:
        marked = row["title"] + ("*" if row["needs"] and row["excess_alone"] < row["excess"] else "")
        whole = {"no.": row["rank"], "missing": marked, "decides_on": row["decides_on"]}
        yield whole | _figures(row) | {"chosen": _chosen(row, parts)}


def _part_briefs(rows: Sequence[_Row], parts: Sequence[_Row], *, everything: bool) -> Iterator[_Row]:
    """Yield each row followed by its scopes, the id of a subscription or the name of a management group."""
    for row in rows:
        yield from _briefs([row], parts)
        mine = _parts_of(row, parts)
        shown = mine if everything else mine[:_SCOPES]
        for part in shown:
            scope = part["scope"].rsplit("/", 1)[-1] or part["scope"] or "a scope that is not known"
            own = part | {"is_sent": row["is_sent"], "currency": row["currency"]}
            yield {
                "no.": "",
                "missing": f" {'the tenant' if scope == '/' else scope}",
                "chosen": "yes" if part["chosen"] else "",
            } | _figures(own)
        if len(mine) > len(shown):
            yield dict.fromkeys(("no.", *_BRIEF, "chosen"), "") | {
                "missing": f" and {len(mine) - len(shown):,} more; -v shows them"
            }


def _parts_of(row: _Row, parts: Sequence[_Row]) -> list[_Row]:
    return [part for part in parts if part["item"] == row["item"]]


def _chosen(row: _Row, parts: Sequence[_Row]) -> str:
    mine = _parts_of(row, parts)
    chosen = sum(bool(part["chosen"]) for part in mine)
    return f"{chosen:,} of {len(mine):,}" if 0 < chosen < len(mine) else "yes" if row["chosen"] else ""


def _figures(row: _Row) -> _Row:
    return {
        "decides_up_to": f"{row['share']:.1%}" if row["share"] >= _LEAST or not row["excess"] else f"<{_LEAST:.1%}",
        "GB_a_month": volume_text(row),
        "price_a_month": price_text(row),
    }


def _steps(rows: Sequence[_Row], parts: Sequence[_Row], *, everything: bool) -> Iterator[str]:
    """Yield what to do for each row; without `everything` only the first commands."""
    yield "What to do"
    wanted_rows = [row for row in rows if row["chosen"]] or list(rows)
    first = wanted_rows if everything else wanted_rows[:_FIRST]
    for row in first:
        mine = _parts_of(row, parts)
        wanted = [part for part in mine if part["chosen"]]
        in_part = 0 < len(wanted) < len(mine)
        yield for_terminal(f"  {row['rank']}. {row['item']}")
        notes = [f"needs also: {', '.join(row['needs'])}"] if row["needs"] else []
        notes += [f"licence: {row['licence']}"] if row["licence"] else []
        notes += [f"chosen at {_chosen(row, parts)} scopes"] if in_part else []
        if row["expected"] is not None and row["excess"]:
            notes.append(f"unused in like scopes here: {100 * row['expected'] // row['excess']}% of it")
        yield from (for_terminal(f"     {note}") for note in notes)
        sources = wanted if in_part else [row]
        # Each script is run before the next one is written.
        commands = [command for some in dict.fromkeys(tuple(one["commands"]) for one in sources) for command in some]
        shown = commands if everything else commands[:_FEW]
        yield from (for_terminal(f"     {command}") for command in shown)
        if len(commands) > len(shown):
            yield f"     and {len(commands) - len(shown):,} more; -v shows them"
        policies = [command for one in sources for command in one["policy_commands"]]
        if policies:
            yield "     or by built-in policies, which also take in new resources" + (":" if everything else "; -v")
            yield from (for_terminal(f"     {command}") for command in policies if everything)
    if len(wanted_rows) > len(first):
        yield f"  and {len(wanted_rows) - len(first):,} more; -v shows what to do about them"


def _document(result: workflow.LogsResult, rows: list[_Row], parts: list[_Row]) -> _Row:
    best = None
    if result.chosen is not None:
        decides = result.chosen_excess
        chosen = [row for row in rows if row["chosen"]]
        best = {
            "items": [row["item"] for row in chosen],
            "parts": [{"item": part["item"], "scope": part["scope"]} for part in parts if part["chosen"]],
            "excess": decides,
            "share": round(result.share(decides), 4),
            "price_per_month": round(result.chosen_price, 4),
            "is_assumed": any(row["is_assumed"] for row in chosen),
        }
    return {
        "window": {"first_day": result.window.first_day, "last_day": result.window.last_day},
        "undecided_excess": result.undecided,
        "assignments_without_bound": result.unlisted,
        "decidable_excess": result.decides([row["item"] for row in rows]),
        "options": [row | {"parts": [_without_item(part) for part in _parts_of(row, parts)]} for row in rows],
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


def _without_item(part: _Row) -> _Row:
    return {name: value for name, value in part.items() if name != "item"}


def _say_window(result: workflow.LogsResult) -> None:
    window = result.window
    say(f"window {window.first_day} to {window.last_day}, {window.days} days; prices of the plan {result.plan}")


def _say_rest(result: workflow.LogsResult, rows: list[_Row], bicep: Path | None) -> None:
    if rows:
        whole = result.decides([row["item"] for row in rows])
        say(
            f"all of it together decides up to {result.share(whole):.1%} of the undecided excess; "
            "nothing that is known here decides the rest"
        )
    if any(row["needs"] for row in rows):
        say("*: a part of it needs other missing things, too")
    if any(row["is_assumed"] for row in rows):
        say("~: assumed, since no like log is here to count; --records-per-day says how many records there are")
    if result.chosen is not None:
        _say_best(result, rows)
    for one in result.outcomes:
        if one.is_missing and not one.came:
            continue
        share = f"{one.came / one.promised:.0%}" if one.promised else "nothing"
        state = "it is still missing in part" if one.is_missing else "it is no longer missing"
        say(f"promised on {one.promised_on} for {one.item}: {share} of the upper bound is decided today; {state}")
    if bicep is not None:
        say(f"wrote {counted(len(result.files), 'template')} to {bicep}")


def _say_best(result: workflow.LogsResult, rows: list[_Row]) -> None:
    chosen = [row for row in rows if row["chosen"]]
    if not chosen:
        say("no set fits the budget: what is missing costs more, or its price is not known")
        return
    decides = result.chosen_excess
    assumed = [row["item"] for row in chosen if row["is_assumed"]]
    said = f"; the volume of {', '.join(assumed)} is assumed" if assumed else ""
    say(
        f"best set for the budget: {', '.join(row['item'] for row in chosen)}; it decides up to "
        f"{result.share(decides):.1%} for {result.chosen_price:,.2f} {result.prices.currency} a month{said}"
    )


_CATALOGUE = "rightsize catalog import operations.json roles.json"
_UNLISTED = {
    "no_catalogue": "no catalogue of operations is loaded",
    "not_in_catalogue": "the catalogue has no operation that their roles grant",
    "role_definition_missing": "their role definitions are not loaded",
}


_ELIGIBLE = "rightsize fetch-script --source role_eligibility_instances > get.sh"


def _say_next(result: workflow.LogsResult, rows: list[_Row], common: Common) -> None:
    for reason, number in result.unlisted.items():
        say(f"{number:,} assignments have no bound, since {_UNLISTED[reason]}: `{_CATALOGUE}`")
    if result.sleeps_unlisted:
        say(f"logs show activations, but no eligible assignment is listed, so these have no bound: `{_ELIGIBLE}`")
    if not result.has_grants:
        say("no assignment is loaded, so nothing can be decided")
        common.say_next("rightsize fetch-script > get.sh; bash get.sh exports; rightsize load exports")
        return
    if result.unlisted and not rows:
        common.say_next(_CATALOGUE)
        return
    if not rows:
        say("nothing is missing that would decide more")
        common.say_next("rightsize propose")
        return
    first = next((row for row in rows if row["chosen"]), rows[0]) if result.chosen else rows[0]
    if first["commands"]:
        common.say_next(first["commands"][0])
