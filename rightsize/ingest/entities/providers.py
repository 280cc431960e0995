"""Read the registration of resource providers, as `az provider list` and Resource Manager list it of one subscription.

A record names the subscription in its `id`. Without one, the manifest of its file does, else a GUID in the file's name.
Source: Microsoft Learn, REST reference of Microsoft.Resources, "Providers - List".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from rightsize.ingest.entities.fields import GUID, ROWS, field, read_fields
from rightsize.ingest.entities.look import look_at
from rightsize.ingest.records import MAX_RAW_CHARACTERS
from rightsize.ingest.shapes import Context
from rightsize.store.sql import folded, literal

_STATES = ("Registered", "NotRegistered", "Registering", "Unregistering")
_POLICIES = ("RegistrationRequired", "RegistrationFree")
_FIELDS = (
    field("id", "id"),
    field("namespace", "namespace", mandatory=True),
    field("state", "registrationState", mandatory=True, words=tuple(state.lower() for state in _STATES)),
    field("policy", "registrationPolicy", words=tuple(policy.lower() for policy in _POLICIES)),
)
_ID = re.compile(r"(/subscriptions/[^/]+)?/providers/[^/]+")
_NAMESPACE = "[a-z0-9]+([.-][a-z0-9]+)*"
_NO_SUBSCRIPTION = (
    "the subscription of this provider is unknown: name the file after its id, or load it with its manifest"
)

# The name of a file decides only if it has one GUID.
_JUDGE = f"""
CREATE OR REPLACE TEMP TABLE entity_providers AS
SELECT file_id, line, {folded("namespace")} AS namespace, {folded("state")} AS state, {folded("policy")} AS policy,
    coalesce(
        nullif(regexp_extract({folded("id")}, '^/subscriptions/({GUID})/providers/', 1), ''),
        said.subscription,
        CASE WHEN len(named.ids) = 1 THEN named.ids[1] END
    ) AS subscription
FROM {ROWS} LEFT JOIN (
    SELECT file_id, any_value(subscriptions[1]) AS subscription FROM stage_vouched
    WHERE len(subscriptions) = 1 GROUP BY file_id HAVING count(DISTINCT subscriptions[1]) = 1
) AS said USING (file_id)
LEFT JOIN (
    SELECT file_id,
        list_distinct(regexp_extract_all({folded("string_split(place, '/')[-1]")}, '{GUID}')) AS ids
    FROM stage_names
) AS named USING (file_id)"""
_REASON = f"""CASE
    WHEN NOT regexp_full_match(namespace, '{_NAMESPACE}') THEN '`namespace` is not the name of a provider'
    WHEN subscription IS NULL THEN {literal(_NO_SUBSCRIPTION)} END"""


def _spelt(column: str, words: tuple[str, ...]) -> str:
    branches = " ".join(f"WHEN {literal(word.lower())} THEN {literal(word)}" for word in words)
    return f"CASE {column} {branches} END"


@dataclass(frozen=True, slots=True)
class ProviderShape:
    """A listing of the resource providers of a subscription."""

    name: str = "providers"
    source: str = "providers"

    def recognises(self, record: Mapping[str, Any], context: Context) -> bool:  # noqa: ARG002  the record says it all
        """Return whether a record has this shape: a namespace and its state."""
        look = look_at(record)
        has_id = "id" not in look.outer or look.outer["id"] is None or bool(_ID.fullmatch(look.text("id")))
        return has_id and bool(look.text("namespace")) and "registrationstate" in look.outer

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the records of `relation` into the staging tables."""
        read_fields(con, relation, _FIELDS)
        con.execute(_JUDGE)
        con.execute(
            "INSERT INTO stage_rejects (file_id, line, reason, raw) "
            f"SELECT file_id, line, {_REASON} AS reason, CAST(record AS VARCHAR)[:{MAX_RAW_CHARACTERS}] "
            f"FROM entity_providers JOIN {relation} USING (file_id, line) WHERE reason IS NOT NULL"
        )
        con.execute(
            "INSERT INTO stage_provider_registrations (file_id, line, scope, namespace, state, policy) "
            f"SELECT file_id, line, '/subscriptions/' || subscription, namespace, {_spelt('state', _STATES)}, "
            f"{_spelt('policy', _POLICIES)} FROM entity_providers WHERE {_REASON} IS NULL"
        )
        con.execute("DROP TABLE entity_providers")


PROVIDER_SHAPES = (ProviderShape(),)
