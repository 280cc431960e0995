"""Name roles and jobs by their purpose, such as `Web App Deployer`, and write the jobs as tables.

What a role is about follows from the operations that were used, or from all of them where none was: each weighs its
rank in `rules/role_words.csv`. The part of its holder follows from all operations, used or not: whoever may write or
delete is no Operator. What gives privilege, runs code or reads secrets is said after `with`, in the words of
`rules/risk_words.csv`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, TypeVar

import polars as pl

from rightsize.analyze.inputs import Inputs, schema_of
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.mining.bitsets import bits_of, mask_of, union
from rightsize.model.plan import Plan
from rightsize.model.tables import JOB_TABLES
from rightsize.model.text import Folded, is_read
from rightsize.propose.core.operation_sets import OperationIndex, index_operations
from rightsize.propose.jobs import Job, Jobs, find_jobs, read_work
from rightsize.propose.needs.assignments import read_bits
from rightsize.propose.needs.privileged import risky_changes
from rightsize.propose.selection.role_names import LONGEST, fitted, unique_names
from rightsize.rules.role_names import READER, RoleWords, risk_words_of, words_of

_Id = TypeVar("_Id", bound=str)

OperationKey = tuple[str, str]
"""(plane, operation or pattern)."""

EVERYTHING = "Platform"
"""The word for what a role is about if no two services carry most of its weight."""

_MOSTLY = 0.6
_SHARES = {1: _MOSTLY, 2: 0.66}
"""The share of the weight at which one resource, or two, stand for all."""
_BESIDE = 0.1
"""The share of the weight under which changes are beside the purpose of a role that reads."""
_DEPLOYS = 0.04
"""The share of deployments in the weight from which a role that changes resources deploys them."""
_SUPPORTS = 3
"""The highest rank of operations that only support other work."""
_LONGEST = 48
_LONGEST_VERBS = 24
_CONTRIBUTOR, _DEPLOYER, _EDITOR, _WRITER = "Contributor", "Deployer", "Editor", "Writer"
_REMOVER, _OPERATOR, _USER = "Remover", "Operator", "User"
_GENERIC = frozenset({_EDITOR, _WRITER, _OPERATOR, _USER, _CONTRIBUTOR, _REMOVER})
_WRITING = frozenset({_EDITOR, _WRITER, _CONTRIBUTOR, _DEPLOYER})
_MOST_WORDS = 2
"""The most words after `with` that are as exact as the rules have them; of more, each kind of risk has one."""
_KINDS = {"privilege": "Privilege", "code": "Code Execution", "secret": "Secrets"}
"""The kinds of risk that a name says, in their order, each with its general word; `Contributor` says deletes."""
_KEYS = "Keys"

_Level = Callable[[RoleWords], str]
_THING, _TOP, _SERVICE, _DETAIL, _VERB = map(attrgetter, ("thing", "top", "service", "detail", "verb"))
_STEPS: tuple[tuple[_Level, int], ...] = ((_THING, 1), (_TOP, 1), (_THING, 2), (_TOP, 2), (_SERVICE, 1), (_SERVICE, 2))
"""The levels at which a name is tried, each with the number of resources that it names."""


@dataclass(frozen=True, slots=True)
class RoleUse:
    """The operations and patterns of a role, those that were used, and those that are risky.

    Attributes:
        strings: The operations and patterns of the role.
        risky: The risky operations that it grants, each with its kind, as `needs.risky_changes` has them.
    """

    strings: tuple[OperationKey, ...]
    used: frozenset[OperationKey] = frozenset()
    risky: Mapping[OperationKey, str] = field(default_factory=dict)


def name_purposes(roles: Mapping[_Id, RoleUse]) -> dict[_Id, tuple[str, ...]]:
    """Return the possible names of each role's purpose, the best first; the others tell alike roles apart."""
    known = words_of(key for role in roles.values() for key in (*role.strings, *role.used))
    return {id_: tuple(dict.fromkeys(_purposes(role, known))) for id_, role in roles.items()}


