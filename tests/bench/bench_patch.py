"""A plan as a patch of a large repository: seconds for 5,000 blocks in 100 files, by the number of changes."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.iac.code_repository import assignment, change, group, guid, patch, resource, state

HEADS = ("blocks and changes", "s of CPU", "edited", "by hand")
SLOW = True
_BLOCKS, _IN_A_FILE = 5_000, 50


def run() -> Iterator[tuple[str, ...]]:
    """Yield a row for some of the changes, and one where an output needs every hundredth block that changes."""
    files: dict[str, str] = {}
    made, data = [], []
    for number in range(_BLOCKS):
        path = f"file{number // _IN_A_FILE}.tf"
        files[path] = files.get(path, "") + (
            f'resource "azurerm_role_assignment" "a{number}" {{\n'
            "  scope                = azurerm_resource_group.app.id\n"
            '  role_definition_name = "Contributor"\n'
            f"  principal_id         = data.azuread_group.g{number}.object_id\n}}\n\n"
        )
        made.append(assignment(f"azurerm_role_assignment.a{number}", holder=f"g{number}"))
        instance = {"attributes": {"object_id": guid(f"g{number}")}}
        data.append(resource("azuread_group", f"g{number}", instance, mode="data"))
    states = {"s": state(*made, *data, group())}
    outputs = "".join(
        f'output "o{number}" {{\n  value = azurerm_role_assignment.a{number}.id\n}}\n'
        for number in range(0, _BLOCKS, 1_000)
    )
    for count, more in ((100, ""), (100, outputs), (1_000, "")):
        changes = [change(one, "Reader") for one in made[:: _BLOCKS // count]]
        begin = time.process_time()
        found, _, _ = patch({**files, "outputs.tf": more}, states, *changes)
        took = f"{time.process_time() - begin:.1f}"
        what = f"{_BLOCKS:,} and {count:,}{', some needed by outputs' if more else ''}"
        yield what, took, str(len(found.offers)), str(len(found.refused))
