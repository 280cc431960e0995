"""Register every log that is recognised: a constant in a file of this folder and its line in the table make one."""

from __future__ import annotations

from importlib import import_module

from rightsize.rules.log_source import LogSource

_LOGS = (
    "activity.ACTIVITY",
    "activity.CLOUD_AUDIT",
    "data_stores.STORAGE",
    "entra.SIGN_IN",
    "entra.ENTRA_AUDIT",
    "entra.GRAPH_ACTIVITY",
    "entra.AZURE_AD_GRAPH",
    "entra.M365_AUDIT",
    "activity.RESOURCE",
    "data_stores.KEY_VAULT",
    "data_stores.MESSAGING",
    "containers.KUBERNETES",
    "containers.REGISTRY",
    "data_stores.COSMOS",
    "data_stores.SQL",
    "entra.SIGNAL",
)
# The order decides which of two conditions of one stage holds first, and the order of the counts of a file.


def _declared(name: str) -> LogSource:
    file, _, constant = name.partition(".")
    source: LogSource = getattr(import_module(f"{__name__}.{file}"), constant)
    return source


LOG_SOURCES = tuple(map(_declared, _LOGS))
"""All logs."""
