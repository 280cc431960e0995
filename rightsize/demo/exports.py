"""Write a tenant as the folder of exports that its administrators would have made, and return its truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rightsize.demo.access_files import write_access
from rightsize.demo.activity_files import write_activity
from rightsize.demo.agent_files import write_agent_use, write_agents
from rightsize.demo.attacks import write_attacks
from rightsize.demo.damaged_files import write_damaged
from rightsize.demo.directory_files import write_directory
from rightsize.demo.directory_roles import write_directory_roles
from rightsize.demo.graph_files import write_graph
from rightsize.demo.inventory_files import write_inventories, write_inventory
from rightsize.demo.request_files import write_requests
from rightsize.demo.sign_in_files import write_sign_ins
from rightsize.demo.sign_ins import sign_in_rows
from rightsize.demo.storage_files import write_storage
from rightsize.demo.tenant import SampleTenant
from rightsize.demo.trust_files import write_trust
from rightsize.demo.truth import plant_truth
from rightsize.demo.writing import Folder


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
    write_inventory(tenant, exports)
    write_inventories(tenant, exports)
    activity = write_activity(tenant, exports)
    write_damaged(tenant, exports)
    attacks = write_attacks(tenant, exports)
    truth = plant_truth(tenant, exports, activity, storage, requests, sign_ins)
    truth["events"]["activity_log"]["succeeded"] += len(attacks)
    return truth | {"attacks": attacks}
