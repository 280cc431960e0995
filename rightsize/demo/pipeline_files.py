"""Write what a pipeline of the demo would deploy next, as Azure tells it before: no export, and nothing loads it.

The portal's pipeline may do anything in its own subscription. The new site joins a subnet of the hub, where the
pipeline has no access: the one thing that would be refused.
"""

from __future__ import annotations

import json
from pathlib import Path

from rightsize.demo.people import read_cast
from rightsize.demo.spec import TenantSpec

PIPELINE = "pipeline"
"""The folder beside the exports."""
DEPLOYED_BY = "github-portal-deploy"
WHAT_IF = "portal-what-if.json"
_GROUP = "portal:rg-portal-web"
_SUBNET = "hub:rg-hub-network//Microsoft.Network/virtualNetworks/vnet-hub/subnets/snet-apps"


def write_pipeline(spec: TenantSpec, folder: Path) -> Path:
    """Write the output of `az deployment group what-if --no-pretty-print` below a folder; return the file."""
    places = read_cast(spec).places
    group, subnet = places.full(_GROUP), places.full(_SUBNET)
    plan = f"{group}/providers/Microsoft.Web/serverfarms/plan-portal-reports"
    made = {
        plan: {"sku": {"name": "P1v3"}},
        f"{group}/providers/Microsoft.Web/sites/app-portal-reports": {
            "properties": {"serverFarmId": plan, "virtualNetworkSubnetId": subnet}
        },
    }
    changes = [
        {"resourceId": place, "changeType": "Create", "after": {"id": place, "name": place.rsplit("/", 1)[1], **body}}
        for place, body in made.items()
    ]
    path = folder / PIPELINE / WHAT_IF
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"status": "Succeeded", "changes": changes}, indent=2)
    path.write_text(f"{text}\n", encoding="utf-8", newline="\n")
    return path
