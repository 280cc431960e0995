"""Define the tree of an expression, which is the same for ARM templates, Bicep and Terraform.

`code_bicep`, `code_hcl` and `expression_arm` make it out of text, and `expression_values` evaluates it.

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
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any

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
