"""Every example in a docstring of the Python interface is true, and everything that is public has one."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import FunctionType

import pytest

import rightsize
from tests.docs.blocks import ROOT, blocks

WITHOUT_STATE = ("ContainmentAnswer", "EvidenceWarning", "contains")
"""The examples that need no store."""
PLAIN = {"GateError", "AccessError", "EvidenceError", "InputError", "InternalError", "RightsizeError", "ServiceError"}
NOUNS = {"PermissionBlock", "Reason", "RoleDefinition", "UsageError", "Witness", "__version__"}
REPEATED = ("LoadAnswer", "LogsAnswer", "VerifyAnswer")
"""The examples of answers to calls whose own examples make the same steps."""
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
FINDER = doctest.DocTestFinder(recurse=False, exclude_empty=False)


def _documented() -> Iterator[tuple[str, object]]:
    """Yield every public name with its object, and the public members of each class that is no noun and no error."""
    for name in rightsize.__all__:
        found = getattr(rightsize, name)
        if name in PLAIN | NOUNS:
            continue
        yield name, found
        if inspect.isclass(found) and found.__module__.startswith("rightsize.api"):
            for base in found.__mro__:
                if base.__module__.startswith("rightsize.api"):
                    members = vars(base).items()
                    kinds = (FunctionType, property, cached_property)
                    yield from ((f"{name}.{m}", one) for m, one in members if m[0] != "_" and isinstance(one, kinds))


def _examples(name: str, found: object) -> doctest.DocTest:
    (test,) = FINDER.find(found, name, globs={})
    return test


UNWARNED = pytest.mark.filterwarnings("ignore::rightsize.api.results.EvidenceWarning")
"""A tiny tenant has no listing of deny assignments, and an answer that depends on one says so in a warning."""

EXAMPLES = {name: test for name, found in _documented() if (test := _examples(name, found)).examples}


def _run(name: str) -> None:
    said: list[str] = []
    result = doctest.DocTestRunner(optionflags=FLAGS).run(EXAMPLES[name], out=said.append, clear_globs=False)
    assert result.failed == 0, "".join(said)
    assert result.attempted


def test_every_class_and_function_has_an_example() -> None:
    """So has every method of a store that a user calls."""
    needed = {name for name, found in _documented() if callable(found) and name not in ("Store.close", "Plan.verify")}
    assert needed - EXAMPLES.keys() == set()


@pytest.mark.parametrize("name", WITHOUT_STATE)
def test_an_example_without_a_store_is_true(name: str) -> None:
    _run(name)


@pytest.mark.nightly
@UNWARNED
@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - {*WITHOUT_STATE, *REPEATED}))
def test_an_example_is_true(name: str, tiny: Path) -> None:
    """They run one beside the other, each in a folder with the exports, the store and the plan of a tiny tenant."""
    _run(name)


@pytest.mark.nightly
@pytest.mark.parametrize("name", REPEATED)
def test_an_example_of_an_answer_is_true(name: str, tiny: Path) -> None:
    _run(name)


@pytest.mark.nightly
@UNWARNED
def test_the_how_to_is_true(tiny: Path) -> None:
    """The examples of `docs/python.md` are one session, from its first line to its last."""
    session = "\n".join(block.text for block in blocks(ROOT / "docs" / "python.md") if block.language == "python")
    said: list[str] = []
    test = doctest.DocTestParser().get_doctest(session, {}, "docs/python.md", None, None)
    result = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append)
    assert result.attempted > 20
    assert result.failed == 0, "".join(said)
