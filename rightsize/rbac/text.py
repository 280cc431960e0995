"""The one folding of text in the project: ids, operations, patterns and scopes compare by it.

Azure compares them without regard to case. Only ASCII letters are folded: Unicode has pairs such as the Kelvin sign and
`k` that Azure keeps apart, and a fold that joined them would call two permissions one. The same in SQL is
`translate(trim(x), 'ABC…Z', 'abc…z')`.
"""

from __future__ import annotations

_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def fold(text: str) -> str:
    """Return `text` without surrounding spaces and with A to Z in lower case; every other character stays.

    Two built-in roles carry `Microsoft.Network/virtualNetworks/read ` with a space behind it, and it works. Tabs, line
    ends and slashes at an end are kept: nobody documents that Azure drops them.
    """
    # str.lower on pure ASCII is the same mapping at machine speed.
    return text.strip(" ").lower() if text.isascii() else text.strip(" ").translate(_ASCII_LOWER)
