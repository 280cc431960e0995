"""Explain a principal of a tiny tenant."""

from __future__ import annotations

from typing import Any, cast

from rightsize.analyze.findings import find
from rightsize.store.connection import Store
from rightsize.workflow.analysis.keep_analysis import laid_out
from rightsize.workflow.answers.explain import explain_principal
from tests.analyze.tiny import Tiny
from tests.tenants.fake_store import FakeStore


def explain_tiny(tiny: Tiny, principal: str = "p") -> dict[str, Any]:
    """Return the answer about a principal, as `explain` has it."""
    inputs, analysis = tiny.inputs(), tiny.analyse()
    store = cast("Store", FakeStore(inputs))
    return explain_principal(laid_out(store, inputs, analysis, find(inputs, analysis), []), principal)
