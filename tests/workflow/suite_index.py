"""The operations of the small tenant, as the suite's judges read them."""

from __future__ import annotations

import polars as pl

from rightsize.analyze.inputs import schema_of
from rightsize.propose.core.operation_sets import OperationIndex, index_operations
from tests.propose.small_tenant import OPERATIONS


def small_operations() -> pl.DataFrame:
    """Return the annotated catalogue; every operation weighs 1."""
    return pl.DataFrame(
        [
            {
                "plane": "data" if is_data else "control",
                "operation": name,
                "name": name.lower(),
                "in_catalogue": True,
                "weight": 1,
                "risk": None,
            }
            for name, is_data in OPERATIONS.items()
        ],
        schema_overrides={"risk": pl.String},
    )


def small_index() -> OperationIndex:
    """Return the index of the operations."""
    return index_operations(small_operations(), pl.DataFrame(schema=schema_of("role_operations")))
