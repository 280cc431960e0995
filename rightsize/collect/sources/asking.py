"""Build the requests of sources to ARM and Graph: path, parameters and budget."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from rightsize.azure.wire import WireRequest
from rightsize.collect.listing import CollectionUnit, Known

AUTHORIZATION = "/providers/Microsoft.Authorization"


def arm(path: str, version: str, *, budget: str = "", **parameters: str) -> WireRequest:
    """Return a request to ARM; a parameter `filter` is sent as `$filter`."""
    query = {"api-version": version, **{f"${name}": value for name, value in parameters.items()}}
    return WireRequest("arm", f"{quote(path, safe='/()$')}?{_query(query)}", budget=budget or f"arm:{_bucket(path)}")


def graph(path: str, *, beta: bool = False, budget: str = "graph", cost: float = 1.0, **parameters: str) -> WireRequest:
    """Return a request to Graph; a parameter `select` is sent as `$select`."""
    query = {f"${name}": value for name, value in parameters.items()}
    # Only an eventually consistent index answers filters on some properties.
    headers: Mapping[str, str] = {"ConsistencyLevel": "eventual"} if "count" in parameters else {}
    url = f"/{'beta' if beta else 'v1.0'}{quote(path, safe='/()')}" + (f"?{_query(query)}" if query else "")
    return WireRequest("graph", url, headers=headers, budget=budget, cost=cost)


def _query(parameters: Mapping[str, str]) -> str:
    return "&".join(f"{name}={quote(value, safe='(),')}" for name, value in parameters.items())


def _bucket(path: str) -> str:
    """Return the bucket of a path: ARM counts reads per subscription, and those at the tenant together."""
    parts = path.split("/")
    return parts[2].lower() if parts[1:2] == ["subscriptions"] and len(parts) > 2 else "tenant"


def subscription_scope(identifier: str) -> str:
    """Return the scope of a subscription."""
    return f"/subscriptions/{identifier}"


def of_each_subscription(known: Known, path: str, version: str, **parameters: str) -> Iterator[CollectionUnit]:
    """Yield a unit for each subscription that requests `path` below it."""
    for identifier in known.subscriptions():
        scope = subscription_scope(identifier)
        yield CollectionUnit(scope, (arm(f"{scope}{path}", version, **parameters),), scope)


def instant(moment: dt.datetime) -> str:
    """Return a time in the format of filters, in UTC."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def slices(first: dt.datetime, last: dt.datetime, days: int) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """Yield consecutive slices of a time range, each `days` long; the last may be shorter."""
    while first < last:
        end = min(first + dt.timedelta(days=days), last)
        yield first, end
        first = end
