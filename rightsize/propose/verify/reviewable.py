"""Read a written plan for display to a reviewer: every proposal with its evidence, and the reasons of each new role.

`plan_reader` reads the fields that the proof of a plan needs; this module reads the fields that a page shows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from rightsize.analyze.plan_evidence import AGAIN
from rightsize.model.errors import InputError
from rightsize.model.nouns import RoleDefinition
from rightsize.model.plan import Advice, Growth, Plan, PlannedAssignment, PlannedRole, Proof, Proposal
from rightsize.model.plan_evidence import OPERATIONS
from rightsize.model.proposal_kinds import PROPOSAL_KINDS
from rightsize.propose.verify.plan_reader import (
    WrittenPlan,
    check_plan,
    load_plan,
    read_evidence,
    read_roles,
    with_readings,
)
from rightsize.propose.verify.summary_form import is_summary
from rightsize.rbac.text import Folded, fold

_PROPOSAL: Mapping[str, type | tuple[type, ...]] = {
    "plane": str,
    "principal_ids": list,
    "reason": str,
    "evidence": dict,
    "proof": dict,
    "break_probability_30d": (int, float),
    "excess_before": (int, float),
    "excess_after": (int, float),
    "risk_before": (int, float),
    "risk_after": (int, float),
}
_WORD = re.compile(r"-|[a-z_]{1,60}", re.ASCII)
_CURVE = ("custom_roles", "excess", "lower_bound", "assignments")
_VIOLATIONS = ("standing", "standing_with_guards", "by_activation", "identities_standing")
_COST = ("roles", "assignments", "eligible_assignments")
_REPLAY = ("allowed", "needs_activation", "denied")


@dataclass(frozen=True, slots=True)
class ReviewablePlan:
    """The content of a plan folder.

    Attributes:
        written: The fields that the proof needs.
        document: `plan.json` in today's format; every value that a page shows has the right type.
        roles: The new roles of the plan, by folded id.
        evidence: Their evidence, by folded id: `actions`, each with `action`, `plane` and `why`; `summary` in plans
            of this version.
        tables: The tables of evidence, by the name of the table.
    """

    written: WrittenPlan
    document: Mapping[str, Any]
    roles: Mapping[Folded, RoleDefinition]
    evidence: Mapping[Folded, Mapping[str, Any]]
    tables: Mapping[str, pl.DataFrame] = field(compare=False)


def read_reviewable(text: bytes, files: Mapping[str, bytes]) -> ReviewablePlan:
    """Return a plan with its role files and their evidence.

    Args:
        text: `plan.json`.
        files: The content of each file of the plan folder, by its name.

    Raises:
        InputError: The text is not a plan, or files are missing, altered, or of another form.
    """
    document = load_plan(text)
    written = check_plan(document)
    roles = read_roles(written, files)
    _check_whole(document)
    document, tables = read_evidence(written, document, files)
    for index, one in enumerate(document["proposals"], 1):
        _check_proposal(one, f"proposal {index}")
    written = with_readings(written, tables)
    evidence: dict[Folded, Mapping[str, Any]] = {}
    for role in written.roles:
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
        assignments=tuple(map(_planned_of, one["assignments"])),
        reason=one["reason"],
        evidence=one["evidence"],
        proof=Proof(proof["used_subset"], proof["granted_superset"], proof.get("witness"), grown),
        **{name: float(one[name]) for name in numbers},
    )


def _planned_of(place: Mapping[str, Any]) -> PlannedAssignment:
    return PlannedAssignment(**{**place, "role": fold(place["role"]), "principal_id": fold(place["principal_id"])})


def evidence_files(role_file: str) -> tuple[str, str]:
    """Return the two possible names of the file with a role's evidence: the current one and the former one."""
    slug = role_file.removeprefix("roles/").removesuffix(".json")
    return f"evidence/{slug}.json", f"roles/{slug}.evidence.json"


