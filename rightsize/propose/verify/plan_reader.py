"""Read `plan.json`, the role files and the tables of evidence of a written plan, and check every value before use.

A plan folder travels through pull requests and chats, so the files may come from somebody else.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.plan_evidence import (
    AGAIN,
    EvidenceFile,
    files_of,
    read_tables,
    readings_of,
    stays_inline,
    take_rows,
    with_grants,
)
from rightsize.analyze.window import Window
from rightsize.model.errors import InputError
from rightsize.model.json_schemas import SchemaChecks, load_unrepeated
from rightsize.model.nouns import RoleDefinition
from rightsize.model.plan import PLAN_FORMAT, PLANES_BEYOND, PROPOSAL_KINDS, PlannedAssignment, ProposalKind
from rightsize.model.plan_file import (
    GRANTS,
    READINGS,
    SaidOnce,
    file_of,
    filled,
    old_plan_checks,
    plan_checks,
)
from rightsize.model.role_forms import hash_of_role, load_json, read_role_definitions
from rightsize.model.tables import EVIDENCE_TABLES
from rightsize.model.text import Folded, fold
from rightsize.propose.core.fingerprint import WHAT, Readings
from rightsize.rbac.scopes import parse_scope

_PLAN = "`plan.json`"
# A plane of which nothing that is loaded has a day gets a window that ends with the first day of 1970.
_FIRST_DAY, _LAST_DAY = dt.date(1900, 1, 1), dt.date(2999, 12, 31)
_VERSIONS = (1, PLAN_FORMAT)
_TABLES = {table.name: file_of(table) for table in EVIDENCE_TABLES}


@dataclass(frozen=True, slots=True)
class WrittenProposal:
    """The fields of a written proposal that its proof needs. Ids are folded, except `id`.

    Attributes:
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
    def every(self) -> tuple[WrittenProposal, ...]:
        """Return the proposals of all planes."""
        return (*self.proposals, *(one for part in self.parts for one in part.proposals))

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
    """Return the document in `plan.json` with the defaults filled in, and with today's names of options.

    Every value has the type that the JSON Schema says. `read_evidence` then returns the document whole, in today's
    format: it takes the rows out of a plan of version 1, and joins those that proposals of today's version need.

    Raises:
        InputError: The text is not JSON, its format version is not known, or a value is not what the schema takes.
    """
    plan = load_unrepeated(text, _PLAN, hint=AGAIN)
    if not isinstance(plan, dict):
        raise InputError("`plan.json` is not a plan: it is not an object", hint=AGAIN)
    version = plan.get("format_version")
    if type(version) is not int or version not in _VERSIONS:
        raise InputError(
            f"`plan.json` has the format version {json.dumps(version)[:40]}; versions 1 and {PLAN_FORMAT} can be read",
            hint=AGAIN,
        )
    if version == 1:
        plan = _with_options(plan)
        old_plan_checks(has_rows=True).require(plan, _PLAN, hint=AGAIN)
        return plan
    plan_checks().require(plan, _PLAN, hint=AGAIN)
    once, proposals = SaidOnce.of(plan), plan["proposals"]
    del plan["grows"]
    # The plan itself is changed, since it can be large.
    proposals[:] = (filled(one, once) for one in proposals)
    return plan


