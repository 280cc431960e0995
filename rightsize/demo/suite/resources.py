"""Make the resources of a suite subscription, with the properties that Resource Graph shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rightsize.demo.suite.jobs import resource_rows
from rightsize.demo.suite.model import SuiteResource
from rightsize.demo.suite.shapes import AUDITED


def resources_of(scope: str, name: str, families: frozenset[str], of_teams: bool) -> Iterator[SuiteResource]:
    """Yield the resources of a subscription of some families; those of one type refer to the first of another."""
    rows = [row for row in resource_rows("team_resources" if of_teams else "resources") if row.families & families]
    first = {row.resource_type: _resource_id(scope, row.group, row.resource_type, name, 0) for row in rows}
    for row in rows:
        for number in range(max(1, row.count)):
            properties: dict[str, Any] = {}
            for path, named in row.references:
                if named in first:
                    _set(properties, path.split("."), first[named])
            id_ = _resource_id(scope, row.group, row.resource_type, name, number)
            for path in row.switches:
                _set(properties, path.split("."), True)
            logs = number < (row.count if AUDITED in families and row.logging else row.logging)
            yield SuiteResource(
                id_, row.resource_type, id_.rsplit("/", 1)[-1], properties, listed=row.count > 0, sends_log=logs
            )


def _resource_id(scope: str, group: str, resource_type: str, name: str, number: int) -> str:
    short = resource_type.rsplit("/", 1)[-1].lower()[:12]
    return f"{scope}/resourceGroups/{group}/providers/{resource_type}/{short}{name}{number}"


def _set(properties: dict[str, Any], path: Sequence[str], value: str | bool) -> None:
    """Set a property as Resource Graph has it: lists of objects where a word is a plural; a text names a resource."""
    word, *rest = path
    if not rest:
        is_plain = isinstance(value, bool) or word.lower().endswith("id") or word in ("storageAccount", "keyVault")
        properties[word] = value if is_plain else {"id": value}
        return
    inner = properties.setdefault(word, [{}] if word.endswith("s") else {})
    _set(inner[0] if isinstance(inner, list) else inner, rest, value)
