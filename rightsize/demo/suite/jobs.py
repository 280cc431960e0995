"""Read the tables beside this module (jobs and their needs, resources, chances), and make resources of them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, Literal, cast

from rightsize.demo.suite.model import AUDITED, NeedKind, SignsIn, SuiteResource
from rightsize.model.text import fold

SUBSCRIPTION, GROUP = "subscription", "group"
"""The targets of needs that are about no resource."""
QUARTERLY = "quarterly"


@dataclass(frozen=True, slots=True)
class ResourceRow:
    """A type of resource: the families of subscriptions that have it, its resource group, and its references.

    `count` is the number of resources of a family; 0 means one that came and went. `logging` of them send the log of
    their data plane, all of them in an audited subscription. `references` are (path of the property, type of the
    resource that it names), and `switches` are paths of properties that are true.
    """

    resource_type: str
    families: frozenset[str]
    group: str
    count: int
    logging: int
    references: tuple[tuple[str, str], ...]
    switches: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NeedRow:
    """A need of a job; `every` is the number of days between two uses, None for quarterly work.

    One with an `environment` comes up in the subscription of that name only. Where `draws` is not 0, the operation is
    a pattern, and that many of the catalogue's changes that it matches are drawn.
    """

    kind: NeedKind
    operation: str
    target: str
    every: int | None
    cause: str
    environment: str = ""
    draws: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """A kind of work: who does it, which roles its holders have in real tenants, and what they need.

    Attributes:
        family: The family of resources that it works on.
        kind: Whether a user, an application or a managed identity does it.
        broad: The broad role that covers all its needs but data actions.
        narrow: A narrower built-in role that some holders have instead; empty for none.
        data: A role with data actions that its holders have besides; empty for none.
        weight: Its number of holders in the smallest tenant; 0 where the tenant draws it.
        logged: The chance, of a thousand, that a holder has one of its logged needs.
    """

    name: str
    family: str
    kind: Literal["user", "app", "identity"]
    broad: str
    narrow: str
    data: str
    weight: int
    needs: tuple[NeedRow, ...]
    logged: int

    def within(self, environment: str) -> Job:
        """Return the job as its holders do it in a subscription."""
        return replace(self, needs=tuple(row for row in self.needs if row.environment in ("", environment)))


@dataclass(frozen=True, slots=True)
class Bystander:
    """Principals without a job that hold one kind of assignment.

    Attributes:
        name: Their name, which gets a number.
        kind: Whether they are users, applications or managed identities.
        role: The role; empty for those who have none.
        place: `root`, `top` for the top management group, `subscription`, or a type of resource.
        state: Whether the assignment is active or eligible.
        counts: Their number by shape of the tenant.
        by_design: The word that says why the assignment has to stay; empty where it does not.
        owner: The tenant that owns the applications, empty for the tenant itself.
        age: The age of account and assignment in days, None for old ones.
        activated: The days on which the assignment was activated without a call.
        signs_in: As in `SuitePrincipal`.
    """

    name: str
    kind: Literal["user", "app", "identity"]
    role: str
    place: str
    state: Literal["active", "eligible"]
    counts: Mapping[str, int]
    by_design: str
    owner: str
    age: int | None
    activated: tuple[int, ...]
    signs_in: SignsIn


@cache
def bystanders() -> tuple[Bystander, ...]:
    """Return those without a job, in the table's order."""
    return tuple(
        Bystander(
            row["name"],
            cast(Literal["user", "app", "identity"], row["kind"]),
            row["role"],
            row["place"],
            "eligible" if row["state"] == "eligible" else "active",
            {"small": int(row["small"]), "large": int(row["large"])},
            row["by_design"],
            row["owner"],
            int(row["created"]) if row["created"] else None,
            tuple(map(int, row["activated"].split())),
            cast(SignsIn, row["signs_in"]),
        )
        for row in _rows("bystanders")
    )


@cache
def rates() -> Mapping[str, int]:
    """Return the chances, of a thousand; the table has the reason of each."""
    return {row["what"]: int(row["of_a_thousand"]) for row in _rows("rates")}


@cache
def jobs() -> tuple[Job, ...]:
    """Return the jobs of tenants in which few people share a job, in the table's order."""
    return _read_jobs("jobs", "needs")


@cache
def team_jobs() -> tuple[Job, ...]:
    """Return the jobs that tenants of teams draw from, in the table's order."""
    return _read_jobs("team_jobs", "team_needs")


def _read_jobs(table: str, of_needs: str) -> tuple[Job, ...]:
    needs: dict[str, list[NeedRow]] = {}
    for row in _rows(of_needs):
        every = None if row["cadence"] == QUARTERLY else int(row["cadence"])
        needs.setdefault(row["job"], []).append(
            NeedRow(
                cast(NeedKind, row["class"]),
                row["operation"],
                row["target"],
                every,
                row["cause"],
                row.get("environment", ""),
                int(row.get("draws") or 0),
            )
        )
    return tuple(
        Job(
            row["job"],
            row["family"],
            cast(Literal["user", "app", "identity"], row["kind"]),
            row["broad"],
            row["narrow"],
            row["data"],
            int(row.get("weight") or 0),
            tuple(needs[row["job"]]),
            rates()["logged"],
        )
        for row in _rows(table)
    )


@cache
def resource_rows(table: Literal["resources", "team_resources"]) -> tuple[ResourceRow, ...]:
    """Return the types of resources of a table, in its order."""
    return tuple(
        ResourceRow(
            row["type"],
            frozenset(row["families"].split()),
            row["group"],
            int(row["count"]),
            int(row["logging"]),
            tuple((path, named) for path, _, named in (one.partition("=") for one in row["references"].split())),
            tuple(row["switches"].split()),
        )
        for row in _rows(table)
    )


def target_scope(operation: str, target_type: str, base: str) -> str:
    """Return the scope of a call: the object of the operation on a resource, in it, or as an extension of it.

    Args:
        operation: The operation.
        target_type: The type of the resource, or `SUBSCRIPTION` or `GROUP`.
        base: The id of the resource, resource group or subscription.
    """
    words = operation.split("/")
    types = words[: -2 if fold(words[-1]) == "action" else -1]
    own = target_type.split("/") if "/" in target_type else []
    if fold("/".join(types)) in (
        "microsoft.resources/subscriptions",
        "microsoft.resources/subscriptions/resourcegroups",
    ):
        return base
    if own and fold("/".join(types[: len(own)])) == fold(target_type):
        below = types[len(own) :]
        if below[:1] == ["blobServices"]:
            # Azure decides about blobs at their container.
            return f"{base}/blobServices/default" + ("/containers/main" if "containers" in below else "")
        return base + "".join(f"/{word}/main" for word in below)
    if len(types) < 2:
        return base
    return f"{base}/providers/{types[0]}" + "".join(f"/{word}/main" for word in types[1:])


def _rows(name: str) -> list[dict[str, str]]:
    text = (files("rightsize.demo.suite") / "data" / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


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