def _with_options(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return a plan of version 1 with `options` for its `dials`, and `exclude_from` for `exclusions` among them.

    The oldest plans lack `forget_days`: they count no use from before their window.
    """
    origin = plan.get("generated_from")
    dials = origin.get("dials", {}) if isinstance(origin, dict) else None
    if not isinstance(origin, dict) or not isinstance(dials, dict):
        raise InputError("`generated_from` of `plan.json` is not what version 1 has", hint=AGAIN)
    dials = {"forget_days": 0, **dials}
    options = {("exclude_from" if name == "exclusions" else name): found for name, found in dials.items()}
    renamed = {("options" if name == "dials" else name): found for name, found in origin.items() if name != "options"}
    return {**plan, "generated_from": {**renamed, "options": options}}


def check_plan(plan: Mapping[str, Any]) -> WrittenPlan:
    """Return the fields of a document of `load_plan` that its proof needs.

    Raises:
        InputError: The document contradicts itself; the message names the place.
    """
    window = _window(plan["generated_from"], plan)
    evidence = evidence_files(plan)
    rests_on = _rests_on(plan["rests_on"]) if "rests_on" in plan else {}
    of_plane: dict[str, list[WrittenProposal]] = {}
    for index, one in enumerate(plan["proposals"], 1):
        of_plane.setdefault(_plane_of(one), []).append(_proposal(one, index))
    planes = plan.get("planes", {}).keys() | of_plane.keys()
    parts = tuple(_part(plane, of_plane.get(plane, []), plan) for plane in PLANES_BEYOND if plane in planes)
    proposals = tuple(of_plane.get("", ()))
    roles = tuple(WrittenRole(fold(one["role"]), one["file"], one["content"]) for one in plan["roles"])
    every = [one.id for found in of_plane.values() for one in found]
    for what, ids in (("proposal", every), ("role", [one.role for one in roles])):
        if len(set(ids)) < len(ids):
            raise InputError(f"`plan.json` has a {what} twice", hint=AGAIN)
    tables = {one.table for one in evidence}
    if not rests_on and proposals and READINGS.name not in tables:
        raise InputError("`plan.json` has no readings, so nothing shows whether it is stale", hint=AGAIN)
    if "evidence" in plan and proposals and GRANTS.name not in tables:
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
    plan: WrittenPlan, document: Mapping[str, Any], files: Mapping[str, bytes], *, with_pages: bool
) -> tuple[dict[str, Any], dict[str, pl.DataFrame]]:
    """Return the document of a plan in today's format with whole proposals, and its tables of evidence.

    Args:
        plan: The plan.
        document: The document of `load_plan` that it was read from.
        files: The content of each file that exists, by its name.
        with_pages: Whether the tables are read, too, that only pages show.

    Raises:
        InputError: Files are missing, are no such table, or differ from the table that the plan was made with; or a
            proposal has no row in `grants`, or contradicts it.
    """
    today = {**document, "format_version": PLAN_FORMAT}
    proposals = document["proposals"]
    if "evidence" in document:
        tables = read_tables(plan.evidence, files, with_pages=with_pages)
        return today | {"proposals": list(with_grants(proposals, tables))}, tables
    # Format version 1 has the rows in its proposals.
    tables = take_rows((one["id"], one["plane"], one["evidence"]) for one in proposals)
    tables[READINGS.name] = readings_of(plan.rests_on)
    today.pop("rests_on", None)
    today["proposals"] = [one | {"evidence": stays_inline(one["evidence"])} for one in proposals]
    today["evidence"] = [one.as_json() for one in files_of(tables)]
    old_plan_checks(has_rows=False).require(today, _PLAN, hint=AGAIN)
    return today, tables


@cache
def written_checks(name: str) -> SchemaChecks:
    """Return the checks of what the schema of `plan.json` leaves out, and somebody may have edited.

    They are those of `proposal_evidence` with its tables, of `role_evidence`, or of the `readings` of version 1.
    """
    schema = json.loads(Path(__file__).with_name("written.schema.json").read_text(encoding="utf-8"))
    return SchemaChecks({"$ref": f"#/$defs/{name}", "$defs": schema["$defs"]})


def evidence_files(plan: Mapping[str, Any]) -> tuple[EvidenceFile, ...]:
    """Return the tables of evidence that a document of `load_plan` lists; one of format version 1 lists none.

    Raises:
        InputError: One of them has another file than its table, or is listed twice.
    """
    listed = []
    for index, one in enumerate(plan.get("evidence", []), 1):
        if one["file"] != _TABLES[one["table"]]:
            raise InputError(f"table {index} of evidence is not a table of evidence that can be read", hint=AGAIN)
        listed.append(EvidenceFile(one["table"], one["file"], one["rows"], one["content"]))
    if len({one.table for one in listed}) < len(listed):
        raise InputError("`plan.json` has a table of evidence twice", hint=AGAIN)
    return tuple(listed)


def _plane_of(document: Mapping[str, Any]) -> str:
    """Return the plane beyond Azure RBAC that a proposal is of, else the empty text: then the RBAC proof applies."""
    plane: str = document["plane"]
    return plane if plane in PLANES_BEYOND else ""


def _part(plane: str, proposals: Sequence[WrittenProposal], plan: Mapping[str, Any]) -> WrittenPart:
    fields = plan.get("planes", {}).get(plane)
    if fields is None:
        raise InputError(f"`plan.json` has proposals for `{plane}`, and no part of `planes` for it", hint=AGAIN)
    return WrittenPart(plane, _window(fields, plan), tuple(proposals), fields["rests_on"])


def _window(fields: Mapping[str, Any], plan: Mapping[str, Any]) -> Window:
    first, last = (_day(fields["window"][name], name) for name in ("first_day", "last_day"))
    if first > last:
        raise InputError("a window of `plan.json` ends before it begins", hint=AGAIN)
    options = plan["generated_from"]["options"]
    # Only plans with the option have `min_days`.
    return Window(first, last, options["forget_days"], options.get("min_days"))


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


def _proposal(fields: Mapping[str, Any], index: int) -> WrittenProposal:
    kind = PROPOSAL_KINDS[fields["kind"]]
    assignments = tuple(map(planned_assignment, fields["assignments"]))
    if assignments and not kind.assigns:
        raise InputError(f"proposal {index} is a `{kind}` and assigns something", hint=AGAIN)
    replaces = tuple(map(fold, fields["replaces"]))
    return WrittenProposal(fields["id"], kind, replaces, fields["evidence"].get("state"), assignments)


def planned_assignment(fields: Mapping[str, Any]) -> PlannedAssignment:
    """Return an assignment of a document of `load_plan`.

    Raises:
        InputError: Its scope is none.
    """
    return PlannedAssignment(
        parse_scope(fields["scope"]).key,
        fold(fields["role"]),
        fold(fields["principal_id"]),
        fields["condition"],
        fields["state"],
        fields.get("end_on"),
    )


def _rests_on(document: object) -> Readings:
    """Return the hashes of a plan of version 1, which the schema of today's plans does not have."""
    written_checks("readings").require(document, "`rests_on` of `plan.json`", hint=AGAIN)
    assert isinstance(document, dict)  # noqa: S101  the schema has seen it
    return {word: {fold(id_): found for id_, found in document.get(word, {}).items()} for word in WHAT}


def _day(text: str, name: str) -> dt.date:
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        raise InputError(f"`{name}` of the window is not a day", hint=AGAIN) from None
    if not _FIRST_DAY <= day <= _LAST_DAY:
        raise InputError(f"`{name}` of the window is a day of which no log can be", hint=AGAIN)
    return day


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")
