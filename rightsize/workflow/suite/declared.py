"""Declare what the code of the suite's pipelines needs later, as `load --declared` would store it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs, schema_of
from rightsize.demo.suite.model import AHEAD_DAYS, LAST_SEEN, SuiteNeed, SuiteTenant
from rightsize.rbac.text import fold

_LATE = ("seasonal", "future")
_WORKLOADS = ("app", "identity")


def late_needs(tenant: SuiteTenant) -> Iterator[SuiteNeed]:
    """Yield the seasonal and future needs of workloads that code can say: changes of the control plane."""
    workloads = {one.principal_id for one in tenant.principals if one.kind in _WORKLOADS}
    for need in tenant.needs:
        if need.kind in _LATE and need.plane == "control" and need.principal_id in workloads:
            yield need


def with_declared(tenant: SuiteTenant, inputs: Inputs) -> Inputs:
    """Return the tables of a tenant whose pipelines declare what they need later."""
    return replace(inputs, declared_needs=pl.DataFrame(_rows(tenant), schema=schema_of("declared_needs")))


def _rows(tenant: SuiteTenant) -> list[dict[str, Any]]:
    places = {(fold(need.principal_id), need.operation, fold(need.scope)) for need in late_needs(tenant)}
    return [
        {
            "principal_id": principal,
            "operation": operation,
            "scope": scope,
            "sha256": "0" * 64,
            "file": "main.bicep",
            "resource": "the code",
            "rule": "write",
            "declared_on": LAST_SEEN,
            "until": LAST_SEEN + dt.timedelta(days=AHEAD_DAYS),
        }
        for principal, operation, scope in sorted(places)
    ]
