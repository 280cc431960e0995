"""The catalogue: importing operations and roles, and what of them is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rightsize.propose.plan import catalogue_hash
from rightsize.store.connection import open_store
from rightsize.workflow.load import LoadReport, load_catalogue

SOURCES = ("operations", "role_definitions")
"""What a catalogue is made of, as `loads` calls it."""

_COUNTS = """
SELECT
    (SELECT count(*) FROM operations) AS operations,
    (SELECT count(*) FROM operations WHERE is_data_action IS FALSE AND is_guess IS NOT TRUE) AS control,
    (SELECT count(*) FROM operations WHERE is_data_action IS TRUE AND is_guess IS NOT TRUE) AS data,
    (SELECT count(*) FROM operations WHERE is_data_action IS NOT NULL AND is_guess) AS guessed,
    (SELECT count(*) FROM operations WHERE is_data_action IS NULL) AS unknown,
    (SELECT count(*) FROM role_definitions WHERE role_type = 'BuiltInRole') AS built_in_roles,
    (SELECT count(*) FROM role_definitions WHERE role_type = 'CustomRole') AS custom_roles
"""


@dataclass(frozen=True, slots=True)
class CatalogStatus:
    """What of the catalogue is loaded.

    Attributes:
        operations: All operations.
        control: Those of the control plane, `data` those of the data plane, for certain.
        guessed: Those of which a source guesses the plane.
        unknown: Those of which no source says the plane.
        built_in_roles: Roles of Azure.
        custom_roles: Roles of the tenant.
        catalogue_hash: The hash of the operations that a plan names, whatever files they came in.
    """

    operations: int
    control: int
    data: int
    guessed: int
    unknown: int
    built_in_roles: int
    custom_roles: int
    catalogue_hash: str

    def answer(self) -> dict[str, Any]:
        """Return the answer of `catalog status`."""
        return asdict(self)


def import_catalogue(db: Path | str, paths: Sequence[str | Path]) -> LoadReport:
    """Load operations and role definitions.

    Raises:
        InputError: A file cannot be read, or holds something else. The store is as it was.
    """
    return load_catalogue(db, paths, SOURCES)


def read_catalogue_status(db: Path | str) -> CatalogStatus:
    """Return what of the catalogue is loaded.

    Raises:
        InputError: There is no store.
    """
    with open_store(db, read_only=True) as store:
        counts = store.frame(_COUNTS).row(0, named=True)
        return CatalogStatus(**counts, catalogue_hash=catalogue_hash(store.table("operations")))