def _purposes(role: RoleUse, known: Mapping[OperationKey, RoleWords]) -> Iterator[str]:
    weights: Counter[RoleWords] = Counter()
    for key in _telling(role, known):
        weights[known[key]] += known[key].rank
    working = _working(weights)
    agent, risks = _part_of(role, known, weights), _risks_of(role)

    deleted = {known[key] for key in role.strings if _verb(key[1]) == "delete" and known[key].agent != READER}

    def named(level: _Level, number: int, doing: str = "") -> str:
        things = [thing for thing, _ in _ranked(working, level)[:number]]
        services = {words.service for words in working if level(words) in things}
        beside = sorted({words.thing for words in deleted if words.service not in services})
        deletes = [f"{beside[0]} Deletes" if len(beside) == 1 else "Deletes"] if beside else []
        return _name(things, agent, (*risks, *deletes), doing)

    found = [named(*step) for step in _STEPS if _is_telling(working, *step)]
    first = found[0] if found else _name([EVERYTHING], agent, risks)
    yield first
    if agent != READER and any("*" in text and is_read(text) for _, text in role.strings):
        yield f"{first} and {READER}"
    # Alike roles that write differ in their resources, others in what their actions do. Risks are said anyway.
    said = {known[key].verb for key in role.risky if key in known}
    verbs = [verb for verb, _ in _ranked(working, _VERB) if verb and verb not in said]
    both = " and ".join(verbs[:2])
    doing = [named(_THING, 1, both if len(both) <= _LONGEST_VERBS else verbs[0])] if verbs else []
    details = [named(_DETAIL, 1), named(_DETAIL, 2)]
    yield from (*details, *doing) if agent in _WRITING else (*doing, *details)
    yield from found[1:]
    yield from (named(_THING, 2), named(_TOP, 2))
    for thing, _ in _ranked(working, _DETAIL)[2:]:
        yield _name([_ranked(working, _THING)[0][0], thing], agent, risks)
    yield from (name for thing in _elsewhere(role, known) if len(name := f"{first} for {thing}") <= LONGEST)


def _elsewhere(role: RoleUse, known: Mapping[OperationKey, RoleWords]) -> list[str]:
    """Return what a role may change of providers of which nothing was used, short words first; before it, of data."""
    used = {text.split("/", 1)[0].lower() for _, text in role.used}
    beside = {key for key in role.strings if not is_read(key[1]) and key[1].split("/", 1)[0].lower() not in used}
    things = {known[key].top for key in beside} - {""}
    data = ["Data"] * (len({plane for plane, _ in role.strings}) > 1)
    return [*data, *sorted(things, key=lambda thing: (len(thing), thing))]


def _telling(role: RoleUse, known: Mapping[OperationKey, RoleWords]) -> Iterable[OperationKey]:
    """Return the operations that say what a role is about: the used ones, if they are half of what it can change."""
    if not role.used:
        return role.strings
    strong = [key for key in role.strings if known[key].agent != READER and _verb(key[1]) in ("write", "delete", "*")]
    used = {(plane, text.lower()) for plane, text in role.used}
    unused = sum((plane, text.lower()) not in used for plane, text in strong)
    return role.used if 2 * unused <= len(strong) else {*role.strings, *role.used}


def _working(weights: Mapping[RoleWords, int]) -> dict[RoleWords, int]:
    """Return the weights without reads, unless reading is what a role is for."""
    changes = {words: weight for words, weight in weights.items() if words.agent != READER}
    return changes if sum(changes.values()) >= _BESIDE * sum(weights.values()) > 0 else dict(weights)


def _part_of(role: RoleUse, known: Mapping[OperationKey, RoleWords], weights: Mapping[RoleWords, int]) -> str:
    """Return the part of the holder: the most that the operations of a role let it do."""
    acting = [key for key in role.strings if known[key].agent != READER]
    changes = [key for key in acting if not is_read(key[1])]
    if not changes:
        return _only(known[key].agent for key in acting) or READER
    heavy = [key for key in changes if known[key].rank > _SUPPORTS] or changes
    parts = {known[key].agent for key in heavy}
    # A pattern that only supports other work, such as that for support requests, says nothing of it.
    telling = [key for key in changes if key in heavy or not key[1].endswith("*")]
    writes = [key for key in telling if _verb(key[1]) in ("write", "*")]
    deletes = [key for key in telling if _verb(key[1]) in ("delete", "*")]
    if deletes:
        return (_only(parts) or _REMOVER) if set(telling) == set(deletes) != set(writes) else _wide(parts)
    if writes:
        # A word for a single thing, such as that for pushes of images, is about what names the role.
        about = {words.agent for words in weights}
        if _deploys(weights) and (parts & {_EDITOR, _WRITER, _DEPLOYER} or parts.isdisjoint(about)):
            return _DEPLOYER
        only = _only(known[key].agent for key in [one for one in writes if one in heavy] or writes)
        if only in about - _GENERIC:
            return only
        return _WRITER if all(plane == "data" for plane, _ in writes) else _EDITOR
    return _only(parts) or _mixed(parts, {plane for plane, _ in heavy})


def _verb(text: str) -> str:
    """Return `write`, `delete`, `*` or another last word of an operation; a purge deletes."""
    *before, last = text.lower().split("/")
    return "delete" if last == "action" and before and before[-1] in ("delete", "purge") else last


