"""Write the evidence of new roles: the reason for each string, what the role may come to grant, and the price of reads.

A string is used under an assignment that the role replaces, is of the job (others with the same job used it), was used
by its holder under another assignment, comes along with a change of the role, stays undecided, or an earlier plan gave
it to the role.

No log shows a read of Resource Manager, so a person has to decide how many of them stay. The plan therefore shows the
counts of all four choices beside the chosen one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import polars as pl

from rightsize.analyze.inputs import ROOT
from rightsize.analyze.reasons import Choice, UnobservableReason, sentence
from rightsize.mining.bitsets import bits_of, mask_of, union
from rightsize.model.errors import InternalError
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.options import Reads, Unobservable
from rightsize.model.text import Folded, fold, is_read
from rightsize.propose.assembly.assemble import gone_of, not_touched
from rightsize.propose.assembly.plan_proof import RoleUses
from rightsize.propose.core.operation_sets import FoldedKey, OperationIndex
from rightsize.propose.core.options import price_list
from rightsize.propose.core.role_catalog import KnownRole, RoleBook
from rightsize.propose.core.role_patterns import PatternPart, reading_parts, strings_of
from rightsize.propose.drafts.drafts import Draft, StayingInput, stays_within_reach
from rightsize.propose.jobs import Jobs
from rightsize.propose.needs.assignments import Key, Use
from rightsize.propose.needs.linked_checks import Writes
from rightsize.propose.needs.needs import (
    ADOPTED,
    COMPANION,
    DECLARED,
    JOB,
    ONE_READING,
    STATUS_READ,
    TOUCHED,
    USED,
    USED_BEFORE,
    USED_ELSEWHERE,
    WHY,
    NeedReader,
)
from rightsize.propose.needs.privileged import LayerParts
from rightsize.propose.needs.profiles import Profile
from rightsize.propose.needs.unlogged import provider_of, sibling_reads, type_of
from rightsize.propose.selection.role_names import NewRoles
from rightsize.rbac.algebra import grants
from rightsize.rbac.permissions import Reading
from rightsize.rules.operations import sensitive_reads

SAME_TYPE = "same_type"
"""The word for the rule that whatever acts on a changed type comes along with the change."""
_CHECK = UnobservableReason.LINKED_CHECK.value
_USES = frozenset({USED, USED_BEFORE, USED_ELSEWHERE, DECLARED, JOB})
"""The words for what a holder of the role, or of its job, does."""
_ELSEWHERE = "a holder of the role used it under another assignment"
_MOST_NAMED = 5
_MOST_TRIED = 100
_ENDS = ("/action", "/write", "/delete", "/read", "")


def role_evidences(
    new: NewRoles,
    uses: Mapping[Folded, RoleUses],
    book: RoleBook,
    choice: Unobservable,
    layers: LayerParts,
    reasons: JobReasons,
) -> dict[Folded, Mapping[str, Any]]:
    """Return the evidence of each new role, by its id.

    Args:
        new: The new roles.
        uses: By id, what each is assigned for.
        book: The roles of today.
        choice: The option that decides which unlogged operations stay.
        layers: The layers of defence, if needs are split by them.
        reasons: The reasons for strings that no replaced assignment used.
    """
    found: dict[Folded, Mapping[str, Any]] = {}
    for id_, role in sorted(new.definitions.items()):
        untouched = union(not_touched(draft, gone_of(draft, book), choice) for draft in uses[id_].drafts)
        evidence = _role_evidence(role, uses[id_], book, untouched, reasons)
        if layers.pairs:
            evidence["layers"] = list(layers.layers_of(book.index.granted_by(role.permissions)))
        found[id_] = evidence
    return found


def _role_evidence(
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
    holders = sorted({one.principal_id for one in uses.placements})
    actions = _Strings(role, uses, book).as_json()
    reasons.explain(actions, role, uses.job, holders)
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
            for draft in uses.drafts
        ],
        "actions": actions,
        **({"removed_unlogged": _removed_unlogged(untouched, book.index)} if untouched else {}),
    }


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


class _Strings:
    """Writes the evidence of the strings of a role, as far as the assignments say it that the role replaces in part."""

    def __init__(self, role: RoleDefinition, uses: RoleUses, book: RoleBook) -> None:
        self._seen, self._book, self._index = uses.seen, book, book.index
        self._strings = list(strings_of(role.permissions[0]))
        patterns = [one for one in self._strings if "*" in one.text]
        needs = [draft.needs for draft in uses.drafts if draft.needs]
        parts = [part for need in needs for one in need.by_scope.values() for part in one.parts]
        kept = {(part.plane, text) for part in parts for text in part.folded}
        # Drafts that share needs are read once.
        reasons = {pair for need in needs for pair in need.why.items()}
        needed = union(mask for _, mask in reasons) & ~book.index.granted_by(role.permissions, Reading.LEAST)
        # The needed operations that the role grants by the reading `MOST` only, by the pattern that was kept for them.
        self._resting = {one.key: book.part_mask(one) & needed for one in patterns if one.key in kept}
        # Of operations that only a kept pattern grants, no others have reasons of their own.
        others = [book.part_mask(replace(one, not_patterns=())) for one in patterns if one.key not in kept]
        named = union((self._index.mask(one.key for one in self._strings), *self._resting.values(), *others))
        self._unseen = _unseen(reasons, named)

    def as_json(self) -> list[dict[str, Any]]:
        """Return the evidence of each string, actions first."""
        return [self._pattern(one) if "*" in one.text else self._string(one.key, one.text) for one in self._strings]

    def _string(self, key: FoldedKey, text: str) -> dict[str, Any]:
        said = {"action": text, "plane": key[0]}
        use = self._seen.of(key)
        if use is not None:
            return said | use
        bit = self._index.bit(*key)
        words = sorted(self._unseen.get(bit, ())) if bit is not None else []
        if "*" in text and not words:
            words = ["arm_read"] if is_read(text) else ["not_in_catalogue"]
        return said | _said(words)

    def _pattern(self, one: PatternPart) -> dict[str, Any]:
        """Return the evidence of a pattern: the operations that it matches today, and those that it leaves open."""
        # Matches hold by both readings; what stands beside them is needed and holds by one.
        matches = self._book.certain_mask(one).bit_count()
        own = self._string(one.key, one.text) | {"operations": matches} | _opening(one, self._index)
        resting = self._resting.get(one.key, 0)
        if not resting:
            return own
        stands_for = [self._string(self._index.keys[bit], self._index.names[bit][1]) for bit in bits_of(resting)]
        return own | {"why": ONE_READING, "meaning": [WHY[ONE_READING]], "stands_for": stands_for}


def _unseen(reasons: Iterable[tuple[str, int]], among: int) -> dict[int, set[str]]:
    """Return the reasons why each of some operations stays that nobody was seen to use."""
    found: dict[int, set[str]] = defaultdict(set)
    for word, mask in reasons:
        for bit in bits_of(mask & among) if word not in (USED, USED_BEFORE, DECLARED) else ():
            found[bit].add(word)
    return found


def _said(words: Sequence[str]) -> dict[str, Any]:
    return {"why": " ".join(words), "meaning": [WHY.get(word, sentence(word)) for word in words]}


def _opening(part: PatternPart, index: OperationIndex) -> dict[str, str]:
    """Return the operations that one pattern, less its not-patterns, would grant once Azure adds them.

    There are always such operations, since a pattern matches infinitely many names: `for_example` is one of them.
    """
    (pattern,), plane = part.patterns, part.plane
    head, _, tail = pattern.strip().partition("*")
    ending = f" {'and' if head else 'that'} ends in `{tail}`" if tail else ""
    for end, number in product((tail,) if tail else _ENDS, range(1, _MOST_TRIED)):
        name = f"{head or 'New.Provider/'}added{number if number > 1 else ''}{end}"
        if index.bit(plane, fold(name)) is None and grants([part.block], name, plane) == "yes":
            below = f"that begins with `{head}`" if head else "of any resource provider"
            return {"opens": f"every operation {below}{ending}", "for_example": name}
    raise InternalError(f"no operation can be named that the pattern `{pattern}` leaves open")


@dataclass(frozen=True, slots=True)
class JobReasons:
    """The work and the rules that the strings of new roles follow from.

    Attributes:
        jobs: The jobs of the tenant.
        reader: The reader of what changes bring along.
        adopted: The ids of the roles of an earlier plan.
        drafts: The drafts of all assignments.
    """

    jobs: Jobs
    reader: NeedReader
    adopted: frozenset[Folded]
    drafts: Sequence[Draft]

    def explain(
        self, actions: Sequence[dict[str, Any]], role: RoleDefinition, job: str, holders: Sequence[Folded]
    ) -> None:
        """Give each string without a reason the one that follows from the work of others.

        Args:
            actions: The evidence of the strings, which this changes.
            role: The role.
            job: The key of its job, or empty.
            holders: Who is assigned it.
        """
        index, work = self.reader.index, self.jobs.work
        bits = {bit: one for one in actions if (bit := index.bit(one["plane"], fold(one["action"]))) is not None}
        unexplained = mask_of(bit for bit, one in bits.items() if not one["why"])
        changes = mask_of(bits) & ~index.reads
        of_holders = union(map(work.used_by, holders))
        known = self.jobs.named(job)
        workers = known.workers if known else frozenset()
        found: dict[int, dict[str, Any]] = {}
        for bit in bits_of(unexplained & of_holders):
            found[bit] = {"why": USED_ELSEWHERE, "meaning": [_ELSEWHERE]}
        for bit in bits_of(unexplained & ~of_holders):
            users = sorted(worker for worker in workers if work.of_worker.get(worker, 0) >> bit & 1)
            if users:
                used = {"principal_ids": users[:_MOST_NAMED], "principals": len(users)}
                found[bit] = {"why": JOB, "meaning": [WHY[JOB]], "job": job, **used}
        left = unexplained & ~mask_of(found)
        for bit, change, rule in self._brought(left, changes & ~left):
            found.setdefault(bit, {"why": COMPANION, "meaning": [WHY[COMPANION]], "with": change, "rule": rule})
        for bit, words in self._staying(left & ~mask_of(found), job).items() if job else ():
            found[bit] = _said(sorted(words))
        if fold(role.role_definition_id) in self.adopted:
            for bit in bits_of(unexplained):
                found.setdefault(bit, {"why": ADOPTED, "meaning": [WHY[ADOPTED]]})
        for bit, reason in found.items():
            bits[bit].update(reason)
        here = mask_of(bit for bit, one in bits.items() if not _USES.isdisjoint(one["why"].split())) & ~index.reads
        for bit, one in bits.items():
            one.update(self._cause(bit, one, here, of_holders))

    def _cause(self, bit: int, said: Mapping[str, Any], here: int, of_holders: int) -> dict[str, str]:
        """Return `with`, `rule` and `source`: the use that brings an operation along, of the role or else beside it.

        Args:
            bit: The operation.
            said: Its evidence so far.
            here: The changes of the role that were used.
            of_holders: The changes that its holders used, by any role.
        """
        words = set(said["why"].split())
        if _CHECK in words or said.get("rule") == _CHECK:
            alone = self.reader.index.bit(said["plane"], fold(said["with"])) if "with" in said else None
            for changes in (here, of_holders) if alone is None else (1 << alone,):
                if found := self.reader.checks.cause(bit, changes):
                    return {"with": self.reader.index.names[found[0]][1], "rule": _CHECK, "source": found[1]}
        elif TOUCHED in words:
            for changes in (here, of_holders):
                if touching := self.reader.touching(bit, changes):
                    return {"with": touching, "rule": SAME_TYPE}
        return {}

    def _staying(self, wanted: int, job: str) -> dict[int, set[str]]:
        """Return the reasons why operations stay for others with a job."""
        reasons: set[tuple[str, int]] = set()
        for draft in self.drafts if wanted else ():
            kept = draft.needs.why.items() if draft.needs else ()
            if any(mask & wanted for _, mask in kept):
                has_job = any(one.key == job for one in self.jobs.of_holder(draft.subject.principal_id))
                reasons.update(kept if has_job else ())
        return _unseen(reasons, wanted)

    def _brought(self, wanted: int, changes: int) -> Iterator[tuple[int, str, str]]:
        """Yield what changes bring along: its bit, the first change in the order of names, and the rule."""
        index = self.reader.index
        ordered: Mapping[str, int] = {index.names[bit][1]: bit for bit in bits_of(changes)}
        for name in sorted(ordered) if wanted else ():
            one = 1 << ordered[name]
            for bit in bits_of(self.reader.companions(one, wanted & ~one)):
                yield bit, name, self._rule(one, 1 << bit)

    def _rule(self, change: int, brought: int) -> str:
        if self.reader.polls.asked(change) & brought:
            return STATUS_READ
        return _CHECK if self.reader.checks.linked & brought else SAME_TYPE


def price_reads(asked: StayingInput, orphans: Set[Key], membership: pl.DataFrame) -> dict[str, Any]:
    """Return `chosen`, and for each choice `operations` and `sensitive`, summed over the analysed assignments.

    An operation counts once for each assignment that grants it today, where only the choice keeps it. The rule file
    `sensitive_reads` says which reads are sensitive.

    Args:
        asked: Today's assignments with their evidence, and the reader of needs.
        orphans: Assignments whose holder is proved to be deleted.
        membership: `(principal_id, holder)`: who reaches the assignments of a holder.
    """
    around = stays_within_reach(asked, membership)
    pricer = _Pricer(asked.reader)
    alone = (asked.left_alone.untouched, asked.left_alone.undecided, orphans)
    totals: dict[Reads, list[int]] = {choice: [0, 0] for choice in Reads}
    for subject in asked.subjects:
        key = subject.key
        profile, role = asked.evidence.profiles.get(key), asked.reader.book.roles.get(subject.role_definition_id)
        if profile is None or role is None or any(key in keys for keys in alone) or not profile.reads:
            continue
        near = around[subject.principal_id]
        for choice, kept in pricer.kept(role, profile, asked.evidence.uses.get(key, {}), near).items():
            totals[choice][0] += kept.bit_count()
            totals[choice][1] += (kept & pricer.sensitive).bit_count()
    return price_list(asked.reader.options.reads, totals)


class _Pricer:
    """The reads that each choice keeps, computed as bit sets: a tenant has tens of thousands of assignments."""

    def __init__(self, reader: NeedReader) -> None:
        self._reader, self._index = reader, reader.index
        self._all: dict[Folded, int] = {}
        block = PermissionBlock(actions=sensitive_reads())
        self.sensitive = self._index.granted_by([block]) & self._index.reads
        bits: dict[str, list[int]] = defaultdict(list)
        for bit, (_, name) in enumerate(self._index.keys):
            bits[provider_of(name)].append(bit)
        self._of_provider = {name: mask_of(found) for name, found in bits.items()}

    def kept(self, role: KnownRole, profile: Profile, use: Mapping[Folded, Use], around: Writes) -> dict[Reads, int]:
        """Return the reads that each choice keeps, without those that are kept for another reason."""
        names = [key for part in use.values() for key in (*self._index.folded_members(part.operations), *part.unlisted)]
        # The cost of a status read, and of a linked check, is the same at every place.
        polls = self._reader.status_reads(ROOT, profile, use, around).values()
        linked = self._reader.checks.kept(ROOT, profile, self._reader.staying(profile, use), around)
        hidden = profile.kept_hidden(self._reader.options.unobservable)
        anyway = union((profile.open, hidden, linked, *polls, *(part.operations for part in use.values())))
        near = union(self._of_provider.get(name, 0) for name in {provider_of(name) for _, name in names})
        everything = self._said(role) | profile.reads
        siblings = [*names, *self._index.folded_members(linked)] if use else []
        found = {
            Reads.NONE: 0,
            Reads.SIBLING: self._index.mask(sibling_reads(siblings)) & profile.reads if siblings else 0,
            Reads.NAMESPACE: everything & near,
            Reads.ALL: everything,
        }
        return {choice: mask & ~anyway for choice, mask in found.items()}

    def _said(self, role: KnownRole) -> int:
        """Return the operations that the reading patterns of a role match."""
        id_ = role.role_definition_id
        if id_ not in self._all:
            self._all[id_] = union(map(self._reader.book.part_mask, reading_parts(role.blocks)))
        return self._all[id_]
