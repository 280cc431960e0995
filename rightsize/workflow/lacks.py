"""Read from a store which listings of access are not complete, for answers about the whole tenant."""

from __future__ import annotations

from pathlib import Path

from rightsize.analyze.lacks import Lack
from rightsize.analyze.listings import Listings
from rightsize.store.connection import Store, open_store


def listings_of(store: Store) -> Listings:
    """Return the listings that answers about access rest on."""
    return Listings(store.table("listings"), {})


def lacks_of(db: Path) -> list[Lack]:
    """Return the listings that make a `no` somewhere in the tenant unknown; none where there is no store."""
    if not db.exists():
        return []
    with open_store(db, read_only=True) as store:
        return listings_of(store).every()
