"""Folding: the one way to compare ids, operations and scopes."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.model.text import fold


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        (" Microsoft.Network/virtualNetworks/read ", "microsoft.network/virtualnetworks/read"),
        ("\N{KELVIN SIGN}eys", "\N{KELVIN SIGN}eys"),
        ("\u0130D", "\u0130d"),
        ("\tA\n", "\ta\n"),
        ("A/", "a/"),
        ("", ""),
    ],
)
def test_only_ascii_letters_and_spaces_at_the_ends_fold(text: str, folded: str) -> None:
    """Unicode pairs stay apart, and so do tabs, line ends and slashes."""
    assert fold(text) == folded


@given(st.text())
def test_folding_is_what_sql_does(text: str) -> None:
    """Trimming and translating letter by letter, as the queries do; folding again changes nothing."""
    table = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
    assert fold(text) == text.strip(" ").translate(table) == fold(fold(text))
