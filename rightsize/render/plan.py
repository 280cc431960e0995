"""Write the files of a plan: `plan.json`, one file a role, its evidence, and tables of evidence in Parquet.

Text from the tenant is ASCII-escaped in JSON: no invisible or direction-changing character reaches a diff.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from rightsize.analyze import plan_evidence
from rightsize.model.plan import PLAN_FORMAT, Plan, PlannedAssignment, Proposal
from rightsize.model.plan_file import OPERATIONS, READINGS, SaidOnce, shortened
from rightsize.model.plan_totals import total_excess
from rightsize.model.role_forms import hash_of_role, to_arm
from rightsize.render.folder import PLAN, json_text
from rightsize.render.role_summary import write_review
from rightsize.render.rows import compact


def plan_files(plan: Plan) -> dict[str, str | bytes]:
    """Return the contents of all files of a plan by name: texts, and bytes of Parquet."""
    files: dict[str, str | bytes] = {}
    for name, parts in plan_texts(plan):
        listed = list(parts)
        files[name] = "".join(map(str, listed)) if isinstance(listed[0], str) else bytes(listed[0])
    return files


def plan_texts(plan: Plan) -> Iterator[tuple[str, Iterable[str | bytes]]]:
    """Yield for each file of a plan its name and the parts of its content."""
    tables = evidence_tables(plan)
    listed = plan_evidence.files_of(tables)
    yield PLAN, plan_parts(plan, listed)
    for one in listed:
        yield one.file, (plan_evidence.write_table(tables.pop(one.table)),)
    for name, text in _role_files(plan):
        yield name, (text,)


def evidence_tables(plan: Plan) -> dict[str, pl.DataFrame]:
    """Return the tables of evidence of a plan, in the order of its proposals."""
    every = plan.all_proposals
    tables = plan_evidence.take_rows((one.id, one.plane, one.evidence) for one in every) | plan_evidence.grant_tables(
        every
    )
    tables[READINGS.name] = plan_evidence.readings_of(plan.rests_on)
    if plan.uses is not None:
        uses = pl.concat([pl.DataFrame(plan.uses), tables[OPERATIONS.name]])
        ids = pl.DataFrame({"proposal_id": [one.id for one in every]}, schema={"proposal_id": pl.String})
        tables[OPERATIONS.name] = ids.join(uses, on="proposal_id", maintain_order="left_right").select(uses.columns)
    return tables


def plan_parts(plan: Plan, listed: Sequence[plan_evidence.EvidenceFile] | None = None) -> Iterator[str]:
    """Yield the text of `plan.json` in parts, one for each line: a proposal and a role have a line each.

    Args:
        plan: The plan.
        listed: The files of its tables of evidence; None computes them.
    """
    without = replace(plan, proposals=(), parts=tuple(replace(part, proposals=()) for part in plan.parts), uses=None)
    evidence = [one.as_json() for one in (plan_evidence.files_of(evidence_tables(plan)) if listed is None else listed)]
    document = plan_document(without) | {"excess": total_excess(plan.proposals).as_json(), "evidence": evidence}
    lists: dict[str, Iterable[object]] = {name: found for name, found in document.items() if isinstance(found, list)}
    once = said_once(plan)
    document["grows"] = once.grows
    lists["proposals"] = (shortened(proposal_document(one), once) for one in plan.all_proposals)
    before = "{\n"
    for name, value in document.items():
        yield f"{before}{compact(name)}:"
        before = ",\n"
        if name in lists:
            yield from _lined("[", "]", (compact(one) for one in lists[name]))
        else:
            yield compact(value)
    yield "\n}\n"


def _lined(begin: str, end: str, items: Iterable[str]) -> Iterator[str]:
    """Yield items between brackets, one a line."""
    yield begin
    before = "\n"
    for item in items:
        yield before + item
        before = ",\n"
    yield end if before == "\n" else "\n" + end


def _role_files(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield name and text of every file of a plan except `plan.json`."""
    users_of: dict[str, list[Proposal]] = defaultdict(list)
    for proposal in plan.proposals:
        for role_id in sorted({one.role for one in proposal.assignments}):
            users_of[role_id].append(proposal)
    for role in plan.roles:
        users = users_of[role.definition.role_definition_id]
        yield f"roles/{role.slug}.json", json_text(to_arm(role.definition))
        evidence = {**role.evidence, "proposals": [_review_json(proposal) for proposal in users]}
        yield f"evidence/{role.slug}.json", json_text(evidence)
        yield f"evidence/{role.slug}.md", write_review(role, users, plan)
    for part in plan.parts:
        yield from part.files.items()


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return `plan.json` as values that `rows.plain` takes."""
    once = said_once(plan)
    return {
        "format_version": PLAN_FORMAT,
        "generated_from": plan.generated_from,
        "proposals": [shortened(proposal_document(proposal), once) for proposal in plan.all_proposals],
        "roles": [
            {
                "role": role.definition.role_definition_id,
                "name": role.definition.role_name,
                "file": f"roles/{role.slug}.json",
                "content": hash_of_role(role.definition),
            }
            for role in plan.roles
        ],
        "advice": [
            {"subject": advice.subject, "text": advice.text}
            for advice in (*plan.advice, *(one for part in plan.parts for one in part.advice))
        ],
        "replay": plan.replay,
        "excess": total_excess(plan.proposals).as_json(),
        "evidence": [one.as_json() for one in plan_evidence.files_of(evidence_tables(plan))],
        "would_tell": plan.would_tell,
        "grows": once.grows,
        "reads": plan.reads,
        "curve": list(plan.curve),
        **({"separation": plan.separation} if plan.separation else {}),
        "planes": {
            part.plane: {"window": part.window, "replay": part.replay, "rests_on": part.rests_on}
            | ({"reads": part.reads} if part.reads else {})
            for part in plan.parts
        },
    }


def said_once(plan: Plan) -> SaidOnce:
    """Return what a plan says once for all of its proposals."""
    grown = {one.role: str(one.because) for proposal in plan.all_proposals for one in proposal.proof.tomorrow}
    return SaidOnce(dict(sorted(grown.items())))


def proposal_document(proposal: Proposal) -> dict[str, Any]:
    """Return a whole proposal as values that `rows.plain` takes; `plan.json` leaves out what goes without saying."""
    return {
        "id": proposal.id,
        "plane": proposal.plane,
        "principal_ids": list(proposal.principal_ids),
        "kind": proposal.kind,
        "reason": proposal.reason,
        "replaces": list(proposal.replaces),
        "assignments": [_assignment(one) for one in proposal.assignments],
        "evidence": plan_evidence.stays_inline(proposal.evidence),
        "proof": {
            "used_subset": proposal.proof.used_subset,
            "granted_superset": proposal.proof.granted_superset,
            "witness": proposal.proof.witness,
            "tomorrow": [{"role": one.role, "because": one.because} for one in proposal.proof.tomorrow],
        },
        "break_probability_30d": proposal.break_probability_30d,
        "excess_before": proposal.excess_before,
        "excess_after": proposal.excess_after,
        "risk_before": proposal.risk_before,
        "risk_after": proposal.risk_after,
    }


def _assignment(one: PlannedAssignment) -> dict[str, Any]:
    """Return an assignment as plain values, with `end_on` only where it has an end."""
    return {
        "role": one.role,
        "scope": one.scope,
        "principal_id": one.principal_id,
        "condition": one.condition,
        "state": one.state,
    } | ({"end_on": one.end_on} if one.end_on else {})


def _review_json(proposal: Proposal) -> dict[str, Any]:
    """Return the part of a role's evidence about a proposal that assigns it: removals, certainty, proof."""
    document = proposal_document(proposal)
    keys = ("id", "principal_ids", "kind", "replaces", "assignments", "proof", "break_probability_30d")
    absent = {"absent": proposal.evidence["absent"]} if "absent" in proposal.evidence else {}
    return {key: document[key] for key in keys} | {"removed": proposal.evidence.get("removed", {})} | absent
