"""Commands on role definitions in files: roles, and mine, which finds roles.

`rightsize roles`: compare, expand and convert role definitions in files.

`rightsize roles check`: measure a drafted role by what a principal used and holds.

`rightsize roles no-new-access` and `roles not-granted`: gates for changes of role definitions.

`rightsize mine`: mine roles from plain pairs of user and permission.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.exit_codes import ExitCode
from rightsize.cli.narration import say
from rightsize.cli.options import OutputFormat, VarFiles
from rightsize.cli.output import write
from rightsize.model.errors import GateError, InputError, UsageError
from rightsize.model.progress import counted
from rightsize.render import comment
from rightsize.render.deploy.files import ROLE_FORMATS
from rightsize.render.escape import for_shell
from rightsize.workflow.roles import check as role_check_workflow
from rightsize.workflow.roles import compare as catalogues
from rightsize.workflow.roles import compare as mine_workflow
from rightsize.workflow.roles import compare as roles_workflow
from rightsize.workflow.roles import gates

_FORMS = "a file with a role definition in any form, or `FILE#NAME` if it has several roles"
Catalogue = Annotated[
    Path | None,
    typer.Option(
        "--operations",
        help="Catalogue file: CSV, or output of `az provider operation list`. Default: the store's catalogue.",
    ),
]


@command(rows=True)
def contains(
    big: Annotated[
        str | None, typer.Argument(metavar="[BIG]", help=f"The role that should grant more: {_FORMS}.")
    ] = None,
    small: Annotated[
        str | None, typer.Argument(metavar="[SMALL]", help=f"The role that should grant less: {_FORMS}.")
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            "--pairs",
            help='File of pairs, as JSON lines `{"big", "small"}`, each a file or a list of permission blocks; - reads '
            "stdin.",
        ),
    ] = None,
    big_role: Annotated[str | None, typer.Option("--big-role", help="Name or GUID of the role in BIG.")] = None,
    small_role: Annotated[str | None, typer.Option("--small-role", help="Name or GUID of the role in SMALL.")] = None,
    var_file: VarFiles = None,
    *,
    common: Common,
) -> None:
    """Check that BIG grants everything that SMALL grants.

    The answer holds for all possible operations; the exit code is 3 if BIG does not. The witness is an operation that
    SMALL grants and BIG does not. A conditional block of BIG counts only where the block of SMALL has the same
    condition. Azure does not say whether `/*/` may stand for `/`: where that alone decides, the answer is no, and the
    witness says so.
    """
    if pairs is not None:
        if big or small or big_role or small_role:
            raise UsageError("`--pairs` takes no BIG or SMALL: each of its lines has both")
        answers = list(roles_workflow.contains_pairs(pairs, var_file or ()))
    elif big is None or small is None:
        raise UsageError("two roles are needed", hint="`rightsize roles contains BIG SMALL`, or `--pairs FILE`")
    else:
        whole = roles_workflow.read_role(big, big_role, variables=var_file or (), must_be_decided=True)
        part = roles_workflow.read_role(small, small_role, variables=var_file or ())
        answers = [roles_workflow.contains_answer(whole.permissions, part.permissions)]
    _show_answers(answers, common, many=pairs is not None)
    if big is not None and small is not None and not (big_role or small_role):
        common.say_next(f"rightsize roles diff {for_shell(big)} {for_shell(small)}")
    elif pairs is None:
        common.say_next("rightsize roles diff A B, with `FILE#NAME` for a role of a file")
    else:
        common.say_next("rightsize roles diff A B, for a pair")
    if not all(answer["contains"] for answer in answers):
        raise typer.Exit(ExitCode.GATE)


@command(rows=True)
def diff(
    one: Annotated[str, typer.Argument(metavar="A", help=f"A role: {_FORMS}.")],
    other: Annotated[str, typer.Argument(metavar="B", help=f"The other role: {_FORMS}.")],
    operations: Catalogue = None,
    var_file: VarFiles = None,
    *,
    common: Common,
) -> None:
    """Show the operations that only one of two roles grants.

    Witnesses are examples among all possible operations, one for each part that the other role does not grant. With a
    catalogue, its operations that only one role grants are listed too. If an operation depends on the reading, the
    answer holds only if `/*/` may stand for `/`, or only if it may not. `-o markdown` writes a pull request comment
    for the change from A to B.
    """
    catalogue = (
        catalogues.read_operations(operations)
        if operations
        else catalogues.stored_operations(common.db)
        if common.db.exists()
        else None
    )
    old, new = (roles_workflow.read_role(side, variables=var_file or ()) for side in (one, other))
    only_one, only_other = roles_workflow.diff_roles(old.permissions, new.permissions, catalogue)
    document = {"only_a": only_one.document(), "only_b": only_other.document()}
    rows = [
        {
            "only_in": side,
            "operation": item["operation"],
            "plane": item["plane"],
            "from": source,
            "depends_on_reading": item["depends_on_reading"],
        }
        for side, found in (("A", document["only_a"]), ("B", document["only_b"]))
        for source, items in (("witness", found["witnesses"]), ("catalogue", found["operations"] or ()))
        for item in items
    ]
    if common.output is OutputFormat.MARKDOWN:
        write(comment.write_difference(old, new, rows))
    else:
        common.show(rows, ("only_in", "operation", "plane", "from", "depends_on_reading"), document=document)
    if not rows:
        say("both grant the same, for all possible operations")
    elif catalogue is None:
        say("there is no catalogue of operations: `--operations FILE` lists the operations behind the witnesses")
    common.say_next(f"rightsize roles expand {for_shell(other)}")


@command(rows=True)
def expand(
    role: Annotated[str, typer.Argument(metavar="ROLE", help=f"A role: {_FORMS}.")],
    operations: Catalogue = None,
    var_file: VarFiles = None,
    *,
    common: Common,
) -> None:
    """List the operations that a role grants.

    The catalogue is that of the store or of `--operations`. An operation is conditional if only blocks with a condition
    grant it. It depends on the reading if `/*/` has to be read in favour of the role: Azure does not say whether `/*/`
    may stand for `/`.
    """
    rows = roles_workflow.expand_role(
        roles_workflow.read_role(role, variables=var_file or ()),
        catalogues.read_operations(operations) if operations else catalogues.stored_operations(common.db),
    )
    common.show(rows, ("operation", "plane", "conditional", "depends_on_reading"))
    say(counted(len(rows), "operation"))
    common.say_next(f"rightsize roles convert {for_shell(role)} --to bicep")


class RoleForm(StrEnum):
    """A form for writing a role definition."""

    _ignore_ = "form"
    for form in ROLE_FORMATS:
        vars()[form.upper()] = form


@command(output=False)
def convert(
    role: Annotated[str, typer.Argument(metavar="ROLE", help=f"A role: {_FORMS}.")],
    to: Annotated[
        RoleForm,
        typer.Option("--to", help="The form: json for Resource Manager, arm for a template with it."),
    ],
    var_file: VarFiles = None,
) -> None:
    """Write a role in another form to stdout.

    It is an error if the form cannot hold the whole role.
    """
    found = roles_workflow.read_role(role, variables=var_file or (), must_be_decided=True)
    write(roles_workflow.convert_role(found, to.value))


def _show_answers(answers: list[dict[str, Any]], common: Common, *, many: bool) -> None:
    if common.output in (OutputFormat.JSON, OutputFormat.JSONL):
        common.show(answers, ("contains", "witness"), document=None if many else answers[0])
    else:
        columns: tuple[str, ...] = ("contains", "operation", "plane")
        if not common.is_table:
            columns = (*columns, "depends_on_reading")
        common.show(list(_flat(answers)), columns)
    witnesses = [answer["witness"] for answer in answers if answer["witness"]]
    resting = [witness["operation"] for witness in witnesses if witness["depends_on_reading"]]
    if resting:
        reading = "the answer no depends on the reading: Azure does not say whether `/*/` may stand for `/`"
        say(f"{reading}: {', '.join(resting[:5])}{', …' if len(resting) > 5 else ''}")


def _flat(answers: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    for answer in answers:
        witness = answer["witness"] or {"operation": None, "plane": None, "depends_on_reading": None}
        yield {"contains": answer["contains"], **witness}


CHECK_COLUMNS = ("finding", "operation", "plane", "verdict", "risk", "why", "last_seen", "scope")
_CHECK_BRIEF = ("finding", "operation", "verdict", "why", "last_seen")
_FAILS = ("wider_than_today", "makes_permanent", "lacks_use")


@command(rows=True)
def check_role(
    role: Annotated[
        str,
        typer.Argument(
            metavar="ROLE",
            help="The drafted role: a file with a role definition in any form, or `FILE#NAME` if it has several roles.",
        ),
    ],
    principal: Annotated[
        str,
        typer.Argument(
            metavar="PRINCIPAL",
            help="Who would get it in the place of all Azure roles of today: object id, UPN, application id or display "
            "name, or a beginning that is unique.",
        ),
    ],
    at: Annotated[
        list[str] | None,
        typer.Option(
            "--at", metavar="SCOPE", help="Where it would be assigned. Repeatable. Default: the scopes of today."
        ),
    ] = None,
    beside: Annotated[
        list[str] | None,
        typer.Option("--beside", metavar="ROLE", help="A loaded role that it would stand beside. Repeatable."),
    ] = None,
    eligible: Annotated[
        bool, typer.Option("--eligible", help="It would be assigned as eligible, and not as permanent.")
    ] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 3 if it grants what is not held today, or lacks what was used.")
    ] = False,
    var_file: VarFiles = None,
    *,
    common: Common,
) -> None:
    """Show what a drafted role grants in excess, and lacks.

    It is compared with a principal's use and access. The algebra decides for all possible operations. `may lack` are
    operations that are held today, of which no log says whether they are needed.
    """
    drafted = [roles_workflow.read_role(role, variables=var_file or (), must_be_decided=True)]
    found = role_check_workflow.check_role(
        common.db, drafted, principal, at or (), beside=beside or (), eligible=eligible, note=say
    )
    rows = list(_check_rows(found))
    if common.is_table:
        rows = [row | {"last_seen": str(row["last_seen"] or "")[:10]} for row in rows]
    common.show(rows, CHECK_COLUMNS, document=found, table_columns=_CHECK_BRIEF)
    for remark in found["remarks"]:
        say(remark)
    say(found["verdict"].replace("_", " "))
    common.say_next(common.with_db(f"rightsize explain {for_shell(found['principal']['principal_id'])}"))
    if exit_code and found["verdict"] in _FAILS:
        raise typer.Exit(ExitCode.GATE)


def _check_rows(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the findings as rows, the gravest kind first."""
    for wider in found["wider"]:
        why = "held after an activation or under a condition" if wider["held_otherwise"] else "not held today"
        for one in wider["witnesses"]:
            yield _check_row("wider", one, scope=wider["scope"], why=why)
    for one in found["lacks"]:
        yield _check_row(
            "lacks", one, why=one["why"].replace("_", " "), last_seen=one["last_seen"], scope=one["scopes"][0]
        )
    for one in found["may_lack"]["asked_by_use"]:
        yield _check_row("may lack", one, verdict=one["verdict"], why=one["because"].replace("_", " "))
    for one in found["may_lack"]["undecided"]:
        what = {"operation": f"{one['operations']:,} operations", "plane": None}
        yield _check_row("may lack", what, verdict=one["verdict"], why=one["meaning"])
    for one in found["excess"]["rows"]:
        yield _check_row("excess", one, verdict=one["verdict"], risk=one["risk"], why=one["reason"])
    for one in found["strings"]:
        if one["problem"]:
            yield _check_row("string", {"operation": one["string"], "plane": None}, why=one["problem"])


