"""What a listing that is not complete is called, and what is said of it; `listings` finds those of an answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from rightsize.model.access_answers import ACCESS_LISTINGS, BY_NAME, ROLE_ASSIGNMENTS, SUBSCRIPTION

_ORDER = {one.name: place for place, one in enumerate(ACCESS_LISTINGS)}


@dataclass(frozen=True, slots=True)
class Lack:
    """A listing that is not complete.

    Attributes:
        listing: Its kind, as in the table `listings`.
        of: The folded scope, or the group or role, that it is of.
        why: Why it is not complete.
        command: The command that gets it; None where there is none.
    """

    listing: str
    of: str
    why: str
    command: str | None

    @property
    def text(self) -> str:
        """Return it as a sentence, with the command."""
        gets = f"; `{self.command}` gets it" if self.command else ""
        return f"{self.words} of `{self.of}`: {self.why}{gets}"

    @property
    def words(self) -> str:
        """Return what the listing has, for people."""
        kind = BY_NAME.get(self.listing)
        return kind.words if kind else self.listing

    @property
    def costs(self) -> str:
        """Return what is not known without it."""
        kind = BY_NAME.get(self.listing)
        return kind.costs if kind else ROLE_ASSIGNMENTS.costs

    def row(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def in_order(found: Iterable[Lack]) -> list[Lack]:
    """Return distinct lacks, those first that cost most."""
    return sorted(set(found), key=lambda one: (_ORDER.get(one.listing, len(_ORDER)), one.listing, one.of, one.why))


def sentence_of(found: Iterable[Lack], most: int = 3) -> str:
    """Return what is not known, as text: the first lacks, and the number of further ones."""
    every = in_order(found)
    more = f"; and {len(every) - most:,} more listings, which `rightsize status -v` names" if len(every) > most else ""
    return "; ".join(one.text for one in every[:most]) + more


def note_of(found: Iterable[Lack], unknown: str) -> list[str]:
    """Return the note that says what is unknown, and by which listings; none where every listing is complete."""
    every = in_order(found)
    return [f"{unknown}: {sentence_of(every)}"] if every else []


def of_subscription(found: Iterable[Lack], scope: str) -> list[Lack]:
    """Return the lacks that concern a folded subscription: its own, and all that are of no subscription."""
    return [
        one for one in found if not one.of.startswith(SUBSCRIPTION) or one.of == scope or one.of.startswith(f"{scope}/")
    ]
