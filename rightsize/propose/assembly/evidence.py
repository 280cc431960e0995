"""Write the evidence of proposals and new roles: the uses behind each action, and reasons for actions without use."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import Any

import polars as pl

from rightsize.analyze.reasons import Choice, Unused, Verdict, sentence
from rightsize.analyze.text import folded
from rightsize.model.nouns import RoleDefinition
from rightsize.model.plan import Proposal
from rightsize.model.plan_evidence import BEFORE, WINDOW
from rightsize.propose.assembly.growth import describe_opening
from rightsize.propose.assembly.job_reasons import JobReasons
from rightsize.propose.assembly.role_uses import RoleUses, Seen
from rightsize.propose.core.bitsets import FoldedKey, OperationIndex, bits_of
from rightsize.propose.core.options import Unobservable
from rightsize.propose.core.read_patterns import PatternPart, is_read
from rightsize.propose.core.role_catalog import RoleBook
from rightsize.propose.needs.assignments import KEY
from rightsize.propose.needs.drafts import Draft
from rightsize.propose.needs.needed_reads import type_of
from rightsize.propose.needs.needs import ONE_READING, USED, USED_BEFORE, WHY
from rightsize.propose.needs.reasons import cause_of
from rightsize.propose.needs.use_rows import UseRows
from rightsize.rbac.permissions import Reading
from rightsize.rbac.text import Folded, fold


def proposal_evidence(
    draft: Draft,
    used: int,
    used_before: int,
    granted_after: int,
    book: RoleBook,
    declared: Sequence[str],
    choice: Unobservable,
) -> dict[str, Any]:
    """Return the evidence of one proposal as values that `render.rows.plain` accepts.

    Args:
        draft: The draft.
        used: The number of operations that were used under its assignment.
        used_before: The number of those whose use before the window still counts.
        granted_after: The operations that are granted after the change, as a bit set.
        book: The roles.
        declared: Sentences on windows that a user declared complete.
        choice: The option that decides which unlogged operations stay.
    """
    role = book.roles.get(draft.subject.role_definition_id)
    granted = role.granted if role else 0
    evidence: dict[str, Any] = {
        "role": draft.subject.role_definition_id,
        "scope": draft.subject.scope,
        "state": draft.subject.state,
        "granted": granted.bit_count(),
        "used": used,
    }
    if used_before:
        evidence["used_before"] = used_before
    if draft.rests_on:
        evidence["rests_on"] = list(draft.rests_on)
    if draft.together_with:
        evidence["together_with"] = list(draft.together_with)
    if draft.profile is not None:
        gone = granted & ~granted_after
        evidence["kept_unseen"] = _counts(draft, granted_after, (Verdict.UNOBSERVABLE, Verdict.OUT_OF_COVERAGE))
        evidence["removed"] = _removed(draft, gone, choice)
        if draft.profile.coverage is not None and Unused.COVERED_IN_PART in evidence["removed"]:
            evidence["covered_days"] = draft.profile.coverage[0]
    if declared:
        evidence["declared_by_user"] = list(declared)
    return evidence


def uses_of(proposals: Sequence[Proposal], rows: UseRows, earlier: UseRows, index: OperationIndex) -> pl.DataFrame:
    """Return the use behind proposals as the table `operations` of a plan's evidence.

    Args:
        proposals: The proposals.
        rows: The use in the window.
        earlier: The use before it that still counts.
        index: The operations.
    """
    keys = pl.DataFrame(
        [(one.id, one.replaces[0], one.evidence["state"]) for one in proposals],
        schema=dict.fromkeys(("proposal_id", *KEY), pl.String),
        orient="row",
    )
    return pl.concat([rows.rows_of(keys, WINDOW, index), earlier.rows_of(keys, BEFORE, index)])


def would_tell(proposals: Iterable[Proposal]) -> dict[str, str]:
    """Return what would decide the use that kept assignments leave undecided, by its reason."""
    words = {word for one in proposals if one.kind.keeps for word in one.evidence.get("kept_unseen", ())}
    return {word: cause_of(word).tells for word in sorted(words) if cause_of(word).tells}


def _removed(draft: Draft, gone: int, choice: Unobservable) -> dict[str, int]:
    """Return the number of removed operations by reason; those that a choice of the person removes have its reason."""
    untouched = not_touched(draft, gone, choice)
    loose = draft.needs.loose & gone if draft.needs is not None else 0
    found = _counts(draft, gone & ~(untouched | loose), (Verdict.UNUSED, Verdict.UNOBSERVABLE))
    for word, operations in ((Choice.TYPE_NOT_USED, untouched), (Choice.NOTHING_REFERS, loose)):
        if operations:
            found[word] = operations.bit_count()
    return found


def not_touched(draft: Draft, gone: int, choice: Unobservable) -> int:
    """Return the removed operations that `--unobservable touched` removes."""
    is_asked = draft.profile is not None and choice is Unobservable.TOUCHED
    return draft.profile.untouched & gone if draft.profile is not None and is_asked else 0


def _counts(draft: Draft, mask: int, verdicts: Iterable[str]) -> dict[str, int]:
    profile = draft.profile
    used, earlier = (draft.needs.why.get(word, 0) if draft.needs else 0 for word in (USED, USED_BEFORE))
    found: dict[str, int] = {}
    if Verdict.OUT_OF_COVERAGE in verdicts and earlier & mask:
        found[USED_BEFORE] = (earlier & mask).bit_count()
    for (verdict, reason), members in sorted(profile.reasons.items() if profile else ()):
        number = (members & mask & ~used & ~earlier).bit_count()
        if verdict in verdicts and number:
            found[reason] = found.get(reason, 0) + number
    return found


@dataclass(frozen=True, slots=True)
class _RoleString:
    """A string of a new role as it is written, its (plane, folded string), and the not-patterns beside it."""

    text: str
    key: FoldedKey
    taken_out: tuple[str, ...]

    @property
    def part(self) -> PatternPart:
        return PatternPart((self.text,), self.taken_out, self.key[0])


def _strings_of(role: RoleDefinition) -> list[_RoleString]:
    """Return the actions of a new role, then its dataActions."""
    block = role.permissions[0]
    return [
        _RoleString(text, (plane, fold(text)), taken_out)
        for plane, texts, taken_out in (
            ("control", block.actions, block.not_actions),
            ("data", block.data_actions, block.not_data_actions),
        )
        for text in texts
    ]


def role_evidence(
    role: RoleDefinition, uses: RoleUses, book: RoleBook, untouched: int, reasons: JobReasons
) -> dict[str, Any]:
    """Return the evidence of a new role: its job and holders, the reason for each string, and what it replaces in part.

    Args:
        role: The role.
        uses: What it is assigned for.
        book: The roles of today.
        untouched: The operations that `--unobservable touched` removes from the holders of the role.
        reasons: The reasons for strings that none of those assignments used.
    """
    drafts, seen = uses.drafts, uses.seen
    kept = {
        (part.plane, text)
        for draft in drafts
        for need in (draft.needs.by_scope.values() if draft.needs else ())
        for part in need.parts
        for text in part.folded
    }
    needed = {mask for draft in drafts if draft.needs for mask in draft.needs.why.values()}
    resting = _resting_on(kept, reduce(or_, needed, 0), role, book)
    unseen = _reasons_by_bit(role, drafts, kept, resting, book)
    holders = sorted({one.principal_id for one in uses.placements})
    actions = [
        _pattern_json(one, resting.get(one.key, 0), seen, unseen, book)
        if "*" in one.text
        else _string_json(one.key, one.text, seen, unseen, book.index)
        for one in _strings_of(role)
    ]
    _explain(actions, role, uses.job, holders, book.index, reasons)
    return {
        "role": role.role_definition_id,
        "job": uses.job or None,
        "is_add_on": uses.is_add_on,
        "holders": holders,
        **({"saves": uses.saves.as_json()} if uses.saves else {}),
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
        **({"removed_unlogged": _removed_unlogged(untouched, book.index)} if untouched else {}),
    }


def _explain(
    actions: Sequence[dict[str, Any]],
    role: RoleDefinition,
    job: str,
    holders: Sequence[Folded],
    index: OperationIndex,
    reasons: JobReasons,
) -> None:
    """Give each string without a reason the one that follows from the work of others."""
    bits = {bit: one for one in actions if (bit := index.bit(one["plane"], fold(one["action"]))) is not None}
    unexplained = index.mask_of_bits(bit for bit, one in bits.items() if not one["why"])
    changes = index.mask_of_bits(bits) & ~index.reads
    for bit, found in reasons.of_role(
        Folded(fold(role.role_definition_id)), job, holders, unexplained, changes
    ).items():
        bits[bit].update(found)


def _removed_unlogged(untouched: int, index: OperationIndex) -> dict[str, Any]:
    """Return the number of operations that are removed since their type was not used, in all and by type."""
    types: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for bit in bits_of(untouched):
        kind = type_of(index.keys[bit][1]).split("/")[:2]
        spelled = index.names[bit][1].split("/")[: len(kind)]
        counts[types.setdefault("/".join(kind), "/".join(spelled))] += 1
    return {
        "why": Choice.TYPE_NOT_USED,
        "meaning": "removed by `--unobservable touched`: its type was not used",
        "operations": untouched.bit_count(),
        "types": dict(sorted(counts.items())),
    }


def _resting_on(kept: Set[FoldedKey], needed: int, role: RoleDefinition, book: RoleBook) -> dict[FoldedKey, int]:
    """Return for each kept pattern the needed operations that the role grants by the reading `MOST` only."""
    certain = book.index.granted_by(role.permissions, Reading.LEAST)
    return {
        one.key: book.part_mask(one.part) & ~certain & needed
        for one in _strings_of(role)
        if "*" in one.text and one.key in kept
    }


def _reasons_by_bit(
    role: RoleDefinition,
    drafts: Sequence[Draft],
    kept: Set[FoldedKey],
    resting: Mapping[FoldedKey, int],
    book: RoleBook,
) -> dict[int, set[str]]:
    """Return the reasons for each operation of a role, by its bit.

    Operations that only a kept pattern grants are left out, except those that the role grants by one reading only.
    Drafts that share needs are read once.
    """
    strings = _strings_of(role)
    named = reduce(or_, resting.values(), book.index.mask(one.key for one in strings))
    for one in strings:
        if "*" in one.text and one.key not in kept:
            named |= book.part_mask(replace(one.part, not_patterns=()))
    needs = {(word, mask & named) for draft in drafts if draft.needs for word, mask in draft.needs.why.items()}
    found: dict[int, set[str]] = defaultdict(set)
    for word, mask in needs:
        for bit in bits_of(mask) if word not in (USED, USED_BEFORE) else ():
            found[bit].add(word)
    return found


def _string_json(
    key: FoldedKey, text: str, seen: Seen, unseen: Mapping[int, set[str]], index: OperationIndex
) -> dict[str, Any]:
    plane = key[0]
    use = seen.of(key)
    if use is not None:
        return {"action": text, "plane": plane, **use}
    bit = index.bit(*key)
    words = sorted(unseen.get(bit, ())) if bit is not None else []
    if "*" in text and not words:
        words = ["arm_read"] if is_read(text) else ["not_in_catalogue"]
    return {"action": text, "plane": plane, "why": " ".join(words), "meaning": [WHY.get(w, sentence(w)) for w in words]}


def _pattern_json(
    one: _RoleString, resting: int, seen: Seen, unseen: Mapping[int, set[str]], book: RoleBook
) -> dict[str, Any]:
    """Return the evidence of a pattern: the operations that it matches today, and those that it leaves open.

    `resting` is the needed operations that the pattern grants by one reading only.
    """
    plane, text = one.key[0], one.text
    # `mask` has only matches that hold by both readings; `resting` lists the others that are needed.
    mask = book.certain_mask(one.part)
    opening = describe_opening(text, plane, one.taken_out, book.index)
    opens = {"operations": mask.bit_count(), "opens": opening.language, "for_example": opening.example}
    stands_for = [
        _string_json(book.index.keys[bit], book.index.names[bit][1], seen, unseen, book.index)
        for bit in bits_of(resting)
    ]
    own = _string_json(one.key, text, seen, unseen, book.index) | opens
    if not resting:
        return own
    return own | {"why": ONE_READING, "meaning": [WHY[ONE_READING]], "stands_for": stands_for}


def declared_windows(coverage: pl.DataFrame) -> pl.DataFrame:
    """Return `(scope, text)` for each coverage window that a user declared; `scope` is folded."""
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