def _check_row(finding: str, one: dict[str, Any], **more: object) -> dict[str, Any]:
    empty = dict.fromkeys(CHECK_COLUMNS)
    return empty | {"finding": finding, "operation": one["operation"], "plane": one["plane"]} | more


GATE_COLUMNS = ("role", "change", "operation", "plane", "file")
_GATE_BRIEF = ("role", "change", "operation", "plane")


class GatePlane(StrEnum):
    """The planes on which operations are looked up."""

    CONTROL = "control"
    DATA = "data"
    BOTH = "both"


@command(rows=True)
def no_new_access(
    places: Annotated[
        list[Path],
        typer.Argument(metavar="OLD NEW", help="Two files or folders; with --since, the files to compare with git."),
    ],
    since: Annotated[str | None, typer.Option("--since", help="Compare the files with this git revision.")] = None,
    allow_new_roles: Annotated[
        bool, typer.Option("--allow-new-roles", help="Accept roles that did not exist before.")
    ] = False,
    var_file: VarFiles = None,
    *,
    common: Common,
) -> None:
    """Check that a change of roles grants nothing new.

    The exit code is 3 if it does. Roles are read from JSON of any form, ARM templates, Bicep (.bicep), Terraform (.tf,
    .tf.json, .tfstate) or YAML, and matched by GUID or name. The answer holds for all possible operations; each witness
    is an operation that only the new role grants. A file or folder without a role, and values that only a deployment
    knows, end with exit code 5; a condition that only a parameter or a deployment decides counts with both sides.
    """
    if since is not None:
        found = gates.no_new_access_since(since, places, allow_new_roles=allow_new_roles, variables=var_file or ())
    elif len(places) == 2:
        old, new = places
        found = gates.no_new_access(old, new, allow_new_roles=allow_new_roles, variables=var_file or ())
    else:
        raise UsageError("two files or folders are needed", hint="OLD NEW, or --since REVISION FILE…")
    _show_gate(found, common)
    if found.rows:
        first = found.rows[0]
        raise GateError(f"role `{first['role']}` {_verb(first['change'])} `{first['operation']}` ({first['plane']})")
    _refuse(found)
    say(f"{counted(found.roles, 'role')} {'grants' if found.roles == 1 else 'grant'} no more than before")
    common.say_next("merge the change")


