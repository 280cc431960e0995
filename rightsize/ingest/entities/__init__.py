"""List the shapes of all exports that are no logs: listings, catalogues, and the manifests of their folders."""

from __future__ import annotations

from rightsize.ingest.entities.activity_downloads import DOWNLOAD_SHAPES
from rightsize.ingest.entities.agents import AGENT_SHAPES
from rightsize.ingest.entities.alerts import ALERT_SHAPES
from rightsize.ingest.entities.assignments import ASSIGNMENT_SHAPES
from rightsize.ingest.entities.definitions import DEFINITION_SHAPES
from rightsize.ingest.entities.directory import DIRECTORY_SHAPES
from rightsize.ingest.entities.directory_roles import DIRECTORY_ROLE_SHAPES
from rightsize.ingest.entities.graph_catalogue import GRAPH_CATALOGUE_SHAPES
from rightsize.ingest.entities.judgements import JUDGEMENT_SHAPES
from rightsize.ingest.entities.manifests import ManifestShape
from rightsize.ingest.entities.member_tables import MEMBER_TABLES
from rightsize.ingest.entities.operations import OPERATION_SHAPES
from rightsize.ingest.entities.owners import OWNER_SHAPES
from rightsize.ingest.entities.permissions import PERMISSION_SHAPES
from rightsize.ingest.entities.pim import PIM_SHAPES
from rightsize.ingest.entities.policies import POLICY_SHAPES
from rightsize.ingest.entities.providers import PROVIDER_SHAPES
from rightsize.ingest.entities.reduced import REDUCED_SHAPES
from rightsize.ingest.entities.refusals import RefusalShape
from rightsize.ingest.entities.resource_policies import RESOURCE_POLICY_SHAPES
from rightsize.ingest.entities.resources import RESOURCE_SHAPES
from rightsize.ingest.entities.risk import RISK_SHAPES
from rightsize.ingest.entities.scopes import SCOPE_SHAPES
from rightsize.ingest.entities.tags import TAG_SHAPES
from rightsize.ingest.entities.trust import TRUST_SHAPES
from rightsize.ingest.log_schemas import SOURCES
from rightsize.ingest.shapes import Shape

_LISTINGS: tuple[Shape, ...] = (
    *ASSIGNMENT_SHAPES,
    *DEFINITION_SHAPES,
    *POLICY_SHAPES,
    *RESOURCE_POLICY_SHAPES,
    *PIM_SHAPES,
    *DIRECTORY_ROLE_SHAPES,
    *SCOPE_SHAPES,
    *TAG_SHAPES,
    *RESOURCE_SHAPES,
    *PROVIDER_SHAPES,
    *OPERATION_SHAPES,
    *AGENT_SHAPES,
    *OWNER_SHAPES,
    *TRUST_SHAPES,
    *MEMBER_TABLES,
    *DIRECTORY_SHAPES,
    *PERMISSION_SHAPES,
    *GRAPH_CATALOGUE_SHAPES,
    *REDUCED_SHAPES,
    *RISK_SHAPES,
    *ALERT_SHAPES,
    *JUDGEMENT_SHAPES,
    *DOWNLOAD_SHAPES,
    RefusalShape(),
)
_KINDS = frozenset({*(shape.source for shape in _LISTINGS), *SOURCES.values()})

ENTITY_SHAPES: tuple[Shape, ...] = (*_LISTINGS, ManifestShape(_KINDS))
"""Every shape; no record is recognised by two of them."""
