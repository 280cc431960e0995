"""Import the catalogue of operations and roles, and report how much of it is loaded."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rightsize.azure.exchange import Clock
from rightsize.azure.published import Published, fetch_published
from rightsize.collect.pages import PAGES, Run
from rightsize.model.errors import InputError, ServiceError
from rightsize.model.text import fold
from rightsize.propose.pipeline import catalogue_hash
from rightsize.store.connection import open_store
from rightsize.store.limits import scratch_folder
from rightsize.store.queries import query_text
from rightsize.workflow.data.collect import collect_tenant
from rightsize.workflow.data.load import LoadReport, load_catalogue

SOURCES = ("operations", "role_definitions")
"""The sources of Azure's catalogue, by their names in `loads`."""

IMPORTED = (*SOURCES, "directory_roles", "graph_permissions", "api_permissions", "first_party_apps")
"""Other sources that may be imported: directory roles, the map of Graph's permissions, their ids, Microsoft's apps."""

_FROM_AZURE = """
SELECT
    (SELECT count(*) FROM operations WHERE is_data_action_source = 'provider-operations') AS operations,
    (SELECT count(*) FROM role_definitions WHERE role_type = 'BuiltInRole') AS "built-in roles"
"""
_LEAST_SHARE = 0.9
_GRAPH_PERMISSIONS = 'SELECT count(DISTINCT permission) AS "Graph permissions" FROM graph_permissions'
GRAPH_MAP = "https://raw.githubusercontent.com/microsoftgraph/microsoft-graph-devx-content/master/permissions/new/permissions.json"
"""The address where Microsoft publishes which permission allows which request of Graph."""
# Names of the facts that a store keeps about its catalogue.
_REFRESHED, _MAP_REFRESHED, _MAP_TAG = "catalogue_refreshed", "graph_map_refreshed", "graph_map_tag"