@command(rows=True)
def not_granted(
    role: Annotated[Path, typer.Argument(metavar="ROLE", help="File or folder with role definitions of any form.")],
    operations: Annotated[
        list[str] | None,
        typer.Option("--operation", help="An operation, or a pattern of operations. Repeatable."),
    ] = None,
    plane: Annotated[GatePlane, typer.Option("--plane", help="Plane of the operations.")] = GatePlane.BOTH,
    var_file: VarFiles = None,
    *,
    common: Common,
) -> None:
    """Check that no role in files grants given operations.

    A grant with a condition counts, too. The exit code is 3 if one does, and 5 if the file or folder has no role, or
    one that cannot be read. A condition that only a parameter or a deployment decides counts with both sides.
    """
    found = gates.not_granted(role, operations or (), plane.value, variables=var_file or ())
    _show_gate(found, common)
    if found.rows:
        first = found.rows[0]
        raise GateError(f"role `{first['role']}` grants `{first['operation']}` ({first['plane']})")
    _refuse(found)
    say(f"none of {found.roles} roles grants these operations")
    common.say_next("merge the change")


def _verb(change: str) -> str:
    return "is new, and grants" if change == "new role" else "now grants"


def _show_gate(found: gates.Gate, common: Common) -> None:
    if found.rows or not common.is_table:
        common.show(found.rows, GATE_COLUMNS, table_columns=_GATE_BRIEF)
    for remark in found.remarks:
        say(remark)
    for error in found.refused[1 if not found.rows else 0 :]:
        say(f"not read: {error.message}")


def _refuse(found: gates.Gate) -> None:
    """Raise the error of the first file that cannot be read: what it grants is not known, so the gate stays shut."""
    if found.refused:
        first = found.refused[0]
        raise InputError(f"{first.message}; the roles of all other files pass", hint=first.hint)


@command()
def mine(
    file: Annotated[Path, typer.Argument(help="Text file with a user and a permission on each line.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the roles to this file, one JSON object on each line.")
    ] = None,
    time_limit: Annotated[float, typer.Option("--time-limit", min=0.1, help="Time limit, in seconds.")] = 60.0,
    *,
    common: Common,
) -> None:
    """Find the fewest roles that grant exactly what is listed.

    Each user keeps exactly the listed permissions; the lower bound is proven.
    """
    mined = mine_workflow.mine_roles(file, time_limit=time_limit)
    if out is not None:
        mine_workflow.write_roles(mined, out)
        say(f"wrote {counted(len(mined.roles), 'role')} to {out}")
    answer = mined.answer()
    common.show([answer], list(answer), document=answer)
    step = f"read {out}" if out is not None else f"rightsize mine {for_shell(str(file))} --out roles.jsonl"
    common.say_next(step)
