"""How the questions of sources are written: paths with their parameters, for each service."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from rightsize.azure.wire import WireRequest
from rightsize.collect.listing import CollectionUnit, Known

AUTHORIZATION = "/providers/Microsoft.Authorization"


def arm(path: str, version: str, *, budget: str = "", **parameters: str) -> WireRequest:
    """Return a question for ARM; a parameter `filter` is sent as `$filter`."""
    query = {"api-version": version, **{f"${name}": value for name, value in parameters.items()}}
    return WireRequest("arm", f"{quote(path, safe='/()$')}?{_query(query)}", budget=budget or f"arm:{_bucket(path)}")


def graph(path: str, *, beta: bool = False, budget: str = "graph", cost: float = 1.0, **parameters: str) -> WireRequest:
    """Return a question for Graph; a parameter `select` is sent as `$select`."""
    query = {f"${name}": value for name, value in parameters.items()}
    # Filters on some properties are answered only by the index that lags a little behind.
    headers: Mapping[str, str] = {"ConsistencyLevel": "eventual"} if "count" in parameters else {}
    url = f"/{'beta' if beta else 'v1.0'}{quote(path, safe='/()')}" + (f"?{_query(query)}" if query else "")
    return WireRequest("graph", url, headers=headers, budget=budget, cost=cost)


def _query(parameters: Mapping[str, str]) -> str:
    return "&".join(f"{name}={quote(value, safe='(),')}" for name, value in parameters.items())


def _bucket(path: str) -> str:
    """ARM counts reads for each subscription by itself, and those of the tenant together."""
    parts = path.split("/")
    return parts[2].lower() if parts[1:2] == ["subscriptions"] and len(parts) > 2 else "tenant"


def subscription_scope(identifier: str) -> str:
    """Return the scope of a subscription."""
    return f"/subscriptions/{identifier}"


def of_each_subscription(known: Known, path: str, version: str, **parameters: str) -> Iterator[CollectionUnit]:
    """Yield a unit for each subscription: `path` below it."""
    for identifier in known.subscriptions():
        scope = subscription_scope(identifier)
        yield CollectionUnit(scope, (arm(f"{scope}{path}", version, **parameters),), scope)


def instant(moment: dt.datetime) -> str:
    """Return a time as filters have it."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def slices(first: dt.datetime, last: dt.datetime, days: int) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """Yield the parts of a time, each of so many days; the last may be shorter."""
    while first < last:
        end = min(first + dt.timedelta(days=days), last)
        yield first, end
        first = end
