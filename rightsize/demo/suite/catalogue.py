"""Bring the catalogue of a store into the form that the suite generates tenants from, and write it as exports."""

from __future__ import annotations

import csv
import io
import json

import polars as pl

from rightsize.demo.suite.model import BuiltIn, SuiteCatalogue
from rightsize.demo.writing import Folder
from rightsize.model.errors import EvidenceError
from rightsize.model.role_forms import permissions_from_json, permissions_to_json

_LEAST_OPERATIONS = 15_000
"""Azure had more than 21,000 operations in 2026; a smaller catalogue is a part, and its figures would say little."""


def read_catalogue(operations: pl.DataFrame, definitions: pl.DataFrame) -> SuiteCatalogue:
    """Return the catalogue of the tables `operations` and `role_definitions`.

    Raises:
        EvidenceError: It is not the whole catalogue of Azure.
    """
    if operations.height < _LEAST_OPERATIONS:
        raise EvidenceError(
            f"the catalogue has {operations.height:,} operations, and the suite needs Azure's whole catalogue",
            hint="give `--catalogue` the outputs of `az provider operation list -o json` and "
            "`az role definition list -o json`",
        )
    built_in = definitions.filter(pl.col("role_type") == "BuiltInRole").sort("role_definition_id")
    rows = built_in.select("role_definition_id", "role_name", "permissions").drop_nulls("role_name").iter_rows()
    return SuiteCatalogue(
        tuple(operations.select("operation", "is_data_action", "is_data_action_source").sort("operation").iter_rows()),
        {name: BuiltIn(id_, name, permissions_from_json(permissions)) for id_, name, permissions in rows},
    )


def write_catalogue(catalogue: SuiteCatalogue, folder: Folder) -> None:
    """Write the operations as a table, and the roles as `az role definition list` prints them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("operation", "is_data_action", "is_data_action_source"))
    for operation, is_data, source in catalogue.operations:
        writer.writerow((operation, "" if is_data is None else str(is_data).lower(), source or ""))
    folder.write("catalogue/operations.csv", text.getvalue().encode(), records=len(catalogue.operations))
    roles = [
        {
            "id": f"/providers/Microsoft.Authorization/roleDefinitions/{role.role_id}",
            "name": role.role_id,
            "type": "Microsoft.Authorization/roleDefinitions",
            "roleName": role.name,
            "roleType": "BuiltInRole",
            "assignableScopes": ["/"],
            "permissions": json.loads(permissions_to_json(role.blocks)),
        }
        for role in catalogue.roles.values()
    ]
    folder.write_json("catalogue/roles.json", roles, records=len(roles))