def _only(parts: Iterable[str]) -> str:
    """Return the part that all operations have, or an empty text."""
    found = set(parts)
    return found.pop() if len(found) == 1 else ""


def _wide(parts: set[str]) -> str:
    """Return the part of who writes and deletes: a rule may have a word for both."""
    only = _only(parts)
    return only if only and only not in _GENERIC else _CONTRIBUTOR


def _mixed(parts: set[str], planes: set[str]) -> str:
    """Return the part of who does several things without writing: `Key Operator` says `Key Reader`, too."""
    for part in sorted(parts):
        if part.endswith(f" {_OPERATOR}") and all(part.split()[0] == other.split()[0] for other in parts):
            return part
    return _USER if planes == {"data"} else _OPERATOR


def _deploys(weights: Mapping[RoleWords, int]) -> bool:
    """Return whether deployments have enough of the weight, which is low for what supports other work."""
    deployed = sum(weight for words, weight in weights.items() if words.agent == _DEPLOYER)
    return deployed >= _DEPLOYS * sum(weights.values()) > 0


def _risks_of(role: RoleUse) -> tuple[str, ...]:
    """Return the words for what gives privilege, runs code and reads secrets, in this order."""
    words = risk_words_of((kind, *key) for key, kind in role.risky.items())
    by_kind: dict[str, set[str]] = {kind: set() for kind in _KINDS}
    for key, kind in role.risky.items():
        if kind in _KINDS:
            by_kind[kind].add(words[kind, *key] or _KINDS[kind])
    if sum(map(len, by_kind.values())) <= _MOST_WORDS:
        return tuple(word for those in by_kind.values() for word in sorted(those))
    # Keys open everything.
    return tuple(_KEYS if _KEYS in those else _only(those) or _KINDS[kind] for kind, those in by_kind.items() if those)


def _is_telling(weights: Mapping[RoleWords, int], level: _Level, number: int) -> bool:
    """Return whether the heaviest resources carry enough of the weight to stand for all."""
    ranked = _ranked(weights, level)[:number]
    return len(ranked) == number and sum(weight for _, weight in ranked) >= _SHARES[number] * sum(weights.values())


def _name(things: Iterable[str], agent: str, risks: Iterable[str], doing: str = "") -> str:
    """Return the name of what a role is about, its holder's part, and what it can do beside that."""
    about = _about(things, agent)
    beside = [word for word in risks if not _says(about, agent, word)]
    agent = f"{doing} {agent}".strip()
    rest = f" with {' and '.join(beside)}" if beside else ""
    if about == agent or about.endswith(f" {agent}"):
        about = about.removesuffix(agent).strip()
    about = fitted(about, LONGEST - len(agent) - len(rest) - 1)
    return f"{about} {agent}{rest}".strip()


def _says(about: str, agent: str, word: str) -> bool:
    """Return whether the other words of a name say a risk: `Key Reader` says keys."""
    stem = word.removesuffix("s")
    return stem in agent or any(thing.endswith(stem) for thing in about.split(" and "))


def _ranked(weights: Mapping[RoleWords, int], level: _Level) -> list[tuple[str, int]]:
    sums: dict[str, int] = defaultdict(int)
    for words, weight in weights.items():
        sums[level(words)] += weight
    return sorted(sums.items(), key=lambda item: (-item[1], item[0]))


def _about(things: Iterable[str], agent: str) -> str:
    """Return the words for what a role is about, without a word that says nothing more."""
    chosen = list(dict.fromkeys(things))
    if len(chosen) > 1:
        shorter = min(chosen, key=len)
        if all(thing == shorter or thing.startswith(f"{shorter} ") for thing in chosen):
            chosen = [shorter]
    if len(chosen) > 1 and len(" and ".join(chosen)) + len(agent) >= _LONGEST:
        chosen.pop()
    return " and ".join(chosen)


@dataclass(frozen=True, slots=True)
class JobTables:
    """The jobs as frames with the columns of the tables of these names.

    Attributes:
        jobs: The jobs, those with the most holders first.
        operations: Their operations, in the order of the jobs; those that most holders used come first.
        holders: Their holders, in the order of the jobs, by id.
    """

    jobs: pl.DataFrame
    operations: pl.DataFrame
    holders: pl.DataFrame

    def named(self) -> dict[str, pl.DataFrame]:
        """Return the frames by the names of the tables."""
        return dict(zip(JOB_TABLES, (self.jobs, self.operations, self.holders), strict=True))


def read_jobs(inputs: Inputs, analysis: Analysis) -> Jobs:
    """Return the jobs that a plan of the same tables and verdicts finds."""
    tenant = analysis.tenant
    index = index_operations(tenant.operations, inputs.role_operations)
    uses = read_bits(inputs, analysis, index)
    return find_jobs(read_work(uses, inputs, risky_changes(tenant.operations, index), index))


