"""Every table and view of the store, declared once.

The tables stand in the order in which they may be created: a view follows what it reads.
"""

from rightsize.model.schema import Table
from rightsize.model.tables.access import (
    ACCESS_TABLES,
    ACTIVATION_TABLES,
    AGENT_TABLES,
    CHANGED_OBJECT_TABLES,
    GRAPH_TABLES,
    GRAPH_VIEWS,
    PIM_TABLES,
    POLICY_TABLES,
)
from rightsize.model.tables.answers import ANSWER_TABLES, JOB_TABLES, LAYER_TABLES, REACH_TABLES
from rightsize.model.tables.coverage import (
    BOOKKEEPING_TABLES,
    EXISTENCE_TABLES,
    JUDGEMENT_TABLES,
    OBSERVABILITY_TABLES,
    SIGNAL_TABLES,
    WATCH_TABLES,
)
from rightsize.model.tables.directory import DIRECTORY_ROLE_TABLES, DIRECTORY_TABLES
from rightsize.model.tables.usage import USAGE_TABLES

TABLES: tuple[Table, ...] = (
    *DIRECTORY_TABLES,
    *EXISTENCE_TABLES,
    *ACCESS_TABLES,
    *POLICY_TABLES,
    *DIRECTORY_ROLE_TABLES,
    *PIM_TABLES,
    *GRAPH_TABLES,
    *AGENT_TABLES,
    *CHANGED_OBJECT_TABLES,
    *USAGE_TABLES,
    *SIGNAL_TABLES,
    *JUDGEMENT_TABLES,
    *GRAPH_VIEWS,
    *BOOKKEEPING_TABLES,
    *ANSWER_TABLES,
    *JOB_TABLES,
    *OBSERVABILITY_TABLES,
    *ACTIVATION_TABLES,
    *LAYER_TABLES,
    *REACH_TABLES,
    *WATCH_TABLES,
)


def table(name: str) -> Table:
    """Return the table of that name, or raise KeyError."""
    for candidate in TABLES:
        if candidate.name == name:
            return candidate
    raise KeyError(f"no table {name}")
