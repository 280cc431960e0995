"""Load modules of rightsize when they are first used, so that the help of a command loads no engine."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType


class _LazyFinder(MetaPathFinder):
    """Find the modules of rightsize, and leave their loading to their first use."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module stands; None for modules of others."""
        if not fullname.startswith("rightsize."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None and spec.submodule_search_locations is None:
            spec.loader = LazyLoader(spec.loader)
        return spec


@contextmanager
def lazy_modules() -> Iterator[None]:
    """Let `from rightsize.PACKAGE import MODULE` within the block load the module when it is first used.

    `from rightsize.PACKAGE.MODULE import NAME` uses the module, so it loads it at once.

    Python before 3.11.9 does not guard a first use by two threads. A command first uses its workflow in its own thread.
    """
    finder = _LazyFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
