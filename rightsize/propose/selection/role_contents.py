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

from rightsize.model.nouns import RoleDefinition
from rightsize.propose.core.bitsets import bits_of, union
from rightsize.propose.core.read_patterns import is_read
from rightsize.propose.core.role_catalog import Need, RoleContent, write_contents
from rightsize.propose.jobs.jobs import Job, Jobs
from rightsize.propose.jobs.work import Sort
from rightsize.propose.needs.grant_requests import GrantUnit
from rightsize.propose.optimize.covers import covers
from rightsize.propose.selection.atoms import Atoms
from rightsize.propose.selection.classes import Case
from rightsize.propose.selection.fewer_assignments import JOINED
from rightsize.rbac.text import Folded, fold

ONLY_COMPANIONS = "only_companions"
"""The word for a need of which nothing was used: it would come along with changes made elsewhere."""

Part = tuple[str, Sort, bool]
"""The key of a job, whom its holder acts for, and whether it is the part with data actions."""
Companions = Callable[[int, int], int]
"""Returns which of some operations (the second argument) some changes (the first) bring along."""


@dataclass(frozen=True, slots=True, order=True)
class NewContent:
    """The content of a new role.

    Attributes:
        atoms: The operations and patterns, as atoms.
        granted: All atoms that it grants.
        operations: The catalogue operations that it may grant.
        is_add_on: Whether it keeps risky changes apart from the jobs of those who take it.
        is_adopted: Whether it is a role of the earlier plan.
        has_use: Whether something in it was used; without that no new role is made.
        job: The key of the job whose role it is, or empty.
    """

    atoms: int
    granted: int = field(compare=False)
    operations: int = field(compare=False)
    is_add_on: bool = field(default=False, compare=False)
    is_adopted: bool = field(default=False, compare=False)
    has_use: bool = field(default=True, compare=False)
    job: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class RoleContents:
    """The cases with the new roles that each would take.

    Attributes:
        atoms: The numbering of operations and patterns.
        cases: The cases, each with its contents: jobs first, then add-ons, then the holder's own.
    """

    atoms: Atoms
    cases: tuple[tuple[Case, tuple[NewContent, ...]], ...]

    @classmethod
    def of(
        cls,
        cases: Sequence[Case],
        atoms: Atoms,
        jobs: Jobs,
        companions: Companions,
        previous: Iterable[RoleDefinition],
        part: Callable[[Case, Sequence[GrantUnit]], Case],
    ) -> RoleContents:
        """Return the contents for the cases.

        Args:
            cases: The cases that new roles may serve.
            atoms: The numbering of operations and patterns.
            jobs: The jobs of the tenant.
            companions: What changes bring along.
            previous: The new roles of an earlier plan.
            part: Returns a case for a part of its units.
        """
        maker = _Maker(atoms, jobs, companions)
        maker.pool(cases)
        maker.adopt(previous, cases)
        maker.reduce(cases)
        made = list(maker.make(cases, part))
        return cls(atoms, tuple((case, tuple(maker.joined(one) for one in contents)) for case, contents in made))


@dataclass(frozen=True, slots=True)
class _Split:
    """What a case takes: the contents of jobs, risky changes for add-ons, and the rest, as atoms."""

    jobs: tuple[int, ...] = ()
    risky: int = 0
    rest: int = 0


