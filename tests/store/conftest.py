"""Fixtures that the tests of the store share."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rightsize.store.connection import Store, open_store


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without content. Copied, never opened."""
    path = tmp_path_factory.mktemp("empty") / "empty.duckdb"
    open_store(path, read_only=False).close()
    return path


@pytest.fixture(scope="session")
def fresh(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Store]]:
    """Gives a new empty store at each call; a property's examples each need their own."""
    folder = tmp_path_factory.mktemp("stores")
    numbers = itertools.count()
    opened: list[Store] = []

    def make() -> Store:
        path = folder / f"{next(numbers)}.duckdb"
        shutil.copy(empty_store, path)
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
