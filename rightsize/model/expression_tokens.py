"""Scan the words and signs of expressions of ARM templates, Bicep and Terraform, past spaces and comments."""

from __future__ import annotations

import re
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
        kind: What it is, such as `call`.
        parts: Its parts; what they are depends on the kind.
        text: The text that it was read from.
    """

    kind: str
    parts: tuple[Any, ...]
    text: str


_SPACE = re.compile(r"(?:[ \t\r\n\f\ufeff]|//[^\n]*|\#(?:disable|restore)-[^\n]*|/\*.*?\*/)+", re.DOTALL)
_SPACE_HASH = re.compile(r"(?:[ \t\r\n\f\ufeff]|(?://|#)[^\n]*|/\*.*?\*/)+", re.DOTALL)
_INLINE = re.compile(r"(?:[ \t\r]|/\*.*?\*/)+", re.DOTALL)
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAME_DASHED = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class Scanner:
    """Reads words and signs from a place of a text on."""

    def __init__(self, text: str, language: Language, place: int = 0) -> None:
        self.text = text
        self.language = language
        self.place = place
        self.depth = 0
        self.lines_are_spaces = True
        """Whether a line break counts as a space here, so that it ends no item and no statement."""
        self._spaces = _SPACE_HASH if language is Language.TERRAFORM else _SPACE
        self._names = _NAME_DASHED if language is Language.TERRAFORM else _NAME

    def error(self) -> InputError:
        """Return the error that the text at this place is not understood."""
        line = self.text.count("\n", 0, self.place) + 1
        near = self.text[self.place : self.place + 40].split("\n")[0]
        said = f"before `{near}`" if near else "at its end"
        return InputError(f"cannot read an expression in line {line} {said}")

    def space(self, *, lines: bool = True) -> None:
        """Skip spaces and comments, with or without line breaks."""
        found = (self._spaces if lines else _INLINE).match(self.text, self.place)
        self.place = found.end() if found else self.place

    def take(self, *tokens: str, lines: bool = True) -> str | None:
        """Skip spaces, take the first of the tokens that stands there, and return it; else None, at the old place."""
        start = self.place
        self.space(lines=lines)
        for token in tokens:
            if self.text.startswith(token, self.place):
                self.place += len(token)
                return token
        self.place = start
        return None

    def need(self, *tokens: str) -> str:
        """Take one of the tokens, or raise InputError."""
        found = self.take(*tokens)
        if found is None:
            raise self.error()
        return found

    def name(self) -> str | None:
        """Take a name, and return it; else None, at the old place."""
        start = self.place
        self.space()
        found = self._names.match(self.text, self.place)
        self.place = found.end() if found else start
        return found[0] if found else None

    def word(self, word: str) -> bool:
        """Take a given word, if it stands there."""
        start = self.place
        if self.name() == word:
            return True
        self.place = start
        return False
