"""Choose a readable example operation for a difference between roles: one that looks like Azure's if possible.

The algebra finds a pattern whose fresh instances are all witnesses: a `*` in it may be any character that no pattern
names. Words of Azure are tried in its place first, and each try is checked. A character that no pattern names always
gives a witness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from rightsize.rbac.patterns import STAR, Pattern
from rightsize.rbac.permissions import GrantPlane
from rightsize.rbac.text import fold

_WHOLE: dict[GrantPlane, tuple[str, ...]] = {
    "control": (
        "Microsoft.Compute/virtualMachines/write",
        "Microsoft.Storage/storageAccounts/listKeys/action",
        "Microsoft.Resources/deployments/read",
    ),
    "data": (
        "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read",
        "Microsoft.KeyVault/vaults/secrets/getSecret/action",
    ),
}
_FIRST = ("Microsoft.Compute/virtualMachines", "Microsoft.Resources/deployments", "Microsoft.Network/virtualNetworks")
_VERBS = ("write", "read", "delete", "start/action")
_FRESH = "xzqjkvwy0123456789_-"


def name_instance(
    pattern: Pattern, plane: GrantPlane, is_witness: Callable[[str], bool], named_by: Callable[[], Iterable[Pattern]]
) -> str:
    """Return an instance of a pattern that is a witness.

    Args:
        pattern: The pattern that the algebra found.
        plane: Its plane.
        is_witness: A test whether a folded operation is a witness.
        named_by: Returns all patterns of both sides; called only if no word fits.
    """
    if pattern.is_literal:
        return pattern.spelt
    parts = pattern.spelt.split(STAR)
    for word_set in _word_sets(parts, plane):
        text = _fill(parts, word_set)
        if is_witness(fold(text)):
            return text
    used = {character for other in named_by() for character in other.text}
    candidates = chain(_FRESH, map(chr, range(0xA1, 0x110000)))
    fresh: str = next(character for character in candidates if character not in used)
    return fresh.join(parts)


def _word_sets(parts: list[str], plane: GrantPlane) -> Iterator[list[str]]:
    choices = [_words(parts[index], parts[index + 1], plane, index == 0) for index in range(len(parts) - 1)]
    for turn in range(max(map(len, choices))):
        yield [words[min(turn, len(words) - 1)] for words in choices]


def _words(before: str, after: str, plane: GrantPlane, is_first: bool) -> tuple[str, ...]:
    if is_first and not before:
        return _FIRST if after else _WHOLE[plane]
    if not after and before.endswith("/"):
        return _VERBS if before.count("/") > 1 else tuple(f"resources/{verb}" for verb in _VERBS)
    return ("resources",)


def _fill(parts: list[str], words: list[str]) -> str:
    return parts[0] + "".join(word + part for word, part in zip(words, parts[1:], strict=True))