@dataclass(frozen=True, slots=True)
class CatalogStatus:
    """Counts and ages of the loaded catalogue.

    Attributes:
        control: Operations certainly of the control plane; `data` those certainly of the data plane.
        guessed: Operations whose plane a source infers.
        unknown: Operations whose plane no source says.
        built_in_roles: Roles of Azure.
        custom_roles: Roles of the tenant.
        directory_roles: Roles of Microsoft Entra, built-in and custom.
        graph_permissions: Permissions of the map of Microsoft Graph.
        graph_requests: Requests (method and path) that the map knows.
        permission_ids: App roles and delegated permissions of all APIs whose ids are known.
        first_party_apps: Microsoft's own applications, by a loaded list.
        catalogue_hash: The hash of the operations, as plans name it; independent of the files they came in.
        refreshed_at: When it was last fetched from Azure, None where it only came in files; `age_days` since then.
        graph_map_refreshed_at: When the published map of Graph's permissions was last fetched.
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
    refreshed_at: str | None
    age_days: int | None
    graph_map_refreshed_at: str | None

    def answer(self) -> dict[str, Any]:
        """Return the JSON answer of `catalog status`."""
        return asdict(self)


def import_catalogue(db: Path | str, paths: Sequence[str | Path]) -> LoadReport:
    """Load operations, role definitions, directory roles, and Graph's permissions from files.

    Raises:
        InputError: A file cannot be read, or holds something else. The store is unchanged.
    """
    return load_catalogue(db, paths, IMPORTED)


def refresh_catalogue(
    db: Path | str,
    *,
    cloud: str = "public",
    auth: str = "default",
    may_ask: bool = True,
    force: bool = False,
    graph_map: str = GRAPH_MAP,
    clock: Clock | None = None,
) -> LoadReport:
    """Fetch the current operations and roles from Azure, and the map of Graph's permissions if it has changed.

    The answer is compared with an earlier refresh, or a file of the same origin: a catalogue that lost more than a
    tenth is taken for a broken answer, not for a smaller Azure.

    Args:
        db: The store.
        cloud: As in `collect_tenant`, like `auth` and `may_ask`.
        auth: The way to sign in.
        may_ask: Whether a person may be asked to sign in.
        force: Whether to accept a catalogue that shrank.
        graph_map: The address of the map; an empty text skips it.
        clock: The clock; None means the real one.

    Raises:
        AccessError: Nobody is signed in, or reading the catalogue is not allowed.
        ServiceError: Azure did not answer completely, or the map cannot be fetched. The store is unchanged.
        InputError: The catalogue shrank suspiciously, and `force` is not set. The store is unchanged.
    """
    clock = clock or Clock()
    fetched = _fetch_map(db, graph_map, clock) if graph_map else None
    with scratch_folder() as folder:
        report = collect_tenant(folder, cloud=cloud, auth=auth, sources=SOURCES, may_ask=may_ask, clock=clock)
        incomplete = [row for row in report.rows if row.source in SOURCES and row.state == "incomplete"]
        if incomplete:
            raise ServiceError(f"the catalogue is incomplete: {incomplete[0].reason}")
        if not force:
            _refuse_shrinking(_count_pages(report.folder), db, _FROM_AZURE, "Azure")
            if fetched is not None and fetched.content is not None:
                _refuse_shrinking(_count_permissions(fetched.content), db, _GRAPH_PERMISSIONS, graph_map)
        loaded = load_catalogue(db, [report.folder / PAGES / source for source in SOURCES], SOURCES)
        if fetched is not None and fetched.content is not None:
            path = folder / "graph-permissions.json"
            path.write_bytes(fetched.content)
            of_map = load_catalogue(db, [path], ("graph_permissions",))
            loaded = LoadReport((*loaded.rows, *of_map.rows), (*loaded.notes, *of_map.notes))
    _remember(db, fetched, clock)
    return loaded


def _fetch_map(db: Path | str, url: str, clock: Clock) -> Published:
    tag = ""
    if Path(db).exists():
        with open_store(db, read_only=True) as store:
            tag = store.remembered(_MAP_TAG) or ""
    # The tag belongs to one address; another address has no known tag yet.
    known, _, address = tag.partition(" ")
    try:
        found = fetch_published(url, known if address == url else "", clock)
    except ServiceError as error:
        error.hint = '`--graph-map ""` leaves the map as it is'
        raise
    return found


def _remember(db: Path | str, fetched: Published | None, clock: Clock) -> None:
    now = clock.utc().replace(microsecond=0).isoformat()
    with open_store(db, read_only=False) as store:
        store.remember(_REFRESHED, now)
        if fetched is not None:
            store.remember(_MAP_REFRESHED, now)
            store.remember(_MAP_TAG, fetched.tag)


def _count_permissions(content: bytes) -> dict[str, int]:
    """Count the permissions of a map; return 0 where it is not a map."""
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    permissions = found.get("permissions") if isinstance(found, dict) else None
    return {"Graph permissions": len(permissions) if isinstance(permissions, dict) else 0}


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


def _refuse_shrinking(found: Mapping[str, int], db: Path | str, loaded: str, who: str) -> None:
    before: Mapping[str, int] = {}
    if Path(db).exists():
        with open_store(db, read_only=True) as store:
            before = store.frame(loaded).row(0, named=True)
    for what, number in found.items():
        if number < before.get(what, 0) * _LEAST_SHARE or not number:
            raise InputError(
                f"{who} answered with {number:,} {what}, and {before.get(what, 0):,} are loaded",
                hint="`--force` loads it all the same; nothing that is loaded is taken away",
            )


def read_catalogue_status(db: Path | str, clock: Clock | None = None) -> CatalogStatus:
    """Return the counts of the loaded catalogue, and its age by the clock.

    Raises:
        InputError: There is no store.
    """
    with open_store(db, read_only=True) as store:
        counts = store.frame(query_text("answers/catalogue")).row(0, named=True)
        refreshed = store.remembered(_REFRESHED)
        age = (clock or Clock()).utc() - dt.datetime.fromisoformat(refreshed) if refreshed else None
        return CatalogStatus(
            **counts,
            catalogue_hash=catalogue_hash(store.table("operations")),
            refreshed_at=refreshed,
            age_days=max(age.days, 0) if age is not None else None,
            graph_map_refreshed_at=store.remembered(_MAP_REFRESHED),
        )
