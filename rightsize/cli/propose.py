"""`rightsize propose`: write a plan of the smallest role assignments that would have allowed the observed use."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.cli.narration import say, set_verbosity
from rightsize.cli.options import (
    DEFAULT_DB,
    DEFAULT_FORGET_DAYS,
    AsOf,
    Db,
    ForgetDays,
    MinWindow,
    NoInput,
    Output,
    OutputFormat,
    Quiet,
    Verbose,
)
from rightsize.cli.output import copy_file, show, write

COLUMNS = (
    "id",
    "principal_id",
    "principal",
    "kind",
    "role_assignment_id",
    "role",
    "scope",
    "assignments",
    "excess_before",
    "excess_after",
    "break_probability_30d",
    "reason",
    "plane",
)
BRIEF = ("principal", "role", "at", "kind", "excess")
WIDTH = 16


class ReadsDial(StrEnum):
    """The reading part of today's grant that stays."""

    NONE = "none"
    SIBLING = "sibling"
    NAMESPACE = "namespace"
    ALL = "all"


class UnobservableDial(StrEnum):
    """The treatment of operations that no log can show."""

    KEEP = "keep"
    DROP = "drop"


class FormDial(StrEnum):
    """A further form of a plan: its roles and assignments, or a comment on a pull request."""

    ARM = "arm"
    AZ = "az"
    POWERSHELL = "powershell"
    BICEP = "bicep"
    TERRAFORM = "terraform"
    MARKDOWN = "markdown"


