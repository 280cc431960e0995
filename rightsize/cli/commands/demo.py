"""`rightsize demo`: generate a tenant, load it, judge it and plan, in one command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.layout import terminal_width, wrapped
from rightsize.cli.narration import say, say_place
from rightsize.cli.output import write
from rightsize.demo.tenant import TenantSpec
from rightsize.model.plan_totals import total_excess
from rightsize.render.escape import for_shell, for_terminal
from rightsize.render.sentences import excess_lines
from rightsize.workflow.suite import demo as workflow

_VERDICTS = {
    "used": "seen in a log",
    "unused": "a log would show it, and does not",
    "unobservable": "no log can show it",
    "out_of_coverage": "the log that would show it is missing",
}
_OUT = Path("reports/demo")
_DEEP = 4
"""Text that is indented further is a column, whose lines stand below each other."""


@command()
def demo(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder for all files: a new one, or an earlier demo.")
    ] = _OUT,
    principals: Annotated[
        int, typer.Option("--principals", help="Users, groups and workloads of the tenant, 60 or more.")
    ] = 60,
    subscriptions: Annotated[int, typer.Option("--subscriptions", help="Subscriptions of the tenant, 6 or more.")] = 6,
    days: Annotated[int, typer.Option("--days", help="Days with logs, 100 or more.")] = 120,
    events: Annotated[
        int | None, typer.Option("--events", help="Approximate number of calls in the logs.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Another number gives another tenant.")] = 0,
    *,
    common: Common,
) -> None:
    """Make a sample tenant with a plan and a report to try out.

    DIR gets the exports, the store, the plan and the report.
    """
    spec = TenantSpec(seed=seed, principals=principals, subscriptions=subscriptions, days=days, events=events)
    say_place(folder, _OUT, "DIR")
    result = workflow.make_demo(folder, spec, say)
    if common.is_table:
        write("\n".join(write_page(result)) + "\n")
        common.say_next(f"rightsize next {for_shell(str(result.folder))} --db {for_shell(str(result.store))}")
    else:
        common.show(list(result.rows()), ("section", "measure", "value"), document=result.document())


def write_page(result: workflow.DemoResult) -> Iterator[str]:
    """Yield the lines of the page for a terminal, with harmless text only, none wider than it but for commands."""
    width = terminal_width()
    for line in _page(result):
        text = line.lstrip()
        margin = " " * (len(line) - len(text))
        if not text or text.startswith("rightsize "):
            yield line
        else:
            yield from wrapped(text, width, indent=margin, hanging=margin if len(margin) > _DEEP else f"{margin}  ")


def _page(result: workflow.DemoResult) -> Iterator[str]:
    window = result.plan.generated_from["window"]
    yield f"A made-up hospital group: {result.principals:,} principals, {result.assignments:,} role assignments,"
    yield f"{result.subscriptions} subscriptions, {result.records:,} records of {result.days} days"
    yield ""
    yield f"Azure roles: operations granted, and used from {window['first_day']} to {window['last_day']}"
    yield from _verdicts(result)
    yield ""
    yield "Proposals, one for each role assignment"
    yield "  " + ", ".join(f"{number} {kind.replace('_', ' ')}" for kind, number in result.kinds.items())
    yield from _proof(result)
    yield ""
    yield "Three of the proposals"
    for example in result.examples:
        yield from _told(example)
    yield ""
    yield from _next(result)


def _verdicts(result: workflow.DemoResult) -> Iterator[str]:
    granted = result.plan.verdicts.get("granted", 0)
    yield f"  {'granted':<16}{granted:>9,}"
    for verdict, meaning in _VERDICTS.items():
        number = result.plan.verdicts.get(verdict, 0)
        share = number / granted if granted else 0.0
        yield f"  {verdict.replace('_', ' '):<16}{number:>9,}  {share:>6.1%}  {meaning}"
    unexplained = result.plan.verdicts.get("unexplained", 0)
    yield f"  {'unexplained':<16}{unexplained:>9,}          done, and no assignment today allows it"


def _proof(result: workflow.DemoResult) -> Iterator[str]:
    excess = total_excess(result.plan.proposals)
    yield from (f"  {line}" for line in excess_lines(excess))
    replay = result.plan.replay
    yield (
        f"  replay: {replay['allowed']:,} distinct calls stay allowed, {replay['needs_activation']:,} "
        f"need an activation, {replay['denied']:,} are denied"
    )
    truth = result.truth
    total = sum(truth.needs.values())
    yield (
        f"  real needs of this tenant: {total:,}, of which {truth.silent:,} are in no log; "
        f"the plan denies {len(truth.denied):,}"
    )
    yield (
        f"  real needs that no rule of rightsize knows: {sum(truth.unruled.values()):,} more; "
        f"the plan denies {len(truth.unruled_denied):,}"
    )


def _told(example: workflow.Example) -> Iterator[str]:
    proposal = example.proposal
    who = for_terminal(f"{example.principal}: {example.role} at {example.scope_name}")
    change = f"excess {proposal.excess_before:,.0f} → {proposal.excess_after:,.0f}"
    yield f"  {proposal.kind.replace('_', ' '):<16}{who}"
    margin = " " * 18
    yield f"{margin}{change}; {for_terminal(proposal.reason)}"


def _next(result: workflow.DemoResult) -> Iterator[str]:
    telling = next(iter(result.examples), None)
    yield "Look closer"
    yield f"  {result.folder / 'report.html'}  the whole analysis and all proposals, for a browser"
    yield f"  {result.folder / 'roles'}  one file for each new role"
    yield f"  {result.folder / 'evidence'}  the evidence for each action of these roles"
    if telling is not None:
        yield f'  rightsize explain "{telling.proposal.principal_ids[0]}" --db {result.store}'
    yield f"  rightsize analyze --by assignment --db {result.store}"
    yield "On your own tenant"
    yield "  rightsize fetch-script > get.sh; bash get.sh exports"
    yield "  rightsize load exports"
    yield "  rightsize propose"
    yield "  rightsize next"
