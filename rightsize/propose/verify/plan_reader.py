"""Read `plan.json`, the role files and the tables of evidence of a written plan, and check every value before use.

A plan folder travels through pull requests and chats, so the files may come from somebody else.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import polars as pl

from rightsize.analyze.plan_evidence import (
    AGAIN,
    EvidenceFile,
    files_of,
    read_tables,
    readings_of,
    stays_inline,
    take_rows,
)
from rightsize.analyze.plan_grants import with_grants
from rightsize.analyze.window import Window
from rightsize.model.errors import InputError
from rightsize.model.nouns import AssignmentState, RoleDefinition
from rightsize.model.plan import PLAN_FORMAT, PLANES_BEYOND, PlannedAssignment
from rightsize.model.plan_defaults import SaidOnce, filled
from rightsize.model.plan_evidence import EVIDENCE_TABLES, GRANTS, READINGS, file_of
from rightsize.model.proposal_kinds import PROPOSAL_KINDS, ProposalKind
from rightsize.model.role_forms import hash_of_role, load_json, read_role_definitions
from rightsize.propose.core.fingerprint import POLICY_NEEDS, WHAT, Readings
from rightsize.rbac.scopes import parse_scope
from rightsize.rbac.text import Folded, fold

_STATES: tuple[str, ...] = get_args(AssignmentState)
_FILE = re.compile(r"roles/[a-z0-9][a-z0-9-]{0,199}\.json")
_END = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3])(:[0-5]\d){2}Z", re.ASCII)
_VERSIONS = (1, 2, PLAN_FORMAT)
_TABLES = {table.name: file_of(table) for table in EVIDENCE_TABLES}


@dataclass(frozen=True, slots=True)
class WrittenProposal:
    """The fields of a written proposal that its proof needs. Ids are folded, except `id`.

    Attributes:
        id: Its id.
        kind: Its kind.
        replaces: The assignments that it replaces or keeps.
        state: Their state, or None where the proposal does not say it.
        assignments: The assignments that take their place.
    """

    id: str
    kind: ProposalKind
    replaces: tuple[Folded, ...]
    state: str | None
    assignments: tuple[PlannedAssignment, ...]


@dataclass(frozen=True, slots=True)
class WrittenRole:
    """A new role of the plan: its folded id, its file, and the hash of the role that the file must contain."""

    role: Folded
    file: str
    content: str


@dataclass(frozen=True, slots=True)
class WrittenPart:
    """The part of a plan for a plane beyond Azure RBAC: its window, proposals, and hashes of what it read."""

    plane: str
    window: Window
    proposals: tuple[WrittenProposal, ...]
    rests_on: Readings


@dataclass(frozen=True, slots=True)
class WrittenPlan:
    """A plan that was read and has the form of a plan.

    Attributes:
        window: Its window, with the number of days for which earlier use counts.
        proposals: Its proposals for Azure RBAC.
        roles: Its new roles.
        rests_on: Hashes of the assignments, roles, groups and denies that it read; empty until `with_readings`, unless
            the plan is of version 1.
        parts: Its parts for other planes.
        evidence: The files of its tables of evidence.
    """

    window: Window
    proposals: tuple[WrittenProposal, ...]
    roles: tuple[WrittenRole, ...]
    rests_on: Readings
    parts: tuple[WrittenPart, ...] = ()
    evidence: tuple[EvidenceFile, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Return the names of the files that belong to the plan beside `plan.json`: roles and tables of evidence."""
        return (*(role.file for role in self.roles), *(table.file for table in self.evidence))


def read_plan(text: bytes) -> WrittenPlan:
    """Return the plan in `plan.json`.

    Raises:
        InputError: The text is not JSON, or not a plan of a known format; the message names the place.
    """
    return check_plan(load_plan(text))


