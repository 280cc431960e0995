"""Text over columns: ids, operations and scopes compare by these."""

from __future__ import annotations

from rightsize.rules.matching import Text, folded

__all__ = ["folded", "place_of"]


def place_of(scope: Text) -> Text:
    """Return scopes as they compare: folded, without doubled or trailing slashes; the root is `/`."""
    single = folded(scope).str.replace_all(r"/{2,}", "/")
    return single.str.replace(r"^(.+)/$", "${1}")