def roles_of_jobs(plan: Plan) -> dict[str, tuple[str, str]]:
    """Return id and name of the new role for each job that has one: of several that which is assigned most often."""
    assigned = Counter(one.role for proposal in plan.proposals for one in proposal.assignments)
    new = ((one.job, one.definition.role_definition_id, one.definition.role_name) for one in plan.roles if one.job)
    ranked = sorted((job, -assigned[role], role, name) for job, role, name in new if assigned[role])
    return {job: (role, name) for job, _, role, name in reversed(ranked)}


def name_jobs(jobs: Jobs) -> dict[str, str]:
    """Return the name of each job by its key: the purpose of a role that has its changes.

    Only what most of those use who use the most common of its changes tells it: an odd end does not name a job.
    """
    if jobs.names:
        return jobs.names
    index, used = jobs.work.index, jobs.work.of_worker
    uses: dict[str, RoleUse] = {}
    for job in jobs.found:
        mask = job.core or job.changes
        users = {index.names[bit]: sum(used[who] >> bit & 1 for who in job.workers) for bit in bits_of(mask)}
        most = max(users.values(), default=0)
        usual = frozenset(key for key, number in users.items() if 2 * number >= most)
        risky = {index.names[bit]: kind for bit in bits_of(mask) if (kind := jobs.work.kind_of(bit))}
        uses[job.key] = RoleUse(tuple(users), usual, risky)
    wanted = {Folded(key): names for key, names in name_purposes(uses).items()}
    jobs.names.update((str(key), name) for key, name in unique_names(wanted, ()).items())
    return jobs.names


def job_tables(jobs: Jobs, roles: Mapping[str, tuple[str, str]]) -> JobTables:
    """Return the tables of the jobs of a tenant.

    Args:
        jobs: The jobs.
        roles: As `roles_of_jobs` returns them.
    """
    names = name_jobs(jobs)
    ordered = sorted(jobs.found, key=lambda job: (-len(job.workers), names[job.key], job.key))
    of_worker = {who: jobs.of(used) for who, used in jobs.work.of_worker.items()}
    rows = {name: list[dict[str, Any]]() for name in JOB_TABLES}
    for job in ordered:
        operations = list(_operations(job, jobs))
        role, role_name = roles.get(job.key, (None, None))
        rows["jobs"].append(
            {
                "job": job.key,
                "name": names[job.key],
                "role": role,
                "holder_count": len(job.workers),
                "operation_count": len(operations),
                "role_name": role_name,
            }
        )
        rows["job_operations"] += operations
        rows["job_holders"] += _holders(job, jobs, of_worker)
    return JobTables(*(pl.DataFrame(rows[name], schema=schema_of(name), orient="row") for name in JOB_TABLES))


def _operations(job: Job, jobs: Jobs) -> Iterable[dict[str, Any]]:
    index, used, whole = jobs.work.index, jobs.work.of_worker, len(job.workers)
    rows = []
    for bit in bits_of(_all_of(job)):
        users = sum(used[who] >> bit & 1 for who in job.workers)
        plane, operation = index.names[bit]
        rows.append(
            {
                "job": job.key,
                "operation": operation,
                "plane": plane,
                "used_by": users,
                "share": users / whole,
                "done_by": "all" if users == whole else "most" if 2 * users >= whole else "few",
                "is_in_role": bool(job.core >> bit & 1),
            }
        )
    return sorted(rows, key=lambda row: (-row["used_by"], row["operation"], row["plane"]))


def _holders(job: Job, jobs: Jobs, of_worker: Mapping[Folded, tuple[Job, ...]]) -> Iterable[dict[str, Any]]:
    work = jobs.work
    seen = Counter(bit for who in job.workers for bit in bits_of(work.of_worker[who]))
    single = mask_of(bit for bit, number in seen.items() if number == 1)
    for who in sorted(job.workers):
        used = work.of_worker[who]
        others = union(_all_of(other) for other in of_worker[who] if other.key != job.key)
        through = work.through.get(who, {})
        yield {
            "job": job.key,
            "principal_id": who,
            "groups": sorted(group for group, mask in through.items() if mask & _all_of(job)),
            "used_operations": (used & _all_of(job)).bit_count(),
            "own_operations": _named(used & ~others & ~_all_of(job), work.index),
            "alone_operations": _named(used & single & ~others, work.index),
        }


def _all_of(job: Job) -> int:
    return job.core | job.changes


def _named(mask: int, index: OperationIndex) -> list[str]:
    return sorted({operation for _, operation in index.members(mask)})