def _check_proposal(one: Mapping[str, Any], where: str) -> None:
    for name, kind in _PROPOSAL.items():
        if not isinstance(one.get(name), kind) or isinstance(one[name], bool):
            raise InputError(f"{where} of `plan.json` has no valid `{name}`", hint=AGAIN)
    evidence, proof = one["evidence"], one["proof"]
    is_named = all(isinstance(evidence.get(name), str) for name in ("role", "scope"))
    latent = evidence.get("latent", {"before": 0, "after": 0})
    stays = evidence.get("by_design", "-")
    is_named &= isinstance(stays, str) and bool(_WORD.fullmatch(stays)) and _has_numbers(latent, ("before", "after"))
    counts = [evidence.get(name, {}) for name in ("removed", "kept_unseen")]
    counted = all(isinstance(found, dict) and all(isinstance(n, int) for n in found.values()) for found in counts)
    grown = proof.get("tomorrow", [])
    proved = isinstance(proof.get("used_subset"), bool) and isinstance(proof.get("granted_superset"), bool)
    grows = isinstance(grown, list) and all(
        isinstance(n, dict) and all(isinstance(n.get(name), str) for name in ("role", "because")) for n in grown
    )
    people = one["principal_ids"] and all(isinstance(name, str) for name in one["principal_ids"])
    if not (is_named and counted and proved and grows and people):
        raise InputError(f"{where} of `plan.json` has no valid evidence and proof", hint=AGAIN)


def _check_whole(document: Mapping[str, Any]) -> None:
    curve, advice, replay = document.get("curve"), document.get("advice"), document.get("replay")
    tells = document.get("would_tell", {})
    fine = (
        isinstance(tells, dict)
        and all(isinstance(text, str) for text in tells.values())
        and isinstance(curve, list)
        and all(isinstance(point, dict) and all(_is_number(point.get(name)) for name in _CURVE) for point in curve)
        and isinstance(advice, list)
        and all(isinstance(one, dict) and isinstance(one.get("text"), str) for one in advice)
        and all(isinstance(one.get("subject"), str) for one in advice)
        and isinstance(replay, dict)
        and all(_is_number(replay.get(name)) for name in _REPLAY)
        and isinstance(document["generated_from"].get("content_hash"), str)
    )
    if not fine:
        raise InputError("`plan.json` has no valid curve, advice and replay", hint=AGAIN)
    if not _is_separation(document.get("separation", {})):
        raise InputError("`plan.json` has no valid separation", hint=AGAIN)


def _is_separation(separation: object) -> bool:
    """Return whether the split by layers has the right form to be shown; a plan without a split has an empty one."""
    if separation == {}:
        return True
    if not isinstance(separation, dict):
        return False
    counts, cost = separation.get("violations"), separation.get("cost")
    lists = {"standing": "meaning", "left_whole": "because"}
    return (
        isinstance(counts, dict)
        and isinstance(cost, dict)
        and all(_has_numbers(counts.get(word), _VIOLATIONS) for word in ("granted", "unsplit", "split"))
        and _has_numbers(cost, _COST)
        and _is_number(separation.get("assignments_split"))
        and all(
            isinstance(separation.get(name), list)
            and all(isinstance(row, dict) and isinstance(row.get(word), str) for row in separation[name])
            for name, word in lists.items()
        )
    )


def _has_numbers(found: object, names: Sequence[str]) -> bool:
    return isinstance(found, dict) and all(_is_number(found.get(name)) for name in names)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _read_evidence(names: Sequence[str], files: Mapping[str, bytes]) -> Mapping[str, Any]:
    name = next((one for one in names if one in files), None)
    if name is None:
        raise InputError(f"the plan folder has no `{names[0]}`", hint=AGAIN)
    try:
        document = json.loads(files[name])
    except ValueError as error:
        raise InputError(f"`{name}` is not JSON: {error}", hint=AGAIN) from None
    actions = document.get("actions") if isinstance(document, dict) else None
    has_actions = isinstance(actions, list) and all(_is_action(one) for one in actions)
    if not has_actions or not is_summary(document.get("summary")):
        raise InputError(f"`{name}` is not the evidence of a role", hint=AGAIN)
    found: dict[str, Any] = document
    return found


def _is_action(one: object) -> bool:
    return (
        isinstance(one, dict)
        and all(isinstance(one.get(name), str) for name in ("action", "plane", "why"))
        and _is_number(one.get("events", 0))
        and isinstance(one.get("meaning", []), list)
    )
