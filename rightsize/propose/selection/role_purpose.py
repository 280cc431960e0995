"""Derive the purpose of a role, such as `Web App Deployer`, from the use of its operations.

A day of use of an operation weighs its rank in `rules/role_words.csv`. Where nothing was observed, each operation and
pattern that the role keeps weighs its rank once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter

from rightsize.propose.core.read_patterns import is_read
from rightsize.rules.role_words import READER, RoleWords, words_of

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
_LONGEST = 48
_READ_ANYWAY = ("Contributor", "Editor", "Writer", "Remover", "Operator", "User")
"""The parts of which everybody assumes that they read, too."""
_CHANGES = ("Editor", "Writer", "Remover")
_CONTRIBUTOR, _DEPLOYER, _OPERATOR, _USER = "Contributor", "Deployer", "Operator", "User"

Level = Callable[[RoleWords], str]
_LEVELS: tuple[Level, ...] = (attrgetter("thing"), attrgetter("top"), attrgetter("service"))
_STEPS = (
    *((level, 1) for level in _LEVELS[:2]),
    *((level, 2) for level in _LEVELS[:2]),
    (_LEVELS[2], 1),
    (_LEVELS[2], 2),
)
"""The levels at which a name is tried, each with the number of resources that it names."""


@dataclass(frozen=True, slots=True)
class RoleUse:
    """The operations and patterns of a role, and the days on which the operations were used.

    Attributes:
        strings: The operations and patterns of the role.
        days: The days with use as `days_of` counts them, by operation; only operations that were used.
    """

    strings: tuple[OperationKey, ...]
    days: Mapping[OperationKey, int]


def days_of(days: int, calls: int) -> int:
    """Return the days with use as hundredths, and the calls below one of them: of equal days more calls count."""
    return 100 * days + min(calls, 99)


def name_purposes(roles: Mapping[str, RoleUse]) -> dict[str, tuple[str, ...]]:
    """Return the possible names of each role's purpose, the best first; the others tell alike roles apart."""
    known = words_of(key for role in roles.values() for key in (*role.strings, *role.days))
    return {id_: tuple(dict.fromkeys(_purposes(role, known))) for id_, role in roles.items()}


def _purposes(role: RoleUse, known: Mapping[OperationKey, RoleWords]) -> Iterator[str]:
    weights: Counter[RoleWords] = Counter()
    for key, days in role.days.items():
        weights[known[key]] += days * known[key].rank
    if not weights:
        for key in role.strings:
            weights[known[key]] += known[key].rank
    named = _Named(
        reads_only=all(known[key].agent == READER or is_read(key[1]) for key in role.strings),
        reads_most=not role.days and _share_of_changes(weights) < _MOSTLY,
        deploys=_deploys(weights),
    )
    working = weights if named.reads_most else _working(weights)
    found = [name for level, number in _STEPS if (name := named.by_share(working, level, number))]
    yield found[0] if found else f"{EVERYTHING} {named.agent(working)}"
    # Alike roles differ in what their actions do, or in the resource that comes second.
    if found and found[0].endswith(f" {_OPERATOR}"):
        verbs = [verb for verb, _ in _ranked(working, attrgetter("verb")) if verb]
        yield f"{found[0].removesuffix(f' {_OPERATOR}')} {' and '.join(verbs[:2])} {_OPERATOR}"
    yield from (named.by_first(working, attrgetter("detail"), number) for number in (1, 2))
    yield from found[1:]
    for level in _LEVELS[:2]:
        yield named.by_first(working, level, 2)


def _working(weights: Mapping[RoleWords, int]) -> dict[RoleWords, int]:
    """Return the weights without reads, unless reading is what a role is for."""
    changes = {words: weight for words, weight in weights.items() if words.agent != READER}
    return changes if changes and _share_of_changes(weights) >= _BESIDE else dict(weights)


def _share_of_changes(weights: Mapping[RoleWords, int]) -> float:
    changes = sum(weight for words, weight in weights.items() if words.agent != READER)
    return changes / max(1, sum(weights.values()))


def _deploys(weights: Mapping[RoleWords, int]) -> bool:
    """Return whether deployments have enough of the weight, which is low for what supports other work."""
    deployed = sum(weight for words, weight in weights.items() if words.agent == _DEPLOYER)
    return deployed >= _DEPLOYS * sum(weights.values()) > 0


@dataclass(frozen=True, slots=True)
class _Named:
    """Names a role by a part of its weights.

    Attributes:
        reads_only: Whether all that the role holds are reads.
        reads_most: Whether nothing was observed, and most of what is kept are reads.
        deploys: Whether it deploys what it changes.
    """

    reads_only: bool
    reads_most: bool
    deploys: bool

    def by_share(self, weights: Mapping[RoleWords, int], level: Level, number: int) -> str:
        """Return the name by the heaviest resources, if they carry enough of the weight; else an empty text."""
        ranked = _ranked(weights, level)[:number]
        enough = sum(weight for _, weight in ranked) >= _SHARES[number] * sum(weights.values())
        return self.by_first(weights, level, number) if enough and len(ranked) == number else ""

    def by_first(self, weights: Mapping[RoleWords, int], level: Level, number: int) -> str:
        """Return the name by the heaviest resources, whatever they carry."""
        chosen = [thing for thing, _ in _ranked(weights, level)[:number]]
        return _joined(chosen, self.agent({words: n for words, n in weights.items() if level(words) in chosen}))

    def agent(self, weights: Mapping[RoleWords, int]) -> str:
        """Return the part of the holder."""
        changes = {words: weight for words, weight in weights.items() if words.agent != READER}
        if not changes:
            return READER if self.reads_only else _USER
        if self.reads_most:
            agent = _agent(changes)
            return agent if agent in _READ_ANYWAY else f"{READER} and {agent}"
        agent = _agent(weights)
        if agent in (_CONTRIBUTOR, "Editor") and self.deploys:
            return _DEPLOYER
        return _USER if agent == READER and not self.reads_only else agent


def _agent(weights: Mapping[RoleWords, int]) -> str:
    """Return the part of the heaviest operations, or `Contributor` where several kinds of change mix."""
    sums: Counter[str] = Counter()
    for words, weight in weights.items():
        sums[words.agent] += weight
    whole = sum(sums.values())
    if sums["Remover"] and (sums["Editor"] or sums["Writer"]):
        sums[_CONTRIBUTOR] += sum(sums.pop(word, 0) for word in _CHANGES)
    first, weight = min(sums.items(), key=lambda item: (-item[1], item[0]))
    mixes = weight < _MOSTLY * whole and any(sums[word] for word in (*_CHANGES, _CONTRIBUTOR))
    return _CONTRIBUTOR if mixes else first


def _ranked(weights: Mapping[RoleWords, int], level: Callable[[RoleWords], str]) -> list[tuple[str, int]]:
    sums: dict[str, int] = defaultdict(int)
    for words, weight in weights.items():
        sums[level(words)] += weight
    return sorted(sums.items(), key=lambda item: (-item[1], item[0]))


def _joined(things: Iterable[str], agent: str) -> str:
    """Return the name of what a role is about and its holder's part, without a word that says nothing more."""
    chosen = list(things)
    if len(chosen) > 1:
        first, second = chosen
        shorter = min(chosen, key=len)
        same = all(thing == shorter or thing.startswith(f"{shorter} ") for thing in chosen)
        chosen = [shorter] if same else [first, second]
    if len(chosen) > 1 and len(" and ".join(chosen)) + len(agent) >= _LONGEST:
        chosen.pop()
    about = " and ".join(chosen)
    return about if about.endswith(f" {agent}") else f"{about} {agent}"