def load_plan(text: bytes) -> dict[str, Any]:
    """Return the document in `plan.json` with the defaults filled in; a plan of version 1 is brought to version 2.

    `read_evidence` then returns it whole, in today's format: it takes the rows out of a plan of version 1, and joins
    those that proposals of today's version need.

    Raises:
        InputError: The text is not a JSON object, or its format version is not known.
    """
    try:
        document = json.loads(text, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        load_json(text)  # its error message names the place where the text is not JSON
        raise InputError(f"`plan.json` is not a plan: {error}", hint=AGAIN) from None
    plan = _object(document, "plan.json")
    version = plan.get("format_version")
    if type(version) is not int or version not in _VERSIONS:
        raise InputError(
            f"`plan.json` has the format version {json.dumps(version)[:40]}; versions 1 to {PLAN_FORMAT} can be read",
            hint=AGAIN,
        )
    return _from_version_1(plan) if version == 1 else _with_defaults(plan)


def _with_defaults(plan: dict[str, Any]) -> dict[str, Any]:
    """Fill in what the proposals of a plan leave out; the plan itself is changed, since it can be large."""
    proposals = plan.get("proposals")
    if isinstance(proposals, list):
        once = SaidOnce.of(plan)
        plan.pop("grows", None)
        proposals[:] = (filled(one, once) if isinstance(one, dict) else one for one in proposals)
    return plan


def _from_version_1(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return a plan of version 1 as version 2: `dials` are `options`, and `exclusions` among them `exclude_from`.

    The oldest plans lack `forget_days`: they count no use from before their window.
    """
    origin = _object(plan.get("generated_from"), "generated_from")
    dials = {"forget_days": 0, **_object(origin.get("dials", {}), "dials")}
    options = {("exclude_from" if name == "exclusions" else name): found for name, found in dials.items()}
    renamed = {("options" if name == "dials" else name): found for name, found in origin.items() if name != "options"}
    return {**plan, "format_version": 2, "generated_from": {**renamed, "options": options}}


def check_plan(plan: Mapping[str, Any]) -> WrittenPlan:
    """Return the fields of a document of `load_plan` that its proof needs.

    Raises:
        InputError: The document is not a plan; the message names the place.
    """
    window = _window(_object(plan.get("generated_from"), "generated_from"), plan)
    evidence = evidence_files(plan)
    rests_on = _rests_on(plan["rests_on"]) if "rests_on" in plan else {}
    of_plane: dict[str, list[WrittenProposal]] = {}
    for index, one in enumerate(_list(plan.get("proposals"), "proposals"), 1):
        of_plane.setdefault(_plane_of(one), []).append(_proposal(one, index))
    parts = tuple(
        _part(plane, of_plane.get(plane, []), plan)
        for plane in PLANES_BEYOND
        if plane in _parts(plan) | of_plane.keys()
    )
    proposals = tuple(of_plane.get("", ()))
    roles = tuple(_role(one, index) for index, one in enumerate(_list(plan.get("roles"), "roles"), 1))
    every = [one.id for found in of_plane.values() for one in found]
    for what, ids in (("proposal", every), ("role", [one.role for one in roles])):
        if len(set(ids)) < len(ids):
            raise InputError(f"`plan.json` has a {what} twice", hint=AGAIN)
    if not rests_on and proposals and all(one.table != READINGS.name for one in evidence):
        raise InputError("`plan.json` has no readings, so nothing shows whether it is stale", hint=AGAIN)
    if _is_of_today(plan) and proposals and all(one.table != GRANTS.name for one in evidence):
        raise InputError("`plan.json` has no table of today's grants", hint=AGAIN)
    written = WrittenPlan(window, proposals, roles, rests_on, parts, evidence)
    return _with_known_roles(written) if rests_on else written


def with_readings(plan: WrittenPlan, tables: Mapping[str, pl.DataFrame]) -> WrittenPlan:
    """Return a plan with the hashes of its table `readings`; a plan of version 1 has them already.

    Raises:
        InputError: A proposal assigns a role that the plan neither brings nor read.
    """
    if plan.rests_on:
        return plan
    read: Readings = {word: {} for word in WHAT}
    for word, id_, found in tables[READINGS.name].iter_rows():
        if word in read and id_ and found:
            read[word][fold(id_)] = found
    return _with_known_roles(replace(plan, rests_on=read))


def read_roles(plan: WrittenPlan, files: Mapping[str, bytes]) -> dict[Folded, RoleDefinition]:
    """Return the new roles of a plan by folded id, read from their files.

    Args:
        plan: The plan.
        files: The content of each file that exists, by its name.

    Raises:
        InputError: Files are missing, are not a role, or differ from the role that the plan was made with.
    """
    missing = [role.file for role in plan.roles if role.file not in files]
    if missing:
        raise InputError(f"role files of the plan are missing: {_listed(missing)}", hint=AGAIN)
    roles: dict[Folded, RoleDefinition] = {}
    altered = []
    for role in plan.roles:
        try:
            found = read_role_definitions(load_json(files[role.file]))
        except InputError as error:
            raise InputError(f"`{role.file}` cannot be read: {error.message}", hint=AGAIN) from None
        if len(found) != 1 or found[0].role_definition_id != role.role or hash_of_role(found[0]) != role.content:
            altered.append(role.file)
        else:
            roles[role.role] = found[0]
    if altered:
        raise InputError(f"role files differ from the plan: {_listed(altered)}", hint=AGAIN)
    return roles


def read_evidence(
    plan: WrittenPlan, document: Mapping[str, Any], files: Mapping[str, bytes]
) -> tuple[dict[str, Any], dict[str, pl.DataFrame]]:
    """Return the document of a plan in today's format with whole proposals, and its tables of evidence.

    Args:
        plan: The plan.
        document: The document of `load_plan` that it was read from.
        files: The content of each file that exists, by its name.

    Raises:
        InputError: Files are missing, are no such table, or differ from the table that the plan was made with; or a
            proposal has no row in `grants`, or contradicts it.
    """
    today = {**document, "format_version": PLAN_FORMAT}
    if "evidence" in document:
        tables = read_tables(plan.evidence, files)
        if _is_of_today(document):
            today["proposals"] = list(with_grants(document["proposals"], tables))
        return today, tables
    # Format version 1 has the rows in its proposals.
    proposals = [one | {"evidence": _object(one.get("evidence", {}), "evidence")} for one in document["proposals"]]
    tables = take_rows((one["id"], str(one.get("plane")), one["evidence"]) for one in proposals)
    proposals = [one | {"evidence": stays_inline(one["evidence"])} for one in proposals]
    tables[READINGS.name] = readings_of(plan.rests_on)
    listed = [one.as_json() for one in files_of(tables)]
    today.pop("rests_on", None)
    return {**today, "proposals": proposals, "evidence": listed}, tables


def _is_of_today(plan: Mapping[str, Any]) -> bool:
    """Return whether a document is of the version that is written: its proposals leave today's grants to tables."""
    return bool(plan.get("format_version") == PLAN_FORMAT)


def evidence_files(plan: Mapping[str, Any]) -> tuple[EvidenceFile, ...]:
    """Return the tables of evidence that a plan lists; a plan of format version 1 lists none.

    Raises:
        InputError: One of them is none that can be read, or is listed twice.
    """
    listed = []
    for index, one in enumerate(_list(plan.get("evidence", []), "evidence"), 1):
        where = f"table {index} of evidence"
        fields = _object(one, where)
        table, content = (_text(fields.get(name), f"`{name}` of {where}") for name in ("table", "content"))
        rows = fields.get("rows")
        if fields.get("file") != _TABLES.get(table) or type(rows) is not int or rows < 1:
            raise InputError(f"{where} is not a table of evidence that can be read", hint=AGAIN)
        listed.append(EvidenceFile(table, _TABLES[table], rows, content))
    if len({one.table for one in listed}) < len(listed):
        raise InputError("`plan.json` has a table of evidence twice", hint=AGAIN)
    return tuple(listed)


def _plane_of(document: object) -> str:
    """Return the plane beyond Azure RBAC that a proposal is of, else the empty text: then the RBAC proof applies."""
    plane = document.get("plane") if isinstance(document, dict) else None
    return plane if isinstance(plane, str) and plane in PLANES_BEYOND else ""


def _parts(plan: Mapping[str, Any]) -> dict[str, Any]:
    return _object(plan.get("planes", {}), "planes")


def _part(plane: str, proposals: Sequence[WrittenProposal], plan: Mapping[str, Any]) -> WrittenPart:
    fields = _object(_parts(plan).get(plane), f"`{plane}` of `planes`")
    words = _object(fields.get("rests_on"), f"`rests_on` of `{plane}`")
    rests_on = {
        word: {id_: _text(found, f"`{word}` of `{plane}`") for id_, found in _object(hashes, f"`{word}`").items()}
        for word, hashes in words.items()
    }
    return WrittenPart(plane, _window(fields, plan), tuple(proposals), rests_on)


def _window(fields: Mapping[str, Any], plan: Mapping[str, Any]) -> Window:
    window = _object(fields.get("window"), "window")
    first, last = (_day(window.get(name), name) for name in ("first_day", "last_day"))
    if first > last:
        raise InputError("a window of `plan.json` ends before it begins", hint=AGAIN)
    options = _object(_object(plan.get("generated_from"), "generated_from").get("options"), "options")
    forget_days = options.get("forget_days")
    if not isinstance(forget_days, int) or isinstance(forget_days, bool) or forget_days < 0:
        raise InputError("`forget_days` of `plan.json` is not a number of days", hint=AGAIN)
    # Only plans with the option have it.
    min_days = options.get("min_days")
    if min_days is not None and (not isinstance(min_days, int) or isinstance(min_days, bool) or min_days < 1):
        raise InputError("`min_days` of `plan.json` is not a number of days", hint=AGAIN)
    return Window(first, last, forget_days, min_days)


def _with_known_roles(plan: WrittenPlan) -> WrittenPlan:
    known = {one.role for one in plan.roles} | set(plan.rests_on["role_definitions"])
    for proposal in plan.proposals:
        for one in proposal.assignments:
            if one.role not in known:
                raise InputError(
                    f"proposal `{proposal.id}` assigns the role `{one.role}`, which the plan neither brings nor read",
                    hint=AGAIN,
                )
    return plan


def _proposal(document: object, index: int) -> WrittenProposal:
    where = f"proposal {index}"
    fields = _object(document, where)
    word = _text(fields.get("kind"), f"`kind` of {where}")
    if word not in PROPOSAL_KINDS:
        raise InputError(f"{where} has the unknown kind `{word}`", hint=AGAIN)
    kind = PROPOSAL_KINDS[word]
    evidence = fields.get("evidence")
    state = evidence.get("state") if isinstance(evidence, dict) else None
    if state is not None and state not in _STATES:
        raise InputError(f"{where} has the unknown state `{state}`", hint=AGAIN)
    replaces = tuple(
        fold(_text(id_, f"`replaces` of {where}")) for id_ in _list(fields.get("replaces"), f"`replaces` of {where}")
    )
    assignments = tuple(
        _assignment(one, where) for one in _list(fields.get("assignments"), f"`assignments` of {where}")
    )
    if not replaces:
        raise InputError(f"{where} replaces nothing", hint=AGAIN)
    if assignments and not kind.assigns:
        raise InputError(f"{where} is a `{kind}` and assigns something", hint=AGAIN)
    return WrittenProposal(_text(fields.get("id"), f"`id` of {where}"), kind, replaces, state, assignments)


def _assignment(document: object, where: str) -> PlannedAssignment:
    fields = _object(document, f"an assignment of {where}")
    role, scope, principal, state = (
        _text(fields.get(name), f"`{name}` of an assignment of {where}")
        for name in ("role", "scope", "principal_id", "state")
    )
    condition = fields.get("condition")
    if condition is not None:
        condition = _text(condition, f"`condition` of an assignment of {where}")
    end_on = fields.get("end_on")
    if end_on is not None and not _END.fullmatch(_text(end_on, f"`end_on` of an assignment of {where}")):
        raise InputError(f"an assignment of {where} ends at `{end_on}`, which is not a time in UTC", hint=AGAIN)
    if state == "active":
        return PlannedAssignment(parse_scope(scope).key, fold(role), fold(principal), condition, "active", end_on)
    if state == "eligible":
        return PlannedAssignment(parse_scope(scope).key, fold(role), fold(principal), condition, "eligible", end_on)
    raise InputError(f"an assignment of {where} has the state `{state}`", hint=AGAIN)


def _role(document: object, index: int) -> WrittenRole:
    where = f"role {index}"
    fields = _object(document, where)
    file = _text(fields.get("file"), f"`file` of {where}")
    if not _FILE.fullmatch(file):
        raise InputError(f"{where} names `{file}`, which is not a role file of a plan folder", hint=AGAIN)
    return WrittenRole(
        fold(_text(fields.get("role"), f"`role` of {where}")),
        file,
        _text(fields.get("content"), f"`content` of {where}"),
    )


def _rests_on(document: object) -> Readings:
    fields = _object(document, "rests_on")
    read: Readings = {}
    for word in WHAT:
        hashes = _object(fields.get(word, {} if word == POLICY_NEEDS else None), f"`{word}` of `rests_on`")
        read[word] = {fold(id_): _text(found, f"`{word}` of `rests_on`") for id_, found in hashes.items()}
    return read


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where} is not an object", hint=AGAIN)
    return value


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(f"{where} is not a list", hint=AGAIN)
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise InputError(f"{where} is not a text", hint=AGAIN)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InputError(f"{where} has an unpaired surrogate, which is not text") from None
    return value


def _day(value: object, name: str) -> dt.date:
    try:
        return dt.date.fromisoformat(_text(value, f"`{name}` of the window"))
    except ValueError:
        raise InputError(f"`{name}` of the window is not a day", hint=AGAIN) from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object, or raise `ValueError` if it has a key twice: a person might read another value than we do."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object in it has a key twice")
    return found


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")
