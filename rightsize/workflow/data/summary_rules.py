"""Write summary rules, which keep a small table of use in a workspace, and the queries that reduce its tables.

Source: Microsoft Learn, "Aggregate data in a Log Analytics workspace by using summary rules", and the reference of
Microsoft.OperationalInsights/workspaces/summaryLogs.
"""

from __future__ import annotations

import json
from pathlib import Path

from rightsize.collect.kql import COUNTED, REDUCED_TABLES, reduction_text, summary_table
from rightsize.model import file_reading
from rightsize.model.errors import InputError

_SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
_HOUR, _DAY = 60, 1440
# Rows arrive late, and what comes after its bin has run is in no bin.
_DELAY = 60


def write_summary_rules(folder: Path) -> list[Path]:
    """Write `TABLE.kql` for each table that can be reduced, and `summary-rules.json`, an ARM template with a rule each.

    Returns:
        The files.

    Raises:
        InputError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write into `{folder}`: {error.strerror}") from None
    found = [folder / f"{table}.kql" for table in REDUCED_TABLES]
    for table, path in zip(REDUCED_TABLES, found, strict=True):
        file_reading.write_text(path, reduction_text(table))
    template = folder / "summary-rules.json"
    file_reading.write_text(template, json.dumps(_template(), indent=2) + "\n")
    return [*found, template]


def _template() -> dict[str, object]:
    rules = [
        {
            "condition": f"[contains(parameters('tables'), '{table}')]",
            "type": "Microsoft.OperationalInsights/workspaces/summaryLogs",
            "apiVersion": "2025-07-01",
            "name": f"[concat(parameters('workspace'), '/rightsize-{table}')]",
            "properties": {
                "ruleType": "User",
                "description": f"Distinct use in {table}, for rightsize",
                "ruleDefinition": {
                    "query": reduction_text(table),
                    # A day has fewer calls over its edges; rows of requests are too many for one answer a day.
                    "binSize": _HOUR if table in COUNTED else _DAY,
                    "binDelay": _DELAY,
                    "destinationTable": summary_table(table),
                },
            },
        }
        for table in REDUCED_TABLES
    ]
    return {
        "$schema": _SCHEMA,
        "contentVersion": "1.0.0.0",
        "parameters": {
            "workspace": {"type": "string", "metadata": {"description": "Name of the workspace"}},
            "tables": {
                "type": "array",
                "defaultValue": list(REDUCED_TABLES),
                "metadata": {"description": "The tables that the workspace has"},
            },
        },
        "resources": rules,
    }
