"""Read, list, make or delete one object of Resource Manager, and translate Azure's errors for a swap."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from rightsize.azure.exchange import Exchange
from rightsize.azure.wire import AbsentError, BadAnswerError, FaultError, RefusedError, UnsettledError, WireRequest
from rightsize.model.text import fold

_MOST_PAGES = 1_000
_SOON, _LATER = 10.0, 60.0

# Errors of Azure while a change has not reached all of its parts, and the seconds after which to ask again.
# Privileged Identity Management removes nothing within five minutes of making it.
_SETTLING = {
    "principalnotfound": _SOON,
    "subjectnotfound": _SOON,
    "roledefinitiondoesnotexist": _SOON,
    "roleassignmentupdatenotpermittedyet": _SOON,
    "conflict": _SOON,
    "": _SOON,
    "activedurationtooshort": _LATER,
}

# A subscription that the caller cannot see answers 404 to every question below it (ARM): it is not gone.
_UNSEEN = frozenset(("subscriptionnotfound", "invalidsubscriptionid", "invalidauthenticationtokentenant"))
# A 404 about the parent of the object, and not about the object itself.
_SCOPE_MISSING = frozenset(("resourcegroupnotfound", "resourcenotfound", "parentresourcenotfound"))
# 404s about the object itself (REST reference of Microsoft.Authorization); any other 404 says nothing about it.
_THING_MISSING = frozenset(
    ("", "notfound", "roleassignmentnotfound", "roledefinitionnotfound", "roledefinitiondoesnotexist")
)


class RefusalError(Exception):
    """A final refusal by Azure; `reason` is for a person."""

    def __init__(self, reason: str, code: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class ScopeGoneError(RefusalError):
    """The scope of an assignment no longer exists, and its assignments went with it."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"the scope {scope} no longer exists", "ScopeGone")


class UnseenError(RefusalError):
    """A subscription answers as if it did not exist: it may be in another tenant, hidden, or deleted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, "SubscriptionNotFound")


class SettlingError(Exception):
    """A refusal by Azure that may pass; `seconds` is the time to wait before the next try."""

    def __init__(self, reason: str, seconds: float = _SOON) -> None:
        super().__init__(reason)
        self.seconds = seconds


class Rest:
    """A client of Resource Manager through `Exchange`, which waits and retries where a service is busy or broken.

    Every method raises RefusalError, SettlingError, or a FaultError where Azure does not answer at all.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    @property
    def lost(self) -> int:
        """The number of tries without a good answer so far; Azure may have carried out any of them."""
        return self._exchange.tally.failed

    def get(self, url: str, version: str) -> dict[str, Any] | None:
        """Return an object, or None where Azure says that the object itself does not exist.

        Raises:
            UnseenError: Its subscription cannot be seen.
            ScopeGoneError: Azure says that the scope does not exist.
        """
        try:
            return self._exchange.ask(WireRequest("arm", f"{url}?api-version={version}"), _object)
        except AbsentError as error:
            if fold(error.code) not in _THING_MISSING:
                raise _missing(error, url) from error
            return None
        except (RefusedError, UnsettledError) as error:
            raise _final(error) from error

    def pages(self, url: str, version: str, query: str = "") -> Iterator[Mapping[str, Any]]:
        """Yield the objects of a listing, page by page; `query` is its query string besides the version."""
        asked, is_next = f"{url}?api-version={version}{query and '&'}{query}", False
        for _ in range(_MOST_PAGES):
            try:
                document = self._exchange.ask(WireRequest("arm", asked, is_next=is_next), _object)
            except AbsentError as error:
                raise _missing(error, url) from error
            except (RefusedError, UnsettledError) as error:
                raise _final(error) from error
            yield from document.get("value") or []
            if not document.get("nextLink"):
                return
            asked, is_next = str(document["nextLink"]), True
        raise UnsettledError("a listing of Resource Manager does not end")

    def write(
        self, url: str, version: str, method: Literal["PUT", "PATCH", "DELETE"], body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Make, change or delete an object, and return Azure's answer.

        A DELETE answers with the deleted object, or with nothing (204) where there was nothing to delete.
        """
        request = WireRequest(
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
            if method != "DELETE" or fold(error.code) not in _THING_MISSING:
                raise _missing(error, url) from error
            return {}
        except (RefusedError, UnsettledError) as error:
            raise _final(error) from error


def _missing(error: AbsentError, url: str) -> Exception:
    """Return the error for a 404 that is not about the requested object."""
    code = fold(error.code)
    if code in _UNSEEN:
        return UnseenError(error.reason)
    if code in _SCOPE_MISSING:
        return ScopeGoneError(url.partition("/providers/Microsoft.Authorization/")[0])
    return _final(error)


def _final(error: FaultError) -> Exception:
    """Return the error that a fault means for a swap: retry, give up, or end the run for now."""
    code = fold(error.code)
    if isinstance(error, UnsettledError) and not code:
        return error
    if code in _SETTLING:
        return SettlingError(error.reason, _SETTLING[code])
    return RefusalError(error.reason, error.code)


def _taken(content: bytes) -> dict[str, Any]:
    """Return the JSON answer to a write; any other page with a good status does not prove that it was done."""
    return _object(content) if content.strip() else {}


def _object(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise BadAnswerError("content that is not JSON") from None
    if not isinstance(document, dict):
        raise BadAnswerError("JSON that is not an object")
    return document
