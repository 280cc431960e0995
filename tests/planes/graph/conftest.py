"""The imported map of Graph's permissions, once for all tests that ask it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from rightsize.analyze.graph_tables import GRAPH_APP_ID
from rightsize.store.connection import open_store
from rightsize.workflow.data.catalog import import_catalogue


@pytest.fixture(scope="package")
def catalogue(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    """The map as the store has it, and an id for each permission."""
    path = tmp_path_factory.mktemp("map") / "s.duckdb"
    import_catalogue(path, [shared_data / "graph" / "permissions.json"])
    with open_store(path, read_only=True) as store:
        tables = {name: store.table(name) for name in ("graph_permissions", "graph_permission_paths")}
    named = tables["graph_permissions"].select(
        "permission",
        "access",
        api_app_id=pl.lit(GRAPH_APP_ID),
        permission_id=pl.col("access").str.head(1) + "-" + pl.col("permission").str.to_lowercase(),
    )
    return tables | {"api_permissions": named}
