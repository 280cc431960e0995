"""List the shapes of all exports that are no logs: listings, catalogues, and the manifests of their folders."""

from __future__ import annotations

from rightsize.ingest.entities.alerts import ALERT_SHAPES
from rightsize.ingest.entities.azure_roles import ASSIGNMENT_SHAPES, DEFINITION_SHAPES
from rightsize.ingest.entities.directory import DIRECTORY_SHAPES, MEMBER_TABLES
from rightsize.ingest.entities.directory_roles import DIRECTORY_ROLE_SHAPES
from rightsize.ingest.entities.graph_permissions import GRAPH_CATALOGUE_SHAPES, PERMISSION_SHAPES
from rightsize.ingest.entities.judgements import JUDGEMENT_SHAPES, RISK_SHAPES
from rightsize.ingest.entities.log_tables import DOWNLOAD_SHAPES, REDUCED_SHAPES, CountedShape
from rightsize.ingest.entities.manifests import ManifestShape
from rightsize.ingest.entities.pages import OWNER_SHAPES, RefusalShape
from rightsize.ingest.entities.pim import PIM_SHAPES, POLICY_SHAPES
from rightsize.ingest.entities.resources import RESOURCE_SHAPES, TAG_SHAPES
from rightsize.ingest.entities.scopes import OPERATION_SHAPES, PROVIDER_SHAPES, RESOURCE_POLICY_SHAPES, SCOPE_SHAPES
from rightsize.ingest.entities.shape import Shape
from rightsize.ingest.entities.workload_identities import AGENT_SHAPES, TRUST_SHAPES
from rightsize.ingest.logs.values import SOURCES

_LISTINGS: tuple[Shape, ...] = (
    # They are tried in this order, and the members of groups lie in thousands of files.
    *DIRECTORY_SHAPES,
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
    *PERMISSION_SHAPES,
    *GRAPH_CATALOGUE_SHAPES,
    *REDUCED_SHAPES,
    CountedShape(),
    *RISK_SHAPES,
    *ALERT_SHAPES,
    *JUDGEMENT_SHAPES,
    *DOWNLOAD_SHAPES,
    RefusalShape(),
)
_KINDS = frozenset({*(shape.source for shape in _LISTINGS), *SOURCES.values()})

ENTITY_SHAPES: tuple[Shape, ...] = (*_LISTINGS, ManifestShape(_KINDS))
"""Every shape; no record is recognised by two of them."""
