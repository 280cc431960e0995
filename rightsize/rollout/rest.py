"""One thing of Resource Manager read, listed, made or deleted, and what an error of Azure means for a swap."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from rightsize.azure.exchange import Exchange
from rightsize.azure.wire import AbsentError, BadAnswerError, FaultError, RefusedError, Request, UnsettledError
from rightsize.rbac.text import fold

_MOST_PAGES = 1_000
_SOON, _LATER = 10.0, 60.0

# What Azure says while one of its parts does not know yet what another was told a moment ago, and the seconds after
# which it is worth asking again. Privileged Identity Management takes nothing back within five minutes.
_SETTLING = {
    "principalnotfound": _SOON,
    "subjectnotfound": _SOON,
    "roledefinitiondoesnotexist": _SOON,
    "roleassignmentupdatenotpermittedyet": _SOON,
    "conflict": _SOON,
    "": _SOON,
    "activedurationtooshort": _LATER,
}


class RefusalError(Exception):
    """Azure says no, and will say so again; `reason` is for a person."""

    def __init__(self, reason: str, code: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class SettlingError(Exception):
    """Azure may say otherwise in a while; `seconds` is how long to leave it alone."""

    def __init__(self, reason: str, seconds: float = _SOON) -> None:
        super().__init__(reason)
        self.seconds = seconds


class Rest:
    """Asks through `Exchange`, which waits and asks again where a service is busy or broken.

    Every method raises RefusalError, SettlingError, or a FaultError where Azure does not answer at all.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def get(self, url: str, version: str) -> dict[str, Any] | None:
        """Return a thing, or None where there is none."""
        try:
            return self._exchange.ask(Request("arm", f"{url}?api-version={version}"), _object)
        except AbsentError:
            return None
        except (RefusedError, UnsettledError) as error:
            raise _final(error) from error

    def pages(self, url: str, version: str, query: str = "") -> Iterator[Mapping[str, Any]]:
        """Yield the things of a listing, page by page; `query` is what its question says besides the version."""
        asked, is_next = f"{url}?api-version={version}{query and '&'}{query}", False
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

    def write(
        self, url: str, version: str, method: Literal["PUT", "PATCH", "DELETE"], body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Make, change or delete a thing, and return what Azure answers; what is not there is deleted."""
        request = Request(
            "arm",
            f"{url}?api-version={version}",
            method=method,
            body=None if body is None else json.dumps(body),
            budget="arm",
            accepts=(200, 201, 202, 204),
        )
        try:
            return self._exchange.ask(request, _taken)
        except AbsentError as error:
            if method == "DELETE":
                return {}
            raise _final(error) from error
        except (RefusedError, UnsettledError) as error:
            raise _final(error) from error


def _final(error: FaultError) -> Exception:
    """Return what a fault means for a swap: to be asked again, to be given up, or to end the run for now."""
    code = fold(error.code)
    if isinstance(error, UnsettledError) and not code:
        return error
    if code in _SETTLING:
        return SettlingError(error.reason, _SETTLING[code])
    return RefusalError(error.reason, error.code)


def _taken(content: bytes) -> dict[str, Any]:
    """Read the answer to a write: a page of somebody else's, with a good status, says nothing of what was done."""
    return _object(content) if content.strip() else {}


def _object(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise BadAnswerError("something that is no JSON") from None
    if not isinstance(document, dict):
        raise BadAnswerError("something that is no object")
    return document
