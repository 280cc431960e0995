"""Say which new roles each case would take: those of its holder's jobs, add-ons, and one role of the holder's own.

- The role of a job has its core changes, and what these bring along for any of its holders. So it is the same wherever
  it is assigned. Guests and workloads get the part of it that guests or workloads used. Data actions stand in a role of
  their own: many a role of today allows only one of the two.
- A risky change beside the jobs of its holder is an *add-on*: one role for each service and kind of risk, shared by
  exactly those who used the same.
- The rest of what a holder used becomes one role of its own. What existing roles grant without excess is no part of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

from rightsize.mining.bitsets import bits_of, mask_of, union
from rightsize.mining.programs import covers
from rightsize.model.nouns import RoleDefinition
from rightsize.model.text import Folded, fold, is_read
from rightsize.propose.core.role_catalog import Need, RoleContent, write_contents
from rightsize.propose.jobs import Job, Sort, Work
from rightsize.propose.needs.grant_requests import GrantUnit
from rightsize.propose.selection.candidates import Atoms
from rightsize.propose.selection.cases import Case, NewContent
from rightsize.propose.selection.fewer_scopes import JOINED
from rightsize.propose.selection.worth import Terms

WantedBy = tuple[Case, tuple[NewContent, ...]]
"""A case with its new roles: those of jobs first, then add-ons, then its holders' own."""


def find_contents(cases: Sequence[Case], atoms: Atoms, terms: Terms) -> list[WantedBy]:
    """Return the cases, each with the new roles that it would take.

    A case whose holders have different roles of their own becomes several.

    Args:
        cases: The cases that new roles may serve.
        atoms: The numbering of operations and patterns.
        terms: What roles are chosen from.
    """
    changing = (
        1 << atoms.width + number for number, part in enumerate(atoms.parts) if not all(map(is_read, part.patterns))
    )
    maker = _Maker(atoms, terms.jobs.work, terms.demands.companions, union(changing), terms.never_spare)
    maker.pool(cases)
    maker.adopt(terms.options.previous, cases)
    maker.reduce(cases)
    made = list(maker.make(cases))
    contents = {one: maker.content(one) for one in {one for _, wanted in made for one in wanted}}
    return [(case, tuple(contents[one] for one in wanted)) for case, wanted in made]


@dataclass(frozen=True, slots=True)
class _Split:
    """What a case takes: the contents of jobs, risky changes for add-ons, and the rest, as atoms."""

    jobs: tuple[int, ...] = ()
    risky: int = 0
    rest: int = 0


_PartKey = tuple[Job, Sort, bool]
"""A job, whom its holder acts for, and whether it is the part with data actions."""