def propose(
    out: Annotated[
        Path, typer.Option("--out", help="The plan folder; earlier files of ours in it are replaced.")
    ] = Path("reports/plan"),
    reads: Annotated[
        ReadsDial,
        typer.Option("--reads", help="Unlogged reads of Azure Resource Manager that stay."),
    ] = ReadsDial.ALL,
    unobservable: Annotated[
        UnobservableDial,
        typer.Option("--unobservable", help="What happens to everything else that no log could show."),
    ] = UnobservableDial.KEEP,
    lifecycle: Annotated[
        bool, typer.Option("--lifecycle", help="Add the delete and update siblings of what was created.")
    ] = False,
    wildcards: Annotated[
        bool,
        typer.Option(
            "--wildcards",
            help="Write patterns in new roles where they grant nothing more on today's catalogue.",
        ),
    ] = False,
    max_excess: Annotated[
        int, typer.Option("--max-excess", min=0, help="Operations that an existing role may grant beyond the need.")
    ] = 0,
    max_break: Annotated[
        float | None,
        typer.Option(
            "--max-break", min=0, max=1, help="Keep what is likelier than this to break something within 30 days."
        ),
    ] = None,
    max_custom_roles: Annotated[
        int | None,
        typer.Option("--max-custom-roles", min=0, help="The most new custom roles; fewer cost excess."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            metavar="TERM=NUMBER,…",
            help="Weigh excess, roles, assignments and change in one sum, instead of one after the other.",
        ),
    ] = None,
    grace_days: Annotated[
        int,
        typer.Option(
            "--grace-days",
            min=0,
            help="Leave alone what is younger than so many days, and in any case what is younger than the window.",
        ),
    ] = 14,
    direct_assignments: Annotated[
        bool,
        typer.Option(
            "--direct-assignments/--no-direct-assignments",
            help="What only few members of a group do: assignments of their own, or kept in the group's role.",
        ),
    ] = True,
    standing_hours: Annotated[
        float,
        typer.Option(
            "--standing-hours",
            min=0,
            max=744,
            help="What people change with access that works fewer hours a month becomes eligible; 0 for never.",
        ),
    ] = 0.0,
    separate_layers: Annotated[
        bool,
        typer.Option(
            "--separate-layers",
            help="Split by layer of defence the roles of whoever would defeat several layers of a subscription.",
        ),
    ] = False,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", help="Leave this alone: a principal (id or UPN), a scope, or a role. Repeatable."),
    ] = None,
    exclude_from: Annotated[
        list[Path] | None,
        typer.Option(
            "--exclude-from",
            metavar="FILE",
            help="Leave alone what a .toml, .json or .csv file names: principals, roles, scopes and tags, each with "
            "reason, owner and the day on which that ends. Repeatable.",
        ),
    ] = None,
    emergency_access: Annotated[
        list[str] | None,
        typer.Option("--emergency-access", help="An emergency access account (id or UPN), left alone. Repeatable."),
    ] = None,
    forms: Annotated[
        list[FormDial] | None,
        typer.Option(
            "--format",
            help="Write roles and assignments in this form, too; markdown is a comment on a pull request. Repeatable.",
        ),
    ] = None,
    review: Annotated[
        Path | None,
        typer.Option("--review", help="Decisions, as `rightsize review` writes them: what is rejected is kept."),
    ] = None,
    as_of: AsOf = None,
    min_window: MinWindow = 90,
    forget_days: ForgetDays = DEFAULT_FORGET_DAYS,
    db: Db = DEFAULT_DB,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Plan the smallest role assignments that would have allowed what was done, with evidence and proof."""
    from rightsize.model.plan import AZURE_ROLES, PLANE_NAMES  # noqa: PLC0415
    from rightsize.propose.core.objective import read_weights  # noqa: PLC0415
    from rightsize.propose.core.options import Dials, Reads, Unobservable  # noqa: PLC0415
    from rightsize.render.separation import separation_lines  # noqa: PLC0415
    from rightsize.workflow.exclusions import read_exclusion_file  # noqa: PLC0415
    from rightsize.workflow.propose import propose_plan  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    dials = Dials(
        reads=Reads(reads.value),
        unobservable=Unobservable(unobservable.value),
        wildcards=wildcards,
        lifecycle=lifecycle,
        max_excess=max_excess,
        max_custom_roles=max_custom_roles,
        weights=read_weights(weights) if weights is not None else None,
        max_break=max_break,
        min_window=min_window,
        forget_days=forget_days,
        grace_days=grace_days,
        direct_assignments=direct_assignments,
        standing_hours=standing_hours,
        separate_layers=separate_layers,
        exclude=tuple(exclude or ()),
        exclusions=tuple(entry for path in exclude_from or () for entry in read_exclusion_file(path)),
        emergency_access=tuple(emergency_access or ()),
        as_of=as_of,
    )
    result = propose_plan(db, dials, out, forms=[form.value for form in forms or ()], review=review)
    for plane, kinds in result.planes.items():
        say(f"{PLANE_NAMES[plane]}: {', '.join(f'{number} {kind}' for kind, number in kinds.items())}")
    if not result.planes:
        say("no assignments")
    unexplained = result.plan.verdicts.get("unexplained", 0)
    say(_replay_line(AZURE_ROLES, result.plan.replay, unexplained))
    for part in result.plan.parts:
        say(_replay_line(part.plane, part.replay, part.replay["unknown"]))
    for line in separation_lines(result.plan.separation):
        say(line)
    for advice in result.plan.advice:
        say(f"{advice.subject}: {advice.text}", level=0 if advice.subject.startswith("--") else 1)
    for one in result.unmatched:
        say(f"{one.proposal} is no proposal any more, and was {one}")
    say(f"wrote {len(result.files)} files to {out}")
    if output is OutputFormat.MARKDOWN:
        write(result.comment)
        return
    if output is OutputFormat.JSON:
        copy_file(result.out / "plan.json")
        return
    rows = map(shortened, result.rows()) if output is OutputFormat.TABLE else result.rows()
    show(rows, COLUMNS, output, table_columns=BRIEF)


def _replay_line(plane: str, replay: Mapping[str, int], unexplained: int) -> str:
    """Return what the replay of a plane's calls found under the plan."""
    from rightsize.model.plan import PLANE_NAMES  # noqa: PLC0415  kept out of `--help`

    return (
        f"replay of {PLANE_NAMES[plane]}: {replay['allowed']:,} distinct calls stay allowed, "
        f"{replay['needs_activation']:,} need an activation, {replay['denied']:,} are denied; "
        f"unexplained operations: {unexplained:,}"
    )


def shortened(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row whose names fit a line of 80 characters; other formats have the full names."""
    return {
        name: value if not isinstance(value, str) or len(value) <= WIDTH else value[: WIDTH - 1] + "…"
        for name, value in row.items()
    }
