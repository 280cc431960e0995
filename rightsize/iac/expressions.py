"""Define the tree of an expression and where it is evaluated, the same for ARM, Bicep and Terraform.

`bicep_syntax`, `hcl_syntax` and `arm` make it out of text, and `evaluation` evaluates it.

| kind | parts |
|---|---|
| `value` | a value of JSON |
| `name` | a name |
| `template` | the expressions whose texts it joins |
| `member`, `index` | what it is taken from, the name or the place, and whether nothing may be there |
| `splat` | a list, and what is taken from each `item` |
| `unary`, `binary` | the operator, and one or two expressions |
| `if` | the condition, and both sides |
| `list` | pairs: whether the item is spread, and the item |
| `object` | pairs of a key, which is None where the value is spread, and a value |
| `for` | names, what it goes over, the key or None, the item, the condition or None, and whether keys are grouped |
| `call` | the name, the arguments, and whether the last one is spread |
| `lambda` | names, and the body |
| `same` | the expression in brackets |
| `unread` | none: a form whose value is unknown |

A condition that the file does not decide, since a parameter or a deployment does, counts as both: the evaluation is
repeated with each side of it (`Work.each_side`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, TypeVar

from rightsize.model.errors import InputError

DEEPEST = 60
"""The most expressions within one another, so that no text exhausts the stack."""


class Language(Enum):
    """The language of an expression."""

    ARM = "arm"
    BICEP = "bicep"
    TERRAFORM = "terraform"


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression.

    Attributes:
        kind: One of the kinds of the table above.
        parts: Its parts; what they are depends on the kind.
        text: The text that it was read from.
        start: The byte of the file that it starts at; 0 where it is made here, as in a template in JSON.
        end: The byte after it.
    """

    kind: str
    parts: tuple[Any, ...]
    text: str
    start: int = 0
    end: int = 0


class Written(str):
    """A text that stands in a file; evaluation hands it on, so that a value knows where it was written.

    Attributes:
        file: The path of the file.
        start: The byte that it starts at, with its quotes.
        end: The byte after it.
    """

    file: str
    start: int
    end: int

    @classmethod
    def at(cls, text: str, file: str, start: int, end: int) -> str:
        """Return a text with its place; without one where the file has no path."""
        if not file:
            return text
        made = cls(text)
        made.file, made.start, made.end = file, start, end
        return made


class Nesting:
    """Counts expressions within one another."""

    def __init__(self) -> None:
        self.depth = 0

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """Count one more expression around the next one; raise InputError where they are too many."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise InputError("an expression is nested deeper than any template needs")
        try:
            yield
        finally:
            self.depth -= 1


STEPS = 1_000_000
"""The most steps of the evaluation of a file: no template of roles needs a hundredth."""
MOST_SIDES = 512
"""The most combinations of undecided conditions that the roles of one statement are read with."""


Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that only a deployment knows.

    Attributes:
        cause: The innermost expression without a value.
        shown: What stands for it in a name.
        is_missing: Whether there is no such member, so that `try` goes on.
    """

    cause: str
    shown: str
    is_missing: bool = False


@dataclass(frozen=True, slots=True)
class Names:
    """Values that are looked up by name, such as `var` and `local` of Terraform."""

    read: Callable[[str], object]


@dataclass(slots=True)
class Work:
    """The steps that are left for a file, the present depth of nesting, and the sides of undecided conditions.

    Attributes:
        steps: The steps left.
        depth: The expressions around the present one.
        sides: The side of each undecided condition so far, and whether it is the second one looked at; None where a
            condition has the value that the defaults of parameters give it.
        turn: The number of the present combination of sides: a value is kept for one of them.
    """

    steps: int = STEPS
    depth: int = 0
    sides: dict[str, tuple[bool, bool]] | None = None
    turn: int = 0

    def side(self, condition: Node, cause: str, by_default: bool) -> bool:
        """Return the present side of a condition that the file does not decide; the one by default comes first."""
        if self.sides is None:
            return by_default
        condition, is_negated = _without_not(condition)
        first, _ = self.sides.setdefault(f"{condition.text} {cause}", (by_default is not is_negated, False))
        return first is not is_negated

    def each_side(self, make: Callable[[], Made]) -> Iterator[Made]:
        """Yield what is made with each combination of the sides of undecided conditions, that by default first.

        Raises:
            InputError: There are too many combinations.
        """
        sides: dict[str, tuple[bool, bool]] = {}
        for _ in range(MOST_SIDES):
            self.turn += 1
            self.sides = sides
            try:
                made = make()
            finally:
                self.sides = None
            yield made
            while sides and next(reversed(sides.values()))[1]:
                sides.popitem()
            if not sides:
                return
            key, (first, _) = sides.popitem()
            sides[key] = (not first, True)
        raise InputError(f"more than {MOST_SIDES} combinations of conditions decide what a role grants")

    @contextmanager
    def by_default(self) -> Iterator[None]:
        """Give each condition the value that the defaults of parameters give it, until the end of the block."""
        sides, turn = self.sides, self.turn
        self.sides, self.turn = None, 0
        try:
            yield
        finally:
            self.sides, self.turn = sides, turn


def _without_not(condition: Node) -> tuple[Node, bool]:
    """Return a condition without brackets and negations around it, and whether they negate it."""
    is_negated = False
    while True:
        if condition.kind == "same":
            condition = condition.parts[0]
        elif condition.kind == "unary" and condition.parts[0] == "!":
            condition, is_negated = condition.parts[1], not is_negated
        elif condition.kind == "call" and condition.parts[0].lower() == "not" and len(condition.parts[1]) == 1:
            condition, is_negated = condition.parts[1][0], not is_negated
        else:
            return condition, is_negated


@dataclass(slots=True)
class Evaluated:
    """Values by name, each of which is evaluated once for each combination of sides."""

    known: dict[tuple[int, str], object] = field(default_factory=dict)
    open: set[tuple[int, str]] = field(default_factory=set)

    def once(self, key: str, work: Work, read: Callable[[], object]) -> object:
        """Return a known value, or read it; raise InputError where it refers to itself."""
        place = (work.turn, key)
        if place in self.open:
            raise InputError(f"`{key}` refers to itself")
        if place not in self.known:
            self.open.add(place)
            try:
                self.known[place] = read()
            finally:
                self.open.discard(place)
        return self.known[place]


Functions = Mapping[str, Callable[..., object]]


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an expression stands: the names and functions that it may use.

    Attributes:
        language: Its language.
        look_up: Returns the value of a name, `Unknown` where there is none.
        functions: The functions by name, in lower case where the language ignores case.
        structural: The names of functions that take lists with unknown members.
        work: The work left; shared by all scopes of a file.
        names: The names of loops around it.
        certain: The same with parameters unknown, which tells whether the file decides a condition; None if it is that.
    """

    language: Language
    look_up: Callable[[str], object]
    functions: Functions
    structural: frozenset[str]
    work: Work = field(default_factory=Work)
    names: Mapping[str, object] = field(default_factory=dict)
    certain: Scope | None = None

    def within(self, names: Mapping[str, object]) -> Scope:
        """Return the scope inside a loop."""
        certain = self.certain.within(names) if self.certain else None
        return replace(self, names={**self.names, **names}, certain=certain)
