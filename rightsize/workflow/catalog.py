"""The catalogue: importing operations and roles, and what of them is loaded."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rightsize.collect.pages import PAGES, Run
from rightsize.model.errors import InputError, ServiceError
from rightsize.propose.plan import catalogue_hash
from rightsize.rbac.text import fold
from rightsize.store.connection import open_store
from rightsize.workflow.collect import collect_tenant
from rightsize.workflow.load import LoadReport, load_catalogue

SOURCES = ("operations", "role_definitions")
"""What a catalogue of Azure is made of, as `loads` calls it."""

IMPORTED = (*SOURCES, "directory_roles", "graph_permissions", "api_permissions", "first_party_apps")
"""What may be imported besides: directory roles, the map of Graph's permissions, their ids, Microsoft's own apps."""

_COUNTS = """
SELECT
    (SELECT count(*) FROM operations) AS operations,
    (SELECT count(*) FROM operations WHERE is_data_action IS FALSE AND is_guess IS NOT TRUE) AS control,
    (SELECT count(*) FROM operations WHERE is_data_action IS TRUE AND is_guess IS NOT TRUE) AS data,
    (SELECT count(*) FROM operations WHERE is_data_action IS NOT NULL AND is_guess) AS guessed,
    (SELECT count(*) FROM operations WHERE is_data_action IS NULL) AS unknown,
    (SELECT count(*) FROM role_definitions WHERE role_type = 'BuiltInRole') AS built_in_roles,
    (SELECT count(*) FROM role_definitions WHERE role_type = 'CustomRole') AS custom_roles,
    (SELECT count(*) FROM directory_roles) AS directory_roles,
    (SELECT count(DISTINCT permission) FROM graph_permissions) AS graph_permissions,
    (SELECT count(DISTINCT (method, path)) FROM graph_permission_paths) AS graph_requests,
    (SELECT count(*) FROM api_permissions) AS permission_ids,
    (SELECT count(*) FROM first_party_apps) AS first_party_apps
"""

_FROM_AZURE = """
SELECT
    (SELECT count(*) FROM operations WHERE is_data_action_source = 'provider-operations') AS operations,
    (SELECT count(*) FROM role_definitions WHERE role_type = 'BuiltInRole') AS "built-in roles"
"""
_LEAST_SHARE = 0.9


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
        directory_roles: Roles of Microsoft Entra, built-in and custom.
        graph_permissions: Permissions of the map of Microsoft Graph.
        graph_requests: Requests (method and path) that the map knows.
        permission_ids: App roles and delegated permissions of all APIs whose ids are known.
        first_party_apps: Applications of Microsoft that a list names.
        catalogue_hash: The hash of the operations that a plan names, whatever files they came in.
    """

    operations: int
    control: int
    data: int
    guessed: int
    unknown: int
    built_in_roles: int
    custom_roles: int
    directory_roles: int
    graph_permissions: int
    graph_requests: int
    permission_ids: int
    first_party_apps: int
    catalogue_hash: str

    def answer(self) -> dict[str, Any]:
        """Return the answer of `catalog status`."""
        return asdict(self)


def import_catalogue(db: Path | str, paths: Sequence[str | Path]) -> LoadReport:
    """Load operations, role definitions, directory roles, and what Graph's permissions are.

    Raises:
        InputError: A file cannot be read, or holds something else. The store is as it was.
    """
    return load_catalogue(db, paths, IMPORTED)


def refresh_catalogue(
    db: Path | str, *, cloud: str = "public", auth: str = "default", may_ask: bool = True, force: bool = False
) -> LoadReport:
    """Load the operations and roles that Azure has now.

    What Azure answers is compared with what an earlier refresh, or a file of the same origin, gave: a catalogue that
    lost more than a tenth is no smaller Azure but a broken answer.

    Raises:
        AccessError: Nobody is signed in, or reading it is not allowed.
        ServiceError: Azure did not answer to the end.
        InputError: The catalogue shrank suspiciously, and `force` is not set. The store is as it was.
    """
    with tempfile.TemporaryDirectory(prefix="rightsize-") as folder:
        report = collect_tenant(Path(folder), cloud=cloud, auth=auth, sources=SOURCES, may_ask=may_ask)
        incomplete = [row for row in report.rows if row.source in SOURCES and row.state == "incomplete"]
        if incomplete:
            raise ServiceError(f"the catalogue is incomplete: {incomplete[0].reason}")
        found = _count_pages(report.folder)
        if not force:
            _refuse_shrinking(found, db)
        return load_catalogue(db, [report.folder / PAGES / name for name in SOURCES], SOURCES)


def _count_pages(folder: Path) -> dict[str, int]:
    """Count the operations and built-in roles in the pages of a run."""
    operations: set[str] = set()
    roles: set[str] = set()
    run = Run.read(folder)
    for provider in run.records("operations"):
        for entry in (provider, *(provider.get("resourceTypes") or ())):
            operations |= {fold(str(operation.get("name"))) for operation in entry.get("operations") or ()}
    for role in run.records("role_definitions"):
        if fold(str(role.get("properties", {}).get("type"))) == "builtinrole":
            roles.add(fold(str(role.get("name"))))
    return {"operations": len(operations), "built-in roles": len(roles)}


def _refuse_shrinking(found: Mapping[str, int], db: Path | str) -> None:
    before = {"operations": 0, "built-in roles": 0}
    if Path(db).exists():
        with open_store(db, read_only=True) as store:
            before = store.frame(_FROM_AZURE).row(0, named=True)
    for what, number in found.items():
        if number < before[what] * _LEAST_SHARE or not number:
            raise InputError(
                f"Azure answered with {number:,} {what}, and {before[what]:,} are loaded",
                hint="`--force` loads it all the same; nothing that is loaded is taken away",
            )


def read_catalogue_status(db: Path | str) -> CatalogStatus:
    """Return what of the catalogue is loaded.

    Raises:
        InputError: There is no store.
    """
    with open_store(db, read_only=True) as store:
        counts = store.frame(_COUNTS).row(0, named=True)
        return CatalogStatus(**counts, catalogue_hash=catalogue_hash(store.table("operations")))
