"""A question to Azure and its answer, without any SDK; and the ways in which a question can end without one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Service = Literal["arm", "graph", "logs", "storage"]


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One question.

    Attributes:
        service: Who is asked.
        url: Path and query from the root of the service, or a whole URL, as a next link is.
        method: GET; POST for the few queries that Azure takes no other way; PUT, PATCH, DELETE where a rollout writes.
        body: JSON text of a POST, PUT or PATCH.
        headers: Beyond those of every request.
        budget: Which budget it counts against, and `cost` how much of it it takes.
        is_next: Whether the service gave the URL, as the rest of a listing; such a link dies after a while.
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
    """One answer; names of headers in small letters."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class BadAnswerError(Exception):
    """An answer that is none, such as half a document; it is worth asking again."""


class DroppedError(Exception):
    """The connection ended before the answer did."""


class FaultError(Exception):
    """A question that stays unanswered; `reason` is for a person, one lower-case clause."""

    def __init__(self, reason: str, code: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class RefusedError(FaultError):
    """A right or a licence is missing."""


class AbsentError(FaultError):
    """There is no such thing, or the service does not offer it there."""


class UnsettledError(FaultError):
    """The service did not do its part; asking later may help."""


class TooMuchError(FaultError):
    """A query that the service does not get done in its time; parts of it may."""


class StaleLinkError(FaultError):
    """A next link that the service no longer takes."""


class NotSignedInError(FaultError):
    """No token, or one that is not taken."""


class StoppedError(Exception):
    """The run is told to stop."""
