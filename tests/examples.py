"""Set how many random examples a test draws, counted from the hypothesis profile in use.

`MANY` is for pure functions that take microseconds, `SOME` for those that take milliseconds. `FEW` is for tests that
make a store, a plan or an analysis of each example, and `FEWEST` for those that make several.
The profiles stand in `conftest.py`: `fast` for everyday runs, `full` for CI, `nightly` for `.ci/nightly`.
"""

from __future__ import annotations

from hypothesis import settings

# As many as the profile has, which a test without a setting draws too.
SOME = settings()
MANY = settings(max_examples=SOME.max_examples * 4)
# The first example is the simplest one, so that one alone would show little.
FEW = settings(max_examples=max(3, SOME.max_examples // 8))
FEWEST = settings(max_examples=max(2, SOME.max_examples // 20))
