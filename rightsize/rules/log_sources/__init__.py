"""Register every log that is recognised: a file beside this one and its line in the table make a log source."""

from __future__ import annotations

from importlib import import_module

from rightsize.rules.log_source import LogSource

_FILES = (
    "activity",
    "cloud_audit",
    "storage",
    "sign_in",
    "entra_audit",
    "graph_activity",
    "azure_ad_graph",
    "m365_audit",
    "resource",
    "key_vault",
    "messaging",
    "kubernetes",
    "registry",
    "cosmos",
    "sql",
    "signal",
)
# The order decides which of two conditions of one stage holds first, and the order of the counts of a file.


def _declared(name: str) -> LogSource:
    source: LogSource = import_module(f"{__name__}.{name}").SOURCE
    return source


LOG_SOURCES = tuple(map(_declared, _FILES))
"""All logs."""
