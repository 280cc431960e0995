"""Fold text for comparison: ids, operations, patterns and scopes are compared by this one function.

Azure compares them without regard to case. Only ASCII letters are folded: Azure keeps Unicode pairs such as the Kelvin
sign and `k` apart, and a fold that joined them would treat two permissions as one. The SQL equivalent is
`translate(trim(x), 'ABC…Z', 'abc…z')`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from rightsize.model.nouns import Folded

__all__ = ["GUID", "GUID_FORM", "OPERATION_FORM", "READ", "Folded", "fold", "fold_key", "is_read"]

_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}

GUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""The form of a folded GUID; the expression means the same in DuckDB."""
GUID_FORM = re.compile(GUID)

OPERATION_FORM = r"^[^/\s]+[.][^/\s]+/\S+$"
"""The form of an operation: a provider, which has a dot in its name, a slash, and the rest, without spaces.

A display name of the Activity Log does not have it. The expression means the same in DuckDB and in polars.
"""

READ = "/read"
"""The end of each operation that only reads, and of patterns that match such operations alone."""


def fold(text: str) -> Folded:
    """Return `text` without surrounding spaces and with A to Z in lower case; every other character stays.

    Two built-in roles have `Microsoft.Network/virtualNetworks/read ` with a space at the end, and it works. Tabs, line
    ends and slashes at an end are kept, since no documentation says that Azure drops them.
    """
    # On pure ASCII, str.lower is the same mapping and much faster.
    return Folded(text.strip(" ").lower() if text.isascii() else text.strip(" ").translate(_ASCII_LOWER))


_fold_again = lru_cache(maxsize=4096)(fold)
_LONG = 100
"""A key with more characters is no name of a field, and is not kept."""


def fold_key(key: str) -> Folded:
    """Return what `fold` does, for the keys of records, which thousands of files share."""
    return _fold_again(key) if len(key) <= _LONG else fold(key)


def is_read(operation: str) -> bool:
    """Return whether an operation of Azure, or a pattern of operations, allows nothing but reads.

    On the data plane a read is access to data, so callers ask for the control plane alone where they mean what shows
    no content.
    """
    return fold(operation).endswith(READ)
