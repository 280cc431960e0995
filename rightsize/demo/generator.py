"""Generate the sample tenant that a spec describes, and write it as the exports that its administrators would make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rightsize.demo.access_files import write_access
from rightsize.demo.activity_files import DAMAGED_CALLS, write_activity, write_damaged
from rightsize.demo.attacks import write_attacks
from rightsize.demo.calls import expand_habits, sign_in_rows
from rightsize.demo.directory_files import write_directory, write_trust
from rightsize.demo.directory_roles import write_directory_roles
from rightsize.demo.graph_files import write_agent_use, write_agents, write_graph
from rightsize.demo.inventory_files import write_inventories, write_inventory
from rightsize.demo.people import DOMAIN, LOGGED_ACCOUNT, SILENT_SUBSCRIPTION, read_cast, silent_days
from rightsize.demo.request_files import write_requests
from rightsize.demo.sign_in_files import write_sign_ins
from rightsize.demo.spec import TenantSpec
from rightsize.demo.storage_files import write_storage
from rightsize.demo.teams import fill
from rightsize.demo.tenant import SampleTenant
from rightsize.demo.truth import plant_truth
from rightsize.demo.vault_files import write_vaults
from rightsize.demo.writing import Folder


def generate(spec: TenantSpec | None = None) -> SampleTenant:
    """Return the tenant that the spec asks for; the same spec gives the same tenant."""
    spec = spec or TenantSpec()
    cast = read_cast(spec)
    filling = fill(spec, cast)
    habits = (*cast.habits, *filling.habits)
    return SampleTenant(
        spec,
        cast.tenant_id,
        DOMAIN,
        (*cast.principals, *filling.principals),
        {**cast.members, **filling.members},
        (*cast.scopes, *filling.scopes),
        cast.roles,
        (*cast.grants, *filling.grants),
        habits,
        expand_habits(spec, habits),
        (cast.places.full(LOGGED_ACCOUNT),),
        {cast.places.full(SILENT_SUBSCRIPTION): silent_days(spec)},
    )


def write_exports(tenant: SampleTenant, folder: Path) -> dict[str, Any]:
    """Write all exports below `folder`, which may exist and should be empty; return the truth about them."""
    exports = Folder(folder)
    sign_ins = sign_in_rows(tenant)
    write_access(tenant, exports)
    write_directory(tenant, exports, sign_ins)
    write_directory_roles(tenant, exports)
    write_graph(tenant, exports)
    write_agents(tenant, exports)
    write_agent_use(tenant, exports)
    write_trust(tenant, exports)
    write_sign_ins(tenant, exports, sign_ins)
    storage = write_storage(tenant, exports)
    requests = write_requests(tenant, exports)
    write_vaults(tenant, exports)
    write_inventory(tenant, exports)
    write_inventories(tenant, exports)
    activity = write_activity(tenant, exports)
    write_damaged(tenant, exports)
    attacks = write_attacks(tenant, exports)
    truth = plant_truth(tenant, exports, activity, storage, requests, sign_ins)
    truth["events"]["activity_log"]["succeeded"] += len(attacks) + DAMAGED_CALLS
    return truth | {"attacks": attacks}