@dataclass(slots=True)
class _Maker:
    """The making of contents, as atoms: what the roles of jobs are, and what each case takes.

    What a role is to all the cases that take it is known when all are made: one of them may use what another has as a
    companion only.
    """

    atoms: Atoms
    work: Work
    companions: Callable[[int, int], int]
    changing: int
    """The patterns that do more than read."""
    never_spare: int
    """The operations that no role may grant beyond the need of a place, though its holder needs them at another."""
    _cores: dict[_PartKey, int] = field(default_factory=dict)
    _brought: dict[_PartKey, int] = field(default_factory=lambda: defaultdict(int))
    _pooled: dict[_PartKey, int] = field(default_factory=dict)
    _adopted: dict[int, int] = field(default_factory=dict)
    _reduced: dict[_PartKey, int] = field(default_factory=dict)
    _job_of: dict[int, str] = field(default_factory=dict)
    _of_jobs: set[int] = field(default_factory=set)
    _of_holders: set[int] = field(default_factory=set)
    _with_work: set[int] = field(default_factory=set)

    def pool(self, cases: Iterable[Case]) -> None:
        """Collect for each job what its changes bring along for any of its holders, and what stays for half of them."""
        among: dict[_PartKey, int] = defaultdict(int)
        holders: dict[_PartKey, set[Folded]] = defaultdict(set)
        stays_for: dict[_PartKey, dict[int, set[Folded]]] = defaultdict(lambda: defaultdict(set))
        for case in cases:
            if _part_of(case):
                continue
            need, parts = case.key.asked.need.operations, [*self._parts(case)]
            for holder in {unit.principal_id for unit in case.units}:
                unused = need & ~self.work.used_by(holder)
                for part in parts:
                    among[part] |= unused
                    holders[part].add(holder)
                    for bit in bits_of(self._staying(case, part, unused)):
                        stays_for[part][bit].add(holder)
        for part, unused in among.items():
            half = min(len(holders[part]), max(2, (len(holders[part]) + 1) // 2))
            usual = mask_of(bit for bit, those in stays_for[part].items() if len(those) >= half)
            self._brought[part] = self.companions(self._core(part), unused) | usual

    def _staying(self, case: Case, part: _PartKey, unused: int) -> int:
        """Return the changes that stay for a holder though nothing shows their use, if the job is the reason.

        They run on an endpoint that it touched, where no log shows what it did. Where it has other jobs, these may be
        the reason; and who keeps something risky there has another role anyway.
        """
        changes = self._in_plane(part, unused & self.work.changes)
        return changes if len(case.key.jobs) == 1 and not changes & self.work.all_risky else 0

    def _parts(self, case: Case) -> Iterable[_PartKey]:
        """Yield the parts of the jobs of a case's holders that have changes."""
        for job in case.key.jobs:
            for is_data in (False, True):
                if self._core(part := (job, case.key.sort, is_data)):
                    yield part

    def _core(self, part: _PartKey) -> int:
        if part not in self._cores:
            job, sort, _ = part
            self._cores[part] = self._in_plane(part, job.core if sort == "employee" else job.by_sort.get(sort, 0))
        return self._cores[part]

    def _in_plane(self, part: _PartKey, operations: int) -> int:
        """Return the operations of the plane of a part."""
        return operations & ~self.work.index.control if part[2] else operations & self.work.index.control

    def content_of(self, part: _PartKey) -> int:
        """Return the atoms of a job's role, or of the role of an earlier plan that has its place."""
        if part not in self._pooled:
            job, _, is_data = part
            core = self._core(part)
            same = [one for sort in get_args(Sort) if self._core(one := (job, sort, is_data)) == core]
            self._pooled[part] = core | union(self._brought[one] for one in same)
        found = self._adopted.get(self._pooled[part], self._pooled[part])
        self._job_of.setdefault(found, part[0].key)
        return found

    def offered(self, case: Case) -> list[int]:
        """Return the roles of the jobs of a case's holders that these may have.

        Where some may not have all that a job brings along, there is a second role of the job for them, with what all
        of them may have.
        """
        found = []
        for part in self._parts(case):
            content = self.content_of(part)
            if content & ~case.within:
                content = self._reduced.get(part, content)
                self._job_of.setdefault(content, part[0].key)
            if not content & ~case.within:
                found.append(content)
        return found

    def reduce(self, cases: Iterable[Case]) -> None:
        """Find for each job what all of its holders may have that may not have its whole role, but its changes."""
        for case in cases:
            for part in self._parts(case):
                content, core = self.content_of(part), self._core(part)
                if content & ~case.within and not core & ~case.within:
                    self._reduced[part] = self._reduced.get(part, content) & (case.within | core)

    def adopt(self, roles: Iterable[RoleDefinition], cases: Iterable[Case]) -> None:
        """Let each job keep the role of an earlier plan that has at least half of its changes, and it half of the role.

        A change that is new waits as an add-on or in a role of its holder's own. A role that a holder of the job may
        not have as a whole is not kept.
        """
        known = [content for role in roles if (content := _atoms_of(role, self.atoms))]
        wanted: dict[int, int] = defaultdict(lambda: -1)
        for case in cases:
            for part in self._parts(case):
                content = self.content_of(part)
                wanted[content] &= -1 if content & ~case.within else case.within
        changes = self.work.changes
        for content, within in sorted(wanted.items()):
            core = content & changes
            found = []
            for old in known:
                both = (old & core).bit_count()
                if 2 * both >= core.bit_count() and 2 * both >= (old & changes).bit_count() and not old & ~within:
                    found.append((-both, old))
            if found:
                self._adopted[content] = min(found)[1]

    def make(self, cases: Sequence[Case]) -> Iterable[tuple[Case, tuple[int, ...]]]:
        """Yield each case with its contents; a case whose holders have different roles of their own becomes several."""
        splits = [self._split(case) for case in cases]
        own: dict[tuple[Folded, str], int] = defaultdict(int)
        users: dict[str, dict[int, set[Folded]]] = defaultdict(lambda: defaultdict(set))
        worked: dict[str, int] = defaultdict(int)
        for case, split in zip(cases, splits, strict=True):
            worked[_part_of(case)] |= split.risky & self._used(case)
            for unit in case.units:
                own[unit.principal_id, unit.state] |= split.rest
                for bit in bits_of(split.risky):
                    users[_part_of(case)][bit].add(unit.principal_id)
        # Parts that were split off, such as layers of defence, share no role with each other.
        add_on_of = {word: self._add_ons(those, worked[word]) for word, those in users.items()}
        for case, split in zip(cases, splits, strict=True):
            add_ons = sorted({add_on_of[_part_of(case)][bit] for bit in bits_of(split.risky)})
            add_ons = [one & split.risky if self._brings_never(case, one) else one for one in add_ons]
            by_own: dict[tuple[int, int], list[GrantUnit]] = defaultdict(list)
            for unit in case.units:
                whole = own[unit.principal_id, unit.state] if split.rest else 0
                rest = split.rest if whole & ~case.within or self._brings_never(case, whole) else whole
                used = self.work.used_by(unit.principal_id)
                # Work of the holder may have to stand beside a rest that nobody used: then holders differ by it.
                by_own[rest, 0 if not rest or self._has_use(rest, used) else used & case.within].append(unit)
            for (rest, _), units in by_own.items():
                here = case if len(by_own) == 1 else replace(case, units=tuple(units))
                yield here, self._contents(here, split.jobs, add_ons, rest)

    def content(self, atoms: int) -> NewContent:
        """Return a role as all cases together take it."""
        is_add_on = atoms not in self._of_jobs and atoms not in self._of_holders
        return NewContent(
            atoms,
            self.atoms.granted(atoms),
            self.atoms.operations(atoms),
            is_add_on,
            is_adopted=atoms in self._of_jobs and atoms in self._adopted.values(),
            has_use=atoms in self._of_jobs or atoms in self._with_work,
            job="" if is_add_on else self._job_of.get(atoms, ""),
        )

    def _contents(self, case: Case, jobs: Sequence[int], add_ons: Sequence[int], rest: int) -> tuple[int, ...]:
        """Return the contents of a case.

        Where there would be too many, add-ons join the rest, then reads join it, and then the second job does.
        """
        used = self._used(case)
        add_ons = [one if self._has_use(one, used) else one | self._brings(case, one) for one in add_ons]
        if rest and not self._has_use(rest, used):
            if add_ons and not self._changes(rest) and not jobs and not add_ons[0] & ~case.within:
                # Reads alone are no role: they stand beside the work that they come along with.
                rest, add_ons = rest | add_ons[0], add_ons[1:]
            else:
                jobs, rest = self._with_use(case, jobs, rest)
        left = case.atoms & ~union(map(self.atoms.granted, (*jobs, *add_ons, rest)))

        def too_many() -> int:
            return len(jobs) + len(add_ons) + bool(rest) + bool(left) - case.key.most_roles

        whole = rest | union(add_ons)
        if too_many() > 0 and not whole & ~case.within:
            add_ons, rest = (), whole
        if too_many() > 0 and rest and not left & ~case.within:
            rest, left = rest | left, 0
        if too_many() > 0 and len(jobs) > 1:
            jobs, rest = jobs[:1], rest | union(jobs[1:]) & case.atoms
        own = (rest,) if rest else ()
        self._of_jobs.update(jobs)
        self._of_holders.update(own)
        self._with_work.update(one for one in (*add_ons, *own) if self._has_use(one, used))
        return (*jobs, *add_ons, *own)

    def _brings_never(self, case: Case, atoms: int) -> bool:
        """Return whether a role would bring along what no role may."""
        return bool(atoms & ~case.atoms & self.never_spare)

    def _has_use(self, atoms: int, used: int) -> bool:
        """Return whether something in a role was used.

        A pattern that does more than read stands for used operations that the catalogue lacks.
        """
        return bool(atoms & (used | self.changing))

    def _changes(self, atoms: int) -> int:
        """Return the part of some atoms that does more than read."""
        return atoms & ((1 << self.atoms.width) - 1 & ~self.work.index.reads | self.changing)

    def _with_use(self, case: Case, jobs: Sequence[int], rest: int) -> tuple[Sequence[int], int]:
        """Return contents in which what comes along with changes made elsewhere stands beside work of the holder.

        A role with nothing that was used would be none that a reviewer understands.
        """
        for one in jobs or self.offered(case):
            self._job_of.setdefault(rest | one, self._job_of.get(one, ""))
            return [other for other in jobs if other != one], rest | one
        own = self._used(case) & case.within
        return jobs, rest | (own & ~self.work.all_risky or self._brings(case, rest) or own)

    def _brings(self, case: Case, atoms: int) -> int:
        """Return the changes of the holder that bring along something of a set of atoms."""
        own = self._used(case) & case.within
        return mask_of(bit for bit in bits_of(own) if self.companions(1 << bit, atoms))

    def _used(self, case: Case) -> int:
        return union(self.work.used_by(holder) for holder in {unit.principal_id for unit in case.units})

    def _split(self, case: Case) -> _Split:
        columns = [one.atoms for one in case.existing]
        left = case.atoms
        if covers(left, columns, case.key.most_roles):
            return _Split()
        if _part_of(case):
            return _Split(rest=left) if left >> self.atoms.width else _Split(risky=left)
        jobs: list[int] = []
        free = union(columns)
        offered = [one for one in self.offered(case) if not self._brings_never(case, one)]
        while hard := left & ~free:
            useful = [
                (-(one & hard & self.work.changes).bit_count(), -(one & hard).bit_count(), number)
                for number, one in enumerate(offered)
                if one & hard and one not in jobs
            ]
            if not useful or len(jobs) == case.key.most_roles:
                break
            jobs.append(offered[min(useful)[2]])
            left &= ~self.atoms.granted(jobs[-1])
        if case.key.asked.is_single:
            return _Split(rest=case.atoms) if left else _Split(tuple(jobs))
        hard = left & ~free
        risky = hard & self.work.all_risky & self._used(case)
        risky |= self.companions(risky, hard) if risky else 0
        left &= ~risky
        if covers(left, columns, max(0, case.key.most_roles - len(jobs) - bool(risky))):
            return _Split(tuple(jobs), risky)
        return _Split(tuple(jobs), risky, left & ~self._reading(case, left))

    def _reading(self, case: Case, left: int) -> int:
        """Return what the one existing role grants that has most of the patterns in a set of atoms."""
        patterns = left & self.atoms.patterns
        best = max((one.atoms for one in case.existing), key=lambda atoms: (atoms & patterns).bit_count(), default=0)
        return best if best & patterns else 0

    def _add_ons(self, users: Mapping[int, set[Folded]], worked: int) -> dict[int, int]:
        """Return for each risky change, or what it brings along, the add-on that has it, as atoms.

        Args:
            users: For each change, who is to have it.
            worked: The changes among them that somebody used; others come along with these.
        """
        keys = self.work.index.keys
        alike: dict[tuple[str, str, frozenset[Folded]], int] = defaultdict(int)
        beside: dict[frozenset[Folded], int] = defaultdict(int)
        for bit, their in users.items():
            kind = self.work.kind_of(bit) if worked >> bit & 1 else None
            if kind is None:
                beside[frozenset(their)] |= 1 << bit
            else:
                alike[keys[bit][1].split("/", 1)[0], kind, frozenset(their)] |= 1 << bit
        found: dict[int, int] = {}
        for (_, _, those), mask in sorted(alike.items(), key=lambda item: item[0][:2]):
            whole = mask
            for owners, brought in beside.items():
                if those <= owners:
                    whole |= self.companions(mask, brought)
            found |= dict.fromkeys(bits_of(whole), whole)
        for mask in beside.values():
            for bit in bits_of(mask):
                found.setdefault(bit, mask)
        return found


def _part_of(case: Case) -> str:
    """Return the word for the part that a case was split off as, or the empty string."""
    return "" if case.key.asked.apart == JOINED else case.key.asked.apart


def _atoms_of(role: RoleDefinition, atoms: Atoms) -> int:
    """Return the atoms of a role, or 0 where these would not give the same role again."""
    if len(role.permissions) != 1:
        return 0
    block = role.permissions[0]
    strings = {("control", text) for text in block.actions} | {("data", text) for text in block.data_actions}
    found = atoms.book.index.mask((plane, fold(text)) for plane, text in strings if "*" not in text)
    for one in atoms.parts:
        if all((one.plane, text) in strings for text in one.patterns):
            found |= atoms.of_need(Need(0, (one,)))
    return found if write_contents(atoms.need(found), atoms.book.index) == [RoleContent.of(role)] else 0
