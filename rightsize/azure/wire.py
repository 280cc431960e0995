"""Define a request to Azure and its response without any SDK, and the errors that a request can end with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Service = Literal["arm", "graph", "logs", "kusto", "lake", "storage"]


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One request.

    Attributes:
        service: The service that receives it.
        url: Path and query from the root of the service, or a whole URL such as a next link.
        method: GET; POST for the few queries that Azure accepts only so; PUT, PATCH, DELETE where a rollout writes.
        body: JSON text of a POST, PUT or PATCH.
        headers: Headers beside those of every request.
        budget: The budget that it counts against; `cost` is the number of units that it takes.
        is_next: Whether the URL is a next link from the service; such a link expires.
        accepts: The statuses of a good answer.
    """

    service: Service
    url: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    budget: str = ""
    cost: float = 1.0
    is_next: bool = False
    accepts: tuple[int, ...] = (200,)


@dataclass(frozen=True, slots=True)
class Response:
    """One response; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class BadAnswerError(Exception):
    """The answer cannot be used, for example half a document; a retry may help."""


class DroppedError(Exception):
    """The connection ended before the answer did."""


class FaultError(Exception):
    """A request failed; `reason` is one lower-case clause for a person."""

    def __init__(self, reason: str, code: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class RefusedError(FaultError):
    """A right or a licence is missing."""


class AbsentError(FaultError):
    """The object does not exist, or the service does not offer it there."""


class UnsettledError(FaultError):
    """The service gave no usable answer; a later request may help."""


class TooMuchError(FaultError):
    """The service cannot finish a query within its limits; smaller queries may succeed."""


class StaleLinkError(FaultError):
    """The service no longer accepts a next link."""


class NotSignedInError(FaultError):
    """There is no token, or the service rejects it."""


class StoppedError(Exception):
    """The run was asked to stop."""
