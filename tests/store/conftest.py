"""Fixtures that the tests of the store share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from rightsize.store.connection import Store, open_store


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Store]]:
    """Gives a new empty store at each call; a property's examples each need their own."""
    folder = tmp_path_factory.mktemp("stores")
    numbers = itertools.count()
    opened: list[Store] = []

    def make() -> Store:
        path = folder / f"{next(numbers)}.duckdb"
        while len(opened) > 3:
            done = opened.pop(0)
            done.close()
            done.path.unlink()
        opened.append(open_store(path, read_only=False))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(fresh: Callable[[], Store]) -> Store:
    """A new empty store, open for writing."""
    return fresh()
