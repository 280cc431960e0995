"""Prepare permission blocks for matching: parse their patterns, drop useless ones, separate planes, index literals.

A block of a plane grants the language `allowed` minus `nots`. Patterns that do not change this language are left out,
and blocks with the same not-patterns and the same condition are merged. Patterns are sorted, literals first, then by
text, so that answers do not depend on the order in a file.

It is not known whether `X/*/y` matches `X/y` (see `model.text`). One string has one meaning wherever it stands,
among actions or not-actions, and different strings are independent. So each choice of a meaning for every string is a
combination, and blocks are read in two ways: *most* is what some combination grants, *least* what every combination
grants.

* Some combination grants an operation if one block does with strict strings, but for the action that matches.
* For every combination, a looser form that one block has among its actions and another among its not-actions counts
  as well: strict, the second block grants what the form matches, generous, the first. `granted_by_all` decides it for
  one operation. Of all combinations by which no block grants the operation, it finds the one with the fewest strict
  strings, or that there is none: a block that would grant forces the actions that it would grant by to be strict.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple

from rightsize.model.nouns import GrantPlane, PermissionBlock
from rightsize.model.text import Pattern, loosened, parse_pattern


class Reading(Enum):
    """The two readings of `/*/`, which may stand for `/` or not, the same for one string wherever it stands."""

    MOST = "most"
    """What some combination of meanings grants: the most that may be granted."""
    LEAST = "least"
    """What every combination of meanings grants: the least, which is granted for certain."""


class PatternSet:
    """A union of patterns, with an index over its literals."""

    __slots__ = ("_heads", "literals", "patterns", "wild")

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        by_text = {pattern.text: pattern for pattern in sorted(patterns, key=lambda found: (found.text, found.spelt))}
        wild = [pattern for pattern in by_text.values() if not pattern.is_literal]
        self.wild = tuple(p for p in wild if not any(other is not p and other.matches(p.text) for other in wild))
        self._heads = tuple({pattern.pieces[0] for pattern in self.wild})
        self.literals: frozenset[str] = frozenset()
        literals = [pattern for pattern in by_text.values() if pattern.is_literal and not self.matches(pattern.text)]
        self.literals = frozenset(pattern.text for pattern in literals)
        self.patterns = (*literals, *self.wild)

    def matches(self, text: str) -> bool:
        """Return whether any pattern matches a folded operation, or all of another pattern, given by its text."""
        if text in self.literals:
            return True
        if not text.startswith(self._heads):
            return False
        for pattern in self.wild:  # noqa: SIM110  any() with a generator doubles the time of the innermost loop
            if pattern.matches(text):
                return True
        return False

    def with_forms(self, forms: Iterable[Loose]) -> PatternSet:
        """Return the union with the given looser forms; the same object if there are none."""
        added = [one.form for one in forms]
        return PatternSet((*self.patterns, *added)) if added else self


@dataclass(frozen=True, slots=True, order=True)
class Loose:
    """A looser form of a string, which it matches only if its `/*/` may stand for `/`, with the folded string."""

    source: str
    text: str
    form: Pattern = field(compare=False)


@dataclass(frozen=True, slots=True)
class PlaneBlock:
    """The language that one block grants on one plane, under its condition, by one reading."""

    condition: str | None
    allowed: PatternSet
    nots: PatternSet

    def grants(self, text: str) -> bool:
        """Return whether the block grants a folded operation, or a fresh instance of a pattern, given by its text."""
        return self.allowed.matches(text) and not self.nots.matches(text)


@dataclass(frozen=True)
class ReadBlock:
    """The patterns of one block on one plane, under its condition, for both readings.

    Attributes:
        condition: The condition inside the definition.
        allowed: The patterns that it grants if every `/*/` is strict.
        nots: The patterns that it excludes if every `/*/` is strict.
        loose: The forms that the generous reading adds to `allowed`, without those that `nots` exclude in any case.
        loose_nots: The forms that the generous reading adds to `nots`.
    """

    condition: str | None
    allowed: PatternSet
    nots: PatternSet
    loose: tuple[Loose, ...] = ()
    loose_nots: tuple[Loose, ...] = ()

    @cached_property
    def strict(self) -> PlaneBlock:
        """The block with every `/*/` strict."""
        return PlaneBlock(self.condition, self.allowed, self.nots)

    @cached_property
    def most(self) -> PlaneBlock:
        """The block by the reading `MOST`."""
        return PlaneBlock(self.condition, self.allowed.with_forms(self.loose), self.nots)

    @cached_property
    def least(self) -> PlaneBlock:
        """The block by the reading `LEAST`."""
        if not (self.loose or self.loose_nots):
            return self.most
        return PlaneBlock(self.condition, self.allowed, self.nots.with_forms(self.loose_nots))

    @cached_property
    def loose_sources(self) -> frozenset[str]:
        """The strings of `loose`."""
        return frozenset(one.source for one in self.loose)

    @cached_property
    def loose_not_sources(self) -> frozenset[str]:
        """The strings of `loose_nots`."""
        return frozenset(one.source for one in self.loose_nots)

    def by(self, reading: Reading) -> PlaneBlock:
        """Return the block alone by one reading."""
        return self.most if reading is Reading.MOST else self.least

    def granting(self, one: Loose | None) -> PlaneBlock:
        """Return the block with strict strings and one looser form of an action added; None adds none."""
        return PlaneBlock(self.condition, self.allowed.with_forms([one]), self.nots) if one else self.strict

    def meant(self, generous: frozenset[str], strict_nots: frozenset[str]) -> PlaneBlock:
        """Return the block with generous actions among some strings, and strict not-actions among others."""
        if generous.isdisjoint(self.loose_sources) and strict_nots.isdisjoint(self.loose_not_sources):
            return self.least
        forms = [one for one in self.loose if one.source in generous]
        cutting = [one for one in self.loose_nots if one.source not in strict_nots]
        return PlaneBlock(self.condition, self.allowed.with_forms(forms), self.nots.with_forms(cutting))

    def stakes(self, text: str) -> Stakes | None:
        """Return what the grant of a folded operation hangs on, or None if no combination grants it."""
        if self.nots.matches(text):
            return None
        by = frozenset(one.source for one in self.loose if one.form.matches(text))
        is_certain = self.allowed.matches(text)
        if not (by or is_certain):
            return None
        return Stakes(is_certain, by, frozenset(one.source for one in self.loose_nots if one.form.matches(text)))


class Stakes(NamedTuple):
    """What a block's grant of one operation hangs on.

    Attributes:
        is_certain: Whether an action matches it whatever `/*/` means.
        by: The actions that match it if they are generous.
        unless: The not-actions that exclude it if they are generous.
    """

    is_certain: bool
    by: frozenset[str]
    unless: frozenset[str]


def granted_by_all(found: Iterable[Stakes], generous: str | None = None, strict: frozenset[str] = frozenset()) -> bool:
    """Return whether by every combination of meanings some block grants an operation.

    Args:
        found: What the grant of each block hangs on.
        generous: A string that is generous in all combinations that count; None for none.
        strict: The strings that are strict in all combinations that count.
    """
    open_ones = [one for one in found if generous is None or generous not in one.unless]
    while True:
        granting = [one for one in open_ones if one.unless <= strict]
        if any(one.is_certain or generous in one.by for one in granting):
            return True
        forced = frozenset[str]().union(*(one.by for one in granting)) - strict
        if not forced:
            return False
        strict |= forced


class Usable:
    """The blocks of a role that count in a comparison with a block of another role.

    `forms` has the looser forms that a block has among its actions and another among its not-actions: which meaning of
    their strings grants less is not the same for all operations. Of every other string it is known: strict in actions,
    generous in not-actions.
    """

    __slots__ = ("_doubtful", "_least", "_sources", "blocks", "forms")

    def __init__(self, blocks: tuple[ReadBlock, ...]) -> None:
        self.blocks = blocks
        self._least = tuple(block.least for block in blocks)
        self._sources = frozenset[str]().union(*(block.loose_not_sources for block in blocks))
        self.forms = tuple(sorted({one for block in blocks for one in block.loose if one.source in self._sources}))
        self._doubtful = PatternSet(one.form for block in blocks for one in (*block.loose, *block.loose_nots))

    def may_grant(self, text: str) -> bool:
        """Return whether any reading grants a folded operation that not every reading grants."""
        return self._doubtful.matches(text) and any(block.most.grants(text) for block in self.blocks)

    def beside(self, other: ReadBlock, granting: Loose | None = None) -> tuple[PlaneBlock, ...]:
        """Return what the blocks grant by a combination by which another block grants the most, for `contains`.

        The strings of `forms` are generous where the other block does not settle them. All others have the meaning by
        which these blocks grant the least.

        Args:
            other: The other block; its not-actions are strict.
            granting: A looser form of one of its actions, whose string is generous; None for none.
        """
        if granting is None and not self.forms and self._sources.isdisjoint(other.loose_not_sources):
            return self._least
        open_ones = {one.source for one in self.forms} - other.loose_not_sources
        generous = frozenset(open_ones | ({granting.source} if granting else set()))
        return tuple(block.meant(generous, other.loose_not_sources) for block in self.blocks)

    def open_forms(self, other: ReadBlock, granting: Loose | None = None) -> list[Loose]:
        """Return the looser forms whose strings the other block does not settle."""
        settled = other.loose_not_sources | ({granting.source} if granting else set())
        return [one for one in self.forms if one.source not in settled]

    def grants_beside(self, text: str, other: ReadBlock, granting: Loose | None = None) -> bool:
        """Return whether the blocks grant a folded operation by every combination by which the other block does so.

        Args:
            text: The operation, which `other` grants with strict not-actions and strict actions, or by `granting`.
            other: The other block.
            granting: A looser form of one of its actions by which it grants the operation; None for none.
        """
        found = [one for block in self.blocks if (one := block.stakes(text)) is not None]
        return granted_by_all(found, granting.source if granting else None, other.loose_not_sources)


@dataclass(frozen=True, slots=True)
class Permissions:
    """The prepared blocks of one role, or of several together.

    `spelt_out` has, for each plane, the folded strings without a star, granted or excluded. They show the plane on
    which the role places an operation.
    """

    control: tuple[ReadBlock, ...]
    data: tuple[ReadBlock, ...]
    spelt_out: dict[GrantPlane, frozenset[str]] = field(compare=False)
    _usable: dict[tuple[str, str | None], Usable] = field(default_factory=dict, compare=False)

    def of_plane(self, plane: str) -> tuple[ReadBlock, ...]:
        """Return the blocks of a plane; planes other than control and data have none."""
        return self.control if plane == "control" else self.data if plane == "data" else ()

    def usable(self, plane: str, condition: str | None) -> Usable:
        """Return the blocks without a condition or with exactly the given one."""
        key = (plane, condition)
        if key not in self._usable:
            blocks = tuple(block for block in self.of_plane(plane) if block.condition in (None, condition))
            self._usable[key] = Usable(blocks)
        return self._usable[key]

    @property
    def depends_on_reading(self) -> bool:
        """True if the two readings may differ for some operation."""
        return any(block.loose or block.loose_nots for block in (*self.control, *self.data))

    def loose_forms(self, plane: str) -> set[Pattern]:
        """Return the patterns that cover all operations for which the two readings may differ."""
        return {one.form for block in self.of_plane(plane) for one in (*block.loose, *block.loose_nots)}


def is_granted(blocks: Sequence[ReadBlock], text: str, reading: Reading = Reading.MOST) -> bool:
    """Return whether blocks together grant a folded operation by a reading; conditions count as true."""
    if any(block.by(reading).grants(text) for block in blocks):
        return True
    if reading is Reading.MOST or not are_entangled(blocks):
        return False
    return granted_by_all(one for block in blocks if (one := block.stakes(text)) is not None)


def are_entangled(blocks: Iterable[ReadBlock]) -> bool:
    """Return whether a looser form stands among the actions of one block and the not-actions of another.

    Else the blocks together grant by the reading `LEAST` what each of them grants alone.
    """
    by, unless = set[str](), set[str]()
    for block in blocks:
        by |= block.loose_sources
        unless |= block.loose_not_sources
    return not by.isdisjoint(unless)


def answer_of(
    blocks: Sequence[ReadBlock], text: str, reading: Reading = Reading.MOST
) -> Literal["yes", "no", "conditional"]:
    """Return whether blocks grant a folded operation; `conditional` means that only blocks with a condition do."""
    if is_granted([block for block in blocks if block.condition is None], text, reading):
        return "yes"
    return "conditional" if is_granted(blocks, text, reading) else "no"


def read_permissions(blocks: Sequence[PermissionBlock] | Permissions) -> Permissions:
    """Return the blocks prepared for matching; recent results are cached."""
    return blocks if isinstance(blocks, Permissions) else _read(tuple(blocks))


@lru_cache(maxsize=4_096)
def _read(blocks: tuple[PermissionBlock, ...]) -> Permissions:
    control = [(block.condition, block.actions, block.not_actions) for block in blocks]
    data = [(block.condition, block.data_actions, block.not_data_actions) for block in blocks]
    return Permissions(
        _plane_blocks(control), _plane_blocks(data), {"control": _spelt_out(control), "data": _spelt_out(data)}
    )


def _spelt_out(blocks: Iterable[tuple[str | None, Sequence[str], Sequence[str]]]) -> frozenset[str]:
    texts = (text for _, allowed, nots in blocks for text in (*allowed, *nots))
    return frozenset(pattern.text for pattern in map(parse_pattern, texts) if pattern.is_literal)


def _plane_blocks(blocks: Iterable[tuple[str | None, Sequence[str], Sequence[str]]]) -> tuple[ReadBlock, ...]:
    merged: dict[tuple[str | None, tuple[str, ...], tuple[Loose, ...]], _Parts] = {}
    for condition_text, allowed_texts, not_texts in blocks:
        condition = (condition_text or "").strip() or None
        nots = PatternSet(map(parse_pattern, not_texts))
        # A string that is also among the not-actions of its block grants nothing, whatever it means.
        excluded = {pattern.text for pattern in map(parse_pattern, not_texts)}
        loose_nots = _loose(not_texts, nots)
        live = [pattern for pattern in map(parse_pattern, allowed_texts) if not nots.matches(pattern.text)]
        loose = [
            one
            for one in _loose(allowed_texts, PatternSet(live))
            if one.source not in excluded and not nots.matches(one.text)
        ]
        granted = [*live, *(one.form for one in loose)]
        cutting = PatternSet(pattern for pattern in nots.patterns if any(map(pattern.overlaps, granted)))
        loosely = tuple(one for one in loose_nots if any(map(one.form.overlaps, granted)))
        if granted:
            key = (condition, tuple(pattern.text for pattern in cutting.patterns), loosely)
            parts = merged.setdefault(key, _Parts(cutting))
            parts.live.extend(live)
            parts.loose.extend(loose)
    return tuple(
        ReadBlock(condition, PatternSet(parts.live), parts.nots, tuple(sorted(set(parts.loose))), loosely)
        for (condition, _, loosely), parts in sorted(merged.items(), key=lambda item: (item[0][0] or "", *item[0][1:]))
    )


@dataclass(slots=True)
class _Parts:
    nots: PatternSet
    live: list[Pattern] = field(default_factory=list)
    loose: list[Loose] = field(default_factory=list)


def _loose(texts: Iterable[str], strict: PatternSet) -> list[Loose]:
    """Return the looser forms of strings that the strict patterns do not match already, sorted."""
    patterns = {pattern.text: pattern for pattern in map(parse_pattern, texts)}
    forms = (Loose(text, form.text, form) for text, pattern in patterns.items() for form in loosened(pattern))
    return sorted(one for one in forms if not strict.matches(one.text))
