"""Read a written plan for display to a reviewer: every proposal with its evidence, and the reasons of each new role.

`plan_reader` reads the fields that the proof of a plan needs; this module reads the fields that a page shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from rightsize.analyze.plan_evidence import AGAIN
from rightsize.model.errors import InputError
from rightsize.model.json_schemas import load_object
from rightsize.model.nouns import RoleDefinition
from rightsize.model.plan import PROPOSAL_KINDS, Advice, Growth, Plan, PlannedRole, Proof, Proposal
from rightsize.model.plan_file import OPERATIONS
from rightsize.propose.verify.plan_reader import (
    WrittenPlan,
    check_plan,
    load_plan,
    planned_assignment,
    read_evidence,
    read_roles,
    with_readings,
    written_checks,
)
from rightsize.rbac.text import Folded, fold


@dataclass(frozen=True, slots=True)
class ReviewablePlan:
    """The content of a plan folder.

    Attributes:
        written: The fields that the proof needs.
        document: `plan.json` in today's format; every value that a page shows has the right type.
        roles: The new roles of the plan, by folded id.
        evidence: Their evidence, by folded id, where it was read: `actions`, each with `action`, `plane` and `why`;
            `summary` in plans of this version.
        tables: The tables of evidence, by the name of the table.
    """

    written: WrittenPlan
    document: Mapping[str, Any]
    roles: Mapping[Folded, RoleDefinition]
    evidence: Mapping[Folded, Mapping[str, Any]]
    tables: Mapping[str, pl.DataFrame] = field(compare=False)


def read_reviewable(text: bytes, files: Mapping[str, bytes], *, with_pages: bool = True) -> ReviewablePlan:
    """Return a plan with its role files and their evidence.

    Args:
        text: `plan.json`.
        files: The content of each file of the plan folder, by its name.
        with_pages: Whether the evidence of each role is read, too, which no proof needs.

    Raises:
        InputError: The text is not a plan, or files are missing, altered, or of another form.
    """
    document = load_plan(text)
    written = check_plan(document)
    roles = read_roles(written, files)
    document, tables = read_evidence(written, document, files)
    for index, one in enumerate(document["proposals"], 1):
        written_checks("proposal_evidence").require(one["evidence"], f"the evidence of proposal {index}", hint=AGAIN)
    written = with_readings(written, tables)
    evidence: dict[Folded, Mapping[str, Any]] = {}
    for role in written.roles if with_pages else ():
        evidence[role.role] = _read_evidence(evidence_files(role.file), files)
    return ReviewablePlan(written, document, roles, evidence, tables)


def plan_of(read: ReviewablePlan) -> Plan:
    """Return the plan object of a plan that was read, without `names` and `verdicts`, which no file has."""
    document = read.document
    return Plan(
        generated_from=document["generated_from"],
        proposals=tuple(_proposal_of(one) for one in document["proposals"]),
        roles=tuple(
            PlannedRole(read.roles[role.role], role.file[len("roles/") : -len(".json")], read.evidence[role.role])
            for role in read.written.roles
        ),
        advice=tuple(Advice(one["subject"], one["text"]) for one in document["advice"]),
        replay=document["replay"],
        curve=tuple(document["curve"]),
        would_tell=document.get("would_tell", {}),
        separation=document.get("separation", {}),
        uses=read.tables[OPERATIONS.name],
    )


def _proposal_of(one: Mapping[str, Any]) -> Proposal:
    proof = one["proof"]
    grown = tuple(Growth(found["role"], found["because"]) for found in proof.get("tomorrow", ()))
    numbers = ("break_probability_30d", "excess_before", "excess_after", "risk_before", "risk_after")
    return Proposal(
        id=one["id"],
        plane=one["plane"],
        principal_ids=tuple(one["principal_ids"]),
        kind=PROPOSAL_KINDS[one["kind"]],
        # Ids of grants of Microsoft Graph keep their case.
        replaces=tuple(map(fold if one["plane"] in ("control", "data") else str, one["replaces"])),
        assignments=tuple(map(planned_assignment, one["assignments"])),
        reason=one["reason"],
        evidence=one["evidence"],
        proof=Proof(proof["used_subset"], proof["granted_superset"], proof.get("witness"), grown),
        **{name: float(one[name]) for name in numbers},
    )


def evidence_files(role_file: str) -> tuple[str, str]:
    """Return the two possible names of the file with a role's evidence: the current one and the former one."""
    slug = role_file.removeprefix("roles/").removesuffix(".json")
    return f"evidence/{slug}.json", f"roles/{slug}.evidence.json"


def _read_evidence(names: Sequence[str], files: Mapping[str, bytes]) -> Mapping[str, Any]:
    name = next((one for one in names if one in files), None)
    if name is None:
        raise InputError(f"the plan folder has no `{names[0]}`", hint=AGAIN)
    document = load_object(files[name], f"`{name}`", hint=AGAIN)
    written_checks("role_evidence").require(document, f"`{name}`", hint=AGAIN)
    return document
