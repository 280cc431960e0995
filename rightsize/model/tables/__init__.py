"""Every table and view of the store, declared once.

The tables stand in the order in which they may be created: a view follows what it reads.
"""

from rightsize.model.schema import Table
from rightsize.model.tables.access import ACCESS_TABLES
from rightsize.model.tables.agents import AGENT_TABLES
from rightsize.model.tables.answers import ANSWER_TABLES
from rightsize.model.tables.bookkeeping import BOOKKEEPING_TABLES
from rightsize.model.tables.changed_objects import CHANGED_OBJECT_TABLES
from rightsize.model.tables.directory import DIRECTORY_TABLES
from rightsize.model.tables.directory_roles import DIRECTORY_ROLE_TABLES
from rightsize.model.tables.existence import EXISTENCE_TABLES
from rightsize.model.tables.graph import GRAPH_TABLES, GRAPH_VIEWS
from rightsize.model.tables.jobs import JOB_TABLES
from rightsize.model.tables.judgements import JUDGEMENT_TABLES
from rightsize.model.tables.layers import LAYER_TABLES
from rightsize.model.tables.observability import OBSERVABILITY_TABLES
from rightsize.model.tables.pim import ACTIVATION_TABLES, PIM_TABLES
from rightsize.model.tables.policies import POLICY_TABLES
from rightsize.model.tables.reach import REACH_TABLES
from rightsize.model.tables.signals import SIGNAL_TABLES
from rightsize.model.tables.usage import USAGE_TABLES
from rightsize.model.tables.watch import WATCH_TABLES

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
