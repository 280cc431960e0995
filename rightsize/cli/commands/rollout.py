"""`rightsize rollout`: bring an accepted plan into Azure in reversible steps; the only command that writes there."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.change import bundle as bundles
from rightsize.change import tripwire
from rightsize.cli.command import Common, command
from rightsize.cli.commands.collect import Cloud
from rightsize.cli.narration import erase_progress, say
from rightsize.cli.options import EmergencyAccess, PlanSigners, SignersOfPlan, Today, day_or_today
from rightsize.model.errors import GateError, UsageError
from rightsize.model.progress import counted
from rightsize.render.escape import for_shell
from rightsize.workflow import signatures
from rightsize.workflow.plan import rollout as workflow
from rightsize.workflow.plan import rollout_run as run

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the rollout.")]
Auth = Annotated[
    str | None,
    typer.Option(
        "--auth",
        help="How to sign in for writing: default, cli, env, managed-identity, workload, browser, device-code.",
    ),
]
Yes = Annotated[
    bool, typer.Option("--yes", help="Change Azure without asking; without --yes or --ask nothing is changed.")
]
Ask = Annotated[bool, typer.Option("--ask", help="Change Azure after you type the name of the rollout.")]
SwapNames = Annotated[
    list[str] | None, typer.Option("--swap", help="Only this swap: its id, or the first characters. Repeatable.")
]
Key = Annotated[
    Path | None,
    typer.Option("--key", help="Sign the head of the journal at the end, with a key of OpenSSH or minisign."),
]
Signers = Annotated[
    Path | None,
    typer.Option(
        "--signers", help="Accepted signers of the head: a file of OpenSSH's allowed signers, or a key of minisign."
    ),
]
Signer = Annotated[
    str | None, typer.Option("--signer", metavar="NAME", help="Name of the signer among OpenSSH's allowed signers.")
]
HeadHash = Annotated[
    str | None,
    typer.Option("--head", metavar="HASH", help="Hash of the journal's last line, if it was written elsewhere."),
]
_SHORT = 8


@dataclass(frozen=True, slots=True)
class Writing:
    """The options that let a command change Azure, and sign or check the journal."""

    auth: Auth = None
    cloud: Cloud = "public"
    yes: Yes = False
    ask: Ask = False
    key: Key = None
    signers: Signers = None
    signer: Signer = None
    head: HeadHash = None

    def access(self, bundle: bundles.Bundle, common: Common) -> run.RolloutAccess:
        """Return the access to Azure; raise UsageError where the user does not say how, or does not confirm it."""
        found = _access(self.auth, self.cloud, self.yes, bundle.plan, common.no_input)
        return replace(found, key=self.key, signers=signatures.Signers(self.signers, self.signer), head=self.head)


_PLAN = (
    "wave", "swap", "principal", "makes", "removes", "new_roles", "wait_seconds", "break_probability_30d", "blind",
)  # fmt: skip
_PLAN_TABLE = ("wave", "swap", "principal", "makes", "removes", "wait", "breaks", "blind")
_STEPS = ("wave", "swap", "step", "what", "scope", "principal", "role", "until")
_STEPS_TABLE = ("step", "principal", "role", "at")
_STATES = ("swap", "wave", "principal", "state")
_STANDING = ("swap", "wave", "principal", "state", "since", "covered_days", "refused", "add_back", "reason")
_STANDING_TABLE = ("wave", "swap", "principal", "state", "covered_days", "refused")


@command(rows=True)
def plan_(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="The plan folder, or its plan.json.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the rollout, which must not have begun.")],
    emergency: EmergencyAccess = None,
    canary: Annotated[
        list[str] | None, typer.Option("--canary", help="Object id of a principal that goes first. Repeatable.")
    ] = None,
    wave_size: Annotated[
        int, typer.Option("--wave-size", min=1, help="Number of swaps in a wave after the canaries.")
    ] = 25,
    proposal: Annotated[
        list[str] | None,
        typer.Option(
            "--proposal", help="Only this proposal: its id, or the first characters. Repeatable. Default: all."
        ),
    ] = None,
    review: Annotated[
        Path | None,
        typer.Option("--review", help="File of decisions, from `rightsize review`: only accepted proposals are taken."),
    ] = None,
    of_wave: Annotated[
        int | None,
        typer.Option("--wave", min=0, max=4, help="Only the changes in this wave of `rightsize next`. Default: all."),
    ] = None,
    accept_short_window: Annotated[
        bool,
        typer.Option(
            "--accept-short-window",
            help="Accept a preview: a plan that rests on less than 90 days of use, or on a lower `--min-days`.",
        ),
    ] = False,
    *,
    trusted: PlanSigners,
    common: Common,
) -> None:
    """Order a plan into swaps and waves, and check what it needs.

    Azure is not asked. Changes that belong together are one swap: all are made, or all are rolled back. Some
    assignments are left out, each with its reason: those of emergency access accounts and of the last owner of a
    subscription, activations, conditions that would be lost, and all that depend on these. Assignments of Privileged
    Identity Management are changed by its requests, with their end and rules.
    """
    made = workflow.plan_rollout(
        common.db,
        plan,
        out,
        emergency=emergency or (),
        order=bundles.Order(tuple(canary or ()), wave_size, tuple(proposal or ()), accept_short_window),
        review=review,
        wave=of_wave,
        signers=trusted.asked,
    )
    rows = [run.describe(swap, made) for swap in made.swaps]
    _show(rows, _PLAN, common, _PLAN_TABLE, document=run.bundle_document(made))
    for one in made.left_out:
        named = made.names.get(one.role_assignment_id, "")
        say(f"left out: {named} ({one.role_assignment_id}): {one.reason}")
    swaps, waves = counted(len(made.swaps), "swap"), counted(len(made.waves), "wave")
    say(f"{swaps} in {waves}, {counted(len(made.left_out), 'assignment')} left out; in {out}")
    _say_next("apply", out, common)


@command(rows=True)
def apply_(
    folder: Folder,
    wave: Annotated[int | None, typer.Option("--wave", help="The wave to apply. Default: the next one.")] = None,
    *,
    writing: Writing,
    trusted: SignersOfPlan,
    common: Common,
) -> None:
    """Apply a wave: add, read back twice, then remove.

    It makes new assignments, waits, reads them back, then removes the old ones. Without --yes or --ask the steps are
    only shown. Each step is in the journal before it is done. The same command continues an interrupted run; a swap
    that Azure refuses is rolled back whole. Exit code 3 means that swaps were rolled back or stopped, 4 that the
    sign-in is to another tenant, 5 that bundle or journal were changed, 7 that the run has to continue later.
    """
    bundle = workflow.open_bundle(folder)
    chosen = wave or workflow.next_wave(folder)
    if chosen is None:
        say("every swap is done or rolled back")
        _say_next("status", folder, common)
        return
    if not (writing.yes or writing.ask):
        steps = [step for swap in bundle.swaps if swap.wave == chosen for step in run.steps_of(swap, bundle)]
        _show(steps, _STEPS, common, _STEPS_TABLE)
        say(f"wave {chosen}: nothing was changed; --yes or --ask applies it")
        _say_next("apply", folder, common, f" --wave {chosen} --ask --auth {writing.auth or 'cli'}")
        return
    vouched = replace(writing.access(bundle, common), plan_signers=trusted.asked)
    states = run.apply_wave(folder, chosen, vouched, db=common.db, report_progress=say)
    _show(run.states_of(states, bundle, wave=chosen), _STATES, common, _STATES)
    _fail_unless(states, ("done",), f"swaps of wave {chosen} were rolled back or stopped")
    _say_next("status", folder, common)


@command(rows=True)
def rollback_(
    folder: Folder,
    swap: SwapNames = None,
    *,
    writing: Writing,
    common: Common,
) -> None:
    """Restore what a rollout removed, then remove what it added.

    Removed assignments come back with id, condition and description; then the new ones go. Without --yes or --ask the
    states are only shown. New assignments are removed only after the restored ones were read back twice. Azure sets
    createdOn and createdBy anew.
    """
    bundle = workflow.open_bundle(folder)
    if writing.yes or writing.ask:
        states = run.roll_back(folder, writing.access(bundle, common), swaps=swap or (), report_progress=say)
    else:
        states = workflow.swap_states(folder)
        say("nothing was changed; --yes or --ask rolls back")
    columns = ("swap", "principal", "state")
    _show(run.states_of(states, bundle), columns, common, columns)
    if writing.yes or writing.ask:
        _fail_unless(states, ("open", "rolled_back", "scope_gone"), "swaps stopped during the rollback")
        _say_next("status", folder, common)
    else:
        _say_next("rollback", folder, common, f" --ask --auth {writing.auth or 'cli'}")


@command(rows=True)
def status_(
    folder: Folder,
    watch_days: Annotated[
        int, typer.Option("--watch-days", help="Covered days without a denied call that close a swap.")
    ] = 7,
    soak_days: Annotated[
        int, typer.Option("--soak-days", help="Days that close a swap whose removed access no log would show.")
    ] = 30,
    confirm: Annotated[
        list[str] | None,
        typer.Option("--confirm", help="Swap whose owner confirms what no log would show. Repeatable."),
    ] = None,
    confirmed_by: Annotated[str | None, typer.Option("--by", help="Who confirms.")] = None,
    auto_rollback: Annotated[
        bool, typer.Option("--auto-rollback", help="Roll back tripped swaps; needs --auth and --yes.")
    ] = False,
    auth: Auth = None,
    cloud: Cloud = "public",
    yes: Yes = False,
    as_of: Today = None,
    *,
    common: Common,
) -> None:
    """Show the state of each swap, by the journal and the logs.

    Logs loaded since count; the exit code is 3 if a swap is tripped. `tripped`: a call was denied that the removed
    assignment allowed; the smallest add-back is named. `watching`: a log covers too few days. `blind`: no log would
    show some of the removed access, and nobody has confirmed it yet.
    """
    if confirm:
        if not confirmed_by:
            raise UsageError("`--confirm` needs the name of the person", hint="add --by NAME")
        run.confirm_swaps(folder, confirm, confirmed_by)
    day = day_or_today(as_of)
    found = run.watch_rollout(common.db, folder, watch_days=watch_days, soak_days=soak_days, today=day)
    bundle = workflow.open_bundle(folder)
    _show(run.standings_of(found, bundle), _STANDING, common, _STANDING_TABLE)
    tripped = [one for one in found if one.state == "tripped"]
    for one in tripped:
        for lacking in tripwire.add_back(one):
            who = bundle.names.get(lacking["principal_id"], lacking["principal_id"])
            say(f"{one.swap[:_SHORT]}: {who} lacks {lacking['operation']} at {lacking['scope']}")
    if tripped and auto_rollback:
        if not yes:
            raise UsageError("`--auto-rollback` writes to Azure", hint="add --yes")
        access = _access(auth, cloud, yes, "", common.no_input)
        run.roll_back(folder, access, swaps=[one.swap for one in tripped], report_progress=say)
    if tripped:
        said = "were rolled back" if auto_rollback else "are tripped"
        raise GateError(f"{len(tripped)} swaps {said}", hint="`rightsize rollout rollback --swap SWAP` rolls one back")
    if workflow.next_wave(folder) is not None:
        _say_next("apply", folder, common)
    elif any(one.state in _WAITING for one in found):
        _say_next("status", folder, common, ", when later logs are loaded")
    else:
        common.say_next(common.with_db("rightsize propose"))


_WAITING = ("watching", "blind")


def _say_next(verb: str, folder: Path, common: Common, more: str = "") -> None:
    """Say the next command on the folder of a rollout."""
    common.say_next(common.with_db(f"rightsize rollout {verb} {for_shell(str(folder))}") + more)


def _show(
    rows: list[dict[str, Any]],
    columns: tuple[str, ...],
    common: Common,
    table_columns: tuple[str, ...],
    *,
    document: Mapping[str, Any] | None = None,
) -> None:
    """Show rows of swaps; a table has only the beginning of their ids, which `--swap` accepts, too."""
    if common.is_table:
        rows = [{**row, "swap": row["swap"][:_SHORT]} for row in rows]
    common.show(rows, columns, document=document, table_columns=table_columns)


def _access(auth: str | None, cloud: str, yes: bool, plan: str, no_input: bool) -> run.RolloutAccess:
    if auth is None:
        hint = "use a credential of its own; `rightsize status sources --rollout-role FILE` writes its role"
        raise UsageError("writing to Azure needs `--auth`", hint=hint)
    if not yes:
        _ask(plan[:8], no_input)
    return run.RolloutAccess(auth, cloud, may_ask=not no_input)


def _ask(name: str, no_input: bool) -> None:
    if no_input:
        raise UsageError("`--ask` and `--no-input` exclude each other", hint="use --yes")
    erase_progress()
    sys.stderr.write(f"This changes access in Azure. Type {name} to continue: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != name:
        raise UsageError("the name was not typed, so nothing was changed")


def _fail_unless(states: Mapping[str, str], good: tuple[str, ...], what: str) -> None:
    bad = [state for state in states.values() if state not in good]
    if bad:
        raise GateError(f"{len(bad)} of {len(states)} {what}", hint="`rightsize rollout status` says why")
