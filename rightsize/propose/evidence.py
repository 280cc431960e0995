"""What a proposal and a role rest on: calls, days, who, under which assignment, and why the unseen is there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import polars as pl

from rightsize.analyze.reasons import Verdict, sentence
from rightsize.analyze.text import folded
from rightsize.model.nouns import RoleDefinition
from rightsize.propose.compaction import describe_opening
from rightsize.propose.drafts import Draft
from rightsize.propose.needs import USED, WHY, WILDCARD
from rightsize.propose.operation_sets import OperationIndex, bits_of
from rightsize.propose.reads import PatternPart
from rightsize.propose.roles import RoleBook
from rightsize.rbac.text import fold

Key = tuple[str, str]
_NAMED = 20
"""How many principals, assignments or scopes are named one by one; the rest is a number."""


def summarise_uses(placed: pl.DataFrame) -> pl.DataFrame:
    """Return one row an (assignment, state, plane, operation) with its calls, days, and who made them where.

    `days` cannot exceed the days between first and last call; where one operation is used at several scopes on the
    same day, that day may count twice below this bound.
    """
    span = (pl.col("last_seen").dt.date().max() - pl.col("first_seen").dt.date().min()).dt.total_days() + 1
    return (
        placed.group_by("role_assignment_id", "state", "plane", "name")
        .agg(
            operation=pl.col("operation").min(),
            bit=pl.col("bit").min(),
            events=pl.col("events").sum(),
            days=pl.min_horizontal(pl.col("days").sum(), span),
            first_seen=pl.col("first_seen").min(),
            last_seen=pl.col("last_seen").max(),
            principals=pl.col("principal_id").drop_nulls().unique().sort(),
            scopes=pl.col("scope").unique().sort(),
            attributed=pl.col("reason").unique().sort(),
        )
        .sort("role_assignment_id", "state", "plane", "name")
    )


def rows_by_assignment(summary: pl.DataFrame) -> dict[Key, list[dict[str, Any]]]:
    """Return the rows of `summarise_uses` by assignment."""
    rows: dict[Key, list[dict[str, Any]]] = defaultdict(list)
    for row in summary.iter_rows(named=True):
        rows[row["role_assignment_id"], row["state"]].append(row)
    return rows


def proposal_evidence(
    draft: Draft, uses: Sequence[Mapping[str, Any]], granted_after: int, book: RoleBook, declared: Sequence[str]
) -> dict[str, Any]:
    """Return the evidence of one proposal as plain JSON values.

    Args:
        draft: The draft.
        uses: Its rows of `summarise_uses`.
        granted_after: Operations that are granted afterwards.
        book: The roles.
        declared: Sentences on windows that a user declared complete.
    """
    role = book.roles.get(draft.subject.role_definition_id)
    granted = role.granted if role else 0
    evidence: dict[str, Any] = {
        "role": draft.subject.role_definition_id,
        "scope": draft.subject.scope,
        "state": draft.subject.state,
        "granted": granted.bit_count(),
        "used": len(uses),
        "operations": [_use_json(row, book.index) for row in uses],
    }
    if draft.rests_on:
        evidence["rests_on"] = list(draft.rests_on)
    if draft.together_with:
        evidence["together_with"] = list(draft.together_with)
    if draft.profile is not None:
        gone = granted & ~granted_after
        evidence["kept_unseen"] = _counts(draft, granted_after, (Verdict.UNOBSERVABLE, Verdict.OUT_OF_COVERAGE))
        evidence["removed"] = _counts(draft, gone, (Verdict.UNUSED, Verdict.UNOBSERVABLE))
    if declared:
        evidence["declared_by_user"] = list(declared)
    return evidence


def _counts(draft: Draft, mask: int, verdicts: Iterable[str]) -> dict[str, int]:
    profile = draft.profile
    used = draft.needs.why.get(USED, 0) if draft.needs else 0
    found: dict[str, int] = {}
    for (verdict, reason), members in sorted(profile.reasons.items() if profile else ()):
        number = (members & mask & ~used).bit_count()
        if verdict in verdicts and number:
            found[reason] = found.get(reason, 0) + number
    return found


def _use_json(row: Mapping[str, Any], index: OperationIndex) -> dict[str, Any]:
    principals, scopes = row["principals"], row["scopes"]
    return {
        "operation": _spelled(row, index),
        "plane": row["plane"],
        "events": row["events"],
        "days": row["days"],
        "first_seen": row["first_seen"],
        "last_seen": row["last_seen"],
        "attributed_by": row["attributed"],
        "principals": len(principals),
        "principal_ids": principals[:_NAMED],
        "scopes": len(scopes),
        "scope_ids": scopes[:_NAMED],
    }


def _spelled(row: Mapping[str, Any], index: OperationIndex) -> str:
    return index.names[row["bit"]][1] if row["bit"] is not None else str(row["operation"])


def role_evidence(
    role: RoleDefinition, drafts: Sequence[Draft], uses: Mapping[Key, Sequence[Mapping[str, Any]]], book: RoleBook
) -> dict[str, Any]:
    """Return for every string of a new role why it is there, and what stands in its place today.

    Args:
        role: The role.
        drafts: The drafts that assign it.
        uses: Rows of `summarise_uses` by assignment.
        book: The roles of today.
    """
    by_name: dict[tuple[str, str], list[tuple[str, Mapping[str, Any]]]] = defaultdict(list)
    for draft in drafts:
        for row in uses.get(draft.subject.key, ()):
            by_name[row["plane"], row["name"]].append((draft.subject.role_assignment_id, row))
    kept = {
        (part.plane, fold(text))
        for draft in drafts
        for need in (draft.needs.by_scope.values() if draft.needs else ())
        for part in need.parts
        for text in part.patterns
    }
    unseen = _reasons_by_bit(role, drafts, kept, book)
    block = role.permissions[0]
    actions = [
        _pattern_json(plane, text, taken_out, (plane, fold(text)) in kept, by_name, unseen, book)
        if "*" in text
        else _string_json(plane, text, by_name, unseen, book.index)
        for plane, texts, taken_out in (
            ("control", block.actions, block.not_actions),
            ("data", block.data_actions, block.not_data_actions),
        )
        for text in texts
    ]
    return {
        "role": role.role_definition_id,
        "replaces_in_part": [
            {
                "role_assignment_id": draft.subject.role_assignment_id,
                "role": draft.subject.role_definition_id,
                "scope": draft.subject.scope,
                "principal_id": draft.subject.principal_id,
            }
            for draft in drafts
        ],
        "actions": actions,
    }


def _reasons_by_bit(
    role: RoleDefinition, drafts: Sequence[Draft], kept: Set[tuple[str, str]], book: RoleBook
) -> dict[int, set[str]]:
    """Return the words that explain each operation of a role but for those of kept patterns.

    Drafts that share needs are looked at once.
    """
    block = role.permissions[0]
    texts = [*(("control", text) for text in block.actions), *(("data", text) for text in block.data_actions)]
    named = book.index.mask(texts)
    for plane, text in texts:
        if "*" in text and (plane, fold(text)) not in kept:
            named |= book.part_mask(PatternPart((text,), (), plane))
    needs = {(word, mask & named) for draft in drafts if draft.needs for word, mask in draft.needs.why.items()}
    found: dict[int, set[str]] = defaultdict(set)
    for word, mask in needs:
        for bit in bits_of(mask) if word != USED else ():
            found[bit].add(word)
    return found


def _string_json(
    plane: str,
    text: str,
    by_name: Mapping[tuple[str, str], Sequence[tuple[str, Mapping[str, Any]]]],
    unseen: Mapping[int, set[str]],
    index: OperationIndex,
) -> dict[str, Any]:
    rows = by_name.get((plane, fold(text)), ())
    if rows:
        principals = sorted({name for _, row in rows for name in row["principals"]})
        assignments = sorted({id_ for id_, _ in rows})
        return {
            "action": text,
            "plane": plane,
            "why": USED,
            "events": sum(row["events"] for _, row in rows),
            "days": max(row["days"] for _, row in rows),
            "first_seen": min(row["first_seen"] for _, row in rows),
            "last_seen": max(row["last_seen"] for _, row in rows),
            "principals": len(principals),
            "principal_ids": principals[:_NAMED],
            "role_assignments": len(assignments),
            "role_assignment_ids": assignments[:_NAMED],
        }
    bit = index.bit(plane, text)
    words = sorted(unseen.get(bit, ())) if bit is not None else []
    if "*" in text and not words:
        words = ["arm_read"] if fold(text).endswith("/read") else ["not_in_catalogue"]
    return {"action": text, "plane": plane, "why": " ".join(words), "meaning": [WHY.get(w, sentence(w)) for w in words]}


def _pattern_json(
    plane: str,
    text: str,
    taken_out: tuple[str, ...],
    is_kept: bool,
    by_name: Mapping[tuple[str, str], Sequence[tuple[str, Mapping[str, Any]]]],
    unseen: Mapping[int, set[str]],
    book: RoleBook,
) -> dict[str, Any]:
    """Return the evidence of a pattern: what it stands for today, and what it leaves open.

    One that was kept as it was granted has its own reason; one written in place of operations has theirs.
    """
    mask = book.part_mask(PatternPart((text,), taken_out, plane))
    opening = describe_opening(text, plane, taken_out, book.index)
    opens = {"operations": mask.bit_count(), "opens": opening.language, "for_example": opening.example}
    if is_kept:
        return _string_json(plane, text, by_name, unseen, book.index) | opens
    stands_for = [_string_json(plane, name, by_name, unseen, book.index) for _, name in book.index.members(mask)]
    why = {"action": text, "plane": plane, "why": WILDCARD, "meaning": [WHY[WILDCARD]]}
    return why | opens | {"stands_for": stands_for}


def declared_windows(coverage: pl.DataFrame) -> pl.DataFrame:
    """Return `(scope, text)` for each window of coverage that a user declared, with its folded scope."""
    return (
        coverage.filter(pl.col("declared_by") == "user")
        .group_by("source", "category", "scope")
        .agg(first=pl.col("day").min(), last=pl.col("day").max())
        .sort("source", "category", "scope")
        .select(
            scope=folded(pl.col("scope")),
            text=pl.format("{} {} {} {}..{}", "source", "category", "scope", "first", "last"),
        )
    )