@dataclass(slots=True)
class _Maker:
    atoms: Atoms
    jobs: Jobs
    companions: Companions
    _brought: dict[Part, int] = field(default_factory=lambda: defaultdict(int))
    _adopted: dict[int, int] = field(default_factory=dict)
    _reduced: dict[Part, int] = field(default_factory=dict)
    _made: dict[int, NewContent] = field(default_factory=dict)
    _changing: int = field(init=False)
    _job_of: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # The patterns that do more than read.
        self._changing = sum(
            1 << self.atoms.width + number
            for number, part in enumerate(self.atoms.parts)
            if not all(map(is_read, part.patterns))
        )

    def pool(self, cases: Iterable[Case]) -> None:
        """Collect for each job what its changes bring along for any of its holders."""
        for case in cases:
            if _part_of(case):
                continue
            brought = 0
            for holder in {unit.principal_id for unit in case.units}:
                brought |= case.key.need.operations & ~self.jobs.work.used_by(holder)
            for part, core in self._parts(case):
                self._brought[part] |= self.companions(core, brought)

    @property
    def _risky(self) -> int:
        return self.jobs.work.all_risky

    def _parts(self, case: Case) -> Iterable[tuple[Part, int]]:
        """Yield the parts of the jobs of a case's holders, each with its core."""
        for job in case.key.jobs:
            for is_data in (False, True):
                if core := self._core(job, case.key.sort, is_data=is_data):
                    yield (job.key, case.key.sort, is_data), core

    def _core(self, job: Job, sort: Sort, *, is_data: bool) -> int:
        core = job.core if sort == "employee" else job.by_sort.get(sort, 0)
        control = self.jobs.work.index.control
        return core & ~control if is_data else core & control

    def content_of(self, part: Part, core: int) -> int:
        """Return the atoms of a job's role, or of the role of an earlier plan that has its place."""
        key, _, is_data = part
        job = next(one for one in self.jobs.found if one.key == key)
        sorts: tuple[Sort, ...] = ("employee", "guest", "workload")
        content = core
        for one in sorts:
            if self._core(job, one, is_data=is_data) == core:
                content |= self._brought[key, one, is_data]
        found = self._adopted.get(content, content)
        self._job_of.setdefault(found, key)
        return found

    def offered(self, case: Case) -> list[int]:
        """Return the roles of the jobs of a case's holders that these may have.

        Where some may not have all that a job brings along, there is a second role of the job for them, with what all
        of them may have.
        """
        found = []
        for part, core in self._parts(case):
            content = self.content_of(part, core)
            if content & ~case.within:
                content = self._reduced.get(part, content)
                self._job_of.setdefault(content, part[0])
            if not content & ~case.within:
                found.append(content)
        return found

    def reduce(self, cases: Iterable[Case]) -> None:
        """Find for each job what all of its holders may have that may not have its whole role, but its changes."""
        for case in cases:
            for part, core in self._parts(case):
                content = self.content_of(part, core)
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
            for part, core in self._parts(case):
                content = self.content_of(part, core)
                wanted[content] &= -1 if content & ~case.within else case.within
        changes = self.jobs.work.changes
        for content, within in sorted(wanted.items()):
            core = content & changes
            found = []
            for old in known:
                both = (old & core).bit_count()
                if 2 * both >= core.bit_count() and 2 * both >= (old & changes).bit_count() and not old & ~within:
                    found.append((-both, old))
            if found:
                self._adopted[content] = min(found)[1]

    def make(
        self, cases: Sequence[Case], part: Callable[[Case, Sequence[GrantUnit]], Case]
    ) -> Iterable[tuple[Case, tuple[NewContent, ...]]]:
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
            by_own: dict[tuple[int, int], list[GrantUnit]] = defaultdict(list)
            for unit in case.units:
                whole = own[unit.principal_id, unit.state] if split.rest else 0
                rest = split.rest if whole & ~case.within else whole
                used = self.jobs.work.used_by(unit.principal_id)
                # Work of the holder may have to stand beside a rest that nobody used: then holders differ by it.
                by_own[rest, 0 if not rest or self._has_use(rest, used) else used & case.within].append(unit)
            for (rest, _), units in by_own.items():
                here = case if len(by_own) == 1 else part(case, units)
                yield here, self._contents(here, split.jobs, add_ons, rest)

    def _contents(self, case: Case, jobs: Sequence[int], add_ons: Sequence[int], rest: int) -> tuple[NewContent, ...]:
        """Return the contents of a case, add-ons joined with the rest where there would be too many."""
        used = self._used(case)
        add_ons = [one if self._has_use(one, used) else one | self._brings(case, one) for one in add_ons]
        if rest and not self._has_use(rest, used):
            if add_ons and not self._changes(rest) and not jobs and not add_ons[0] & ~case.within:
                # Reads alone are no role: they stand beside the work that they come along with.
                rest, add_ons = rest | add_ons[0], add_ons[1:]
            else:
                jobs, rest = self._with_use(case, jobs, rest)
        room = case.most_roles - (1 if self._left(case, (*jobs, *add_ons, rest)) else 0)
        if len(jobs) + len(add_ons) + bool(rest) > room:
            whole = rest | union(add_ons)
            if not whole & ~case.within:
                add_ons, rest = (), whole
        if len(jobs) + len(add_ons) + bool(rest) > room and len(jobs) > 1:
            jobs, rest = jobs[:1], rest | union(jobs[1:]) & case.atoms
        adopted = set(self._adopted.values())
        return (
            *(self._content(one, is_adopted=one in adopted) for one in jobs),
            *(self._content(one, is_add_on=True, has_use=self._has_use(one, used)) for one in add_ons),
            *((self._content(rest, has_use=self._has_use(rest, used)),) if rest else ()),
        )

    def _has_use(self, atoms: int, used: int) -> bool:
        """Return whether something in a role was used.

        A pattern that does more than read stands for used operations that the catalogue lacks.
        """
        return bool(atoms & (used | self._changing))

    def _changes(self, atoms: int) -> int:
        """Return the part of some atoms that does more than read."""
        return atoms & ((1 << self.atoms.width) - 1 & ~self.jobs.work.index.reads | self._changing)

    def _with_use(self, case: Case, jobs: Sequence[int], rest: int) -> tuple[Sequence[int], int]:
        """Return contents in which what comes along with changes made elsewhere stands beside work of the holder.

        A role with nothing that was used would be none that a reviewer understands.
        """
        for one in jobs or self.offered(case):
            self._job_of.setdefault(rest | one, self._job_of.get(one, ""))
            return [other for other in jobs if other != one], rest | one
        own = self._used(case) & case.within
        return jobs, rest | (own & ~self._risky or self._brings(case, rest) or own)

    def _brings(self, case: Case, atoms: int) -> int:
        """Return the changes of the holder that bring along something of a set of atoms."""
        own = self._used(case) & case.within
        return self.atoms.book.index.mask_of_bits(bit for bit in bits_of(own) if self.companions(1 << bit, atoms))

    def _left(self, case: Case, contents: Iterable[int]) -> int:
        return case.atoms & ~union(map(self.atoms.granted, contents))

    def _content(
        self, atoms: int, *, is_add_on: bool = False, is_adopted: bool = False, has_use: bool = True
    ) -> NewContent:
        """Return a role for one case; what it is to the others that take it decides, too (`joined`)."""
        if atoms not in self._made:
            granted, job = self.atoms.granted(atoms), self._job_of.get(atoms, "")
            self._made[atoms] = NewContent(
                atoms, granted, self.atoms.operations(atoms), is_add_on, is_adopted, has_use, job
            )
        known = self._made[atoms]
        self._made[atoms] = replace(
            known,
            is_add_on=known.is_add_on and is_add_on,
            is_adopted=known.is_adopted or is_adopted,
            has_use=known.has_use or has_use,
        )
        return self._made[atoms]

    def joined(self, one: NewContent) -> NewContent:
        """Return a role as all cases together take it: one of them may use what another has as a companion only."""
        found = self._made[one.atoms]
        return replace(found, job="") if found.is_add_on else found

    def _used(self, case: Case) -> int:
        return union(self.jobs.work.used_by(holder) for holder in {unit.principal_id for unit in case.units})

    def _split(self, case: Case) -> _Split:
        columns = [one.atoms for one in case.existing]
        left = case.atoms
        if covers(left, columns, case.most_roles):
            return _Split()
        if _part_of(case):
            return _Split(rest=left) if left >> self.atoms.width else _Split(risky=left)
        jobs: list[int] = []
        free = union(columns)
        offered = self.offered(case)
        while hard := left & ~free:
            useful = [
                (-(one & hard & self.jobs.work.changes).bit_count(), -(one & hard).bit_count(), number)
                for number, one in enumerate(offered)
                if one & hard and one not in jobs
            ]
            if not useful or len(jobs) == case.most_roles:
                break
            jobs.append(offered[min(useful)[2]])
            left &= ~self.atoms.granted(jobs[-1])
        if case.key.is_single:
            return _Split(rest=case.atoms) if left else _Split(tuple(jobs))
        hard = left & ~free
        risky = hard & self._risky & self._used(case)
        risky |= self.companions(risky, hard) if risky else 0
        left &= ~risky
        if covers(left, columns, max(0, case.most_roles - len(jobs) - bool(risky))):
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
        index = self.jobs.work.index
        alike: dict[tuple[str, str, frozenset[Folded]], int] = defaultdict(int)
        beside: dict[frozenset[Folded], int] = defaultdict(int)
        for bit, their in users.items():
            kind = self.jobs.work.kind_of(bit) if worked >> bit & 1 else None
            if kind is None:
                beside[frozenset(their)] |= 1 << bit
            else:
                alike[index.keys[bit][1].split("/", 1)[0], kind, frozenset(their)] |= 1 << bit
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
    return "" if case.key.apart == JOINED else case.key.apart


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
