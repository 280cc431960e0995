"""Role assignments, role definitions and locks in Resource Manager: read, made, deleted, and what Azure says to it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from rightsize.azure.exchange import Exchange
from rightsize.azure.wire import AbsentError, BadAnswerError, FaultError, RefusedError, Request, UnsettledError
from rightsize.rbac.text import fold
from rightsize.rollout.bundle import Held

_VERSION = "2022-04-01"
_LOCK_VERSION = "2016-09-01"
_MOST_PAGES = 1_000

# What Azure says while one of its parts does not know yet what another was told a moment ago.
_SETTLING = frozenset(
    ("principalnotfound", "roledefinitiondoesnotexist", "roleassignmentupdatenotpermittedyet", "conflict", "")
)


class RefusalError(Exception):
    """Azure says no, and will say so again; `reason` is for a person."""

    def __init__(self, reason: str, code: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class SettlingError(Exception):
    """Azure may say otherwise in a while."""


class Arm:
    """Asks through `Exchange`, which waits and asks again where a service is busy or broken."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def assignment(self, url: str) -> dict[str, Any] | None:
        """Return the properties of an assignment, with its scope, or None where there is none."""
        found = self._get(url)
        if found is None:
            return None
        properties: dict[str, Any] = dict(found.get("properties") or {})
        properties.setdefault("scope", url.partition("/providers/Microsoft.Authorization/")[0] or "/")
        return properties

    def put_assignment(self, url: str, properties: Mapping[str, Any]) -> None:
        """Make an assignment, or raise RefusalError or SettlingError."""
        self._write(url, "PUT", {"properties": dict(properties)})

    def delete(self, url: str) -> None:
        """Delete an assignment or a definition; one that is not there is deleted. Raises RefusalError."""
        self._write(url, "DELETE", None)

    def definition(self, url: str) -> dict[str, Any] | None:
        """Return a role definition as Azure has it, or None where there is none."""
        return self._get(url)

    def put_definition(self, url: str, role: Mapping[str, Any]) -> None:
        """Make a role definition, or raise RefusalError or SettlingError."""
        self._write(url, "PUT", {"name": role.get("name"), "properties": dict(role["properties"])})

    def same_assignment(self, held: Held) -> str | None:
        """Return the id of an assignment of the same role to the same principal at the same scope, or None."""
        base = "" if held.scope == "/" else held.scope
        wanted = quote(f"principalId eq '{held.principal_id}'")
        url = f"{base}/providers/Microsoft.Authorization/roleAssignments?api-version={_VERSION}&$filter={wanted}"
        for found in self._pages(url):
            properties = found.get("properties") or {}
            role = str(properties.get("roleDefinitionId", "")).rsplit("/", 1)[-1]
            theirs = (str(properties.get("scope", "")).rstrip("/"), role, str(properties.get("principalId", "")))
            ours = (held.scope.rstrip("/"), held.role, held.principal_id)
            if tuple(map(fold, theirs)) == tuple(map(fold, ours)):
                return str(found["name"])
        return None

    def locks(self, subscription: str) -> list[str]:
        """Return the folded scopes of the locks of a subscription, its resources included."""
        url = f"{subscription}/providers/Microsoft.Authorization/locks?api-version={_LOCK_VERSION}"
        marker = "/providers/microsoft.authorization/locks/"
        return [str(found.get("id", "")).lower().partition(marker)[0] for found in self._pages(url)]

    def _get(self, url: str) -> dict[str, Any] | None:
        try:
            return self._exchange.ask(Request("arm", f"{url}?api-version={_VERSION}"), _object)
        except AbsentError:
            return None
        except (RefusedError, UnsettledError) as error:
            raise _final(error) from error

    def _pages(self, url: str) -> Iterator[Mapping[str, Any]]:
        asked, is_next = url, False
        for _ in range(_MOST_PAGES):
            try:
                document = self._exchange.ask(Request("arm", asked, is_next=is_next), _object)
            except (RefusedError, AbsentError, UnsettledError) as error:
                raise _final(error) from error
            yield from document.get("value") or []
            if not document.get("nextLink"):
                return
            asked, is_next = str(document["nextLink"]), True
        raise UnsettledError("a listing of Resource Manager does not end")

    def _write(self, url: str, method: Any, body: Mapping[str, Any] | None) -> None:
        request = Request(
            "arm",
            f"{url}?api-version={_VERSION}",
            method=method,
            body=None if body is None else json.dumps(body),
            budget="arm",
            accepts=(200, 201, 202, 204),
        )
        try:
            self._exchange.ask(request, _taken)
        except AbsentError as error:
            if method == "DELETE":
                return
            raise _final(error) from error
        except (RefusedError, UnsettledError) as error:
            raise _final(error) from error


def _final(error: FaultError) -> Exception:
    """Return what a fault means for a swap: to be asked again, to be given up, or to end the run for now."""
    code = fold(error.code)
    if isinstance(error, UnsettledError) and not code:
        return error
    if code in _SETTLING:
        return SettlingError(error.reason)
    return RefusalError(error.reason, error.code)


def _taken(content: bytes) -> None:
    """Read the answer to a write: a page of somebody else's, with a good status, says nothing of what was done."""
    if content.strip():
        _object(content)


def _object(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise BadAnswerError("something that is no JSON") from None
    if not isinstance(document, dict):
        raise BadAnswerError("something that is no object")
    return document
