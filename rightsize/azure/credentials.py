"""Signing in: azure-identity as it is, by one of its credentials or by its default chain of them."""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from azure.core.credentials import AccessToken, TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline.transport import RequestsTransport

from rightsize.azure.clouds import Cloud
from rightsize.azure.throttle import LONGEST_WAIT, Clock
from rightsize.azure.wire import StoppedError, UnsettledError
from rightsize.model.errors import AccessError, ServiceError, UsageError

_CONNECT_TIMEOUT = 10.0
_READ_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class SignIn:
    """Who is signed in: the credential that answered, and what its token says of tenant and caller."""

    credential: str
    tenant_id: str
    principal_id: str
    name: str
    has_mfa: bool = False
    """Whether the token says that a second factor was used (`amr`)."""


class PatientTransport(RequestsTransport):  # type: ignore[misc]  # azure-core hands it out without a type
    """The connection to the token endpoint: azure-identity asks again by itself, and its waits end here.

    It waits as long as it is told to, an hour too, and nobody could interrupt it.
    """

    def __init__(self, clock: Clock) -> None:
        # Of a virtual machine's own endpoint, which is near or not there at all; others take no longer.
        super().__init__(connection_timeout=_CONNECT_TIMEOUT, read_timeout=_READ_TIMEOUT)
        self._clock = clock

    def sleep(self, duration: float) -> None:
        """Wait.

        Raises:
            UnsettledError: For longer than any service is waited for.
            StoppedError: The run is told to stop.
        """
        if duration > LONGEST_WAIT:
            raise UnsettledError(f"sign-in wants to be left alone for {duration:,.0f} seconds")
        self._clock.sleep(duration)


def _default(cloud: Cloud, transport: PatientTransport) -> TokenCredential:
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415  each imports what it needs

    return DefaultAzureCredential(authority=cloud.authority, transport=transport)


def _cli(cloud: Cloud, transport: PatientTransport) -> TokenCredential:  # noqa: ARG001  `az` knows its cloud itself
    from azure.identity import AzureCliCredential  # noqa: PLC0415

    return AzureCliCredential()


def _env(cloud: Cloud, transport: PatientTransport) -> TokenCredential:
    from azure.identity import EnvironmentCredential  # noqa: PLC0415

    return EnvironmentCredential(**_options(cloud, transport))


def _managed_identity(cloud: Cloud, transport: PatientTransport) -> TokenCredential:  # noqa: ARG001  so does a machine
    import os  # noqa: PLC0415

    from azure.identity import ManagedIdentityCredential  # noqa: PLC0415

    client_id = os.environ.get("AZURE_CLIENT_ID") or None
    return ManagedIdentityCredential(client_id=client_id, transport=transport)


def _workload(cloud: Cloud, transport: PatientTransport) -> TokenCredential:
    from azure.identity import WorkloadIdentityCredential  # noqa: PLC0415

    return WorkloadIdentityCredential(**_options(cloud, transport))


def _browser(cloud: Cloud, transport: PatientTransport) -> TokenCredential:
    from azure.identity import InteractiveBrowserCredential  # noqa: PLC0415

    return InteractiveBrowserCredential(**_options(cloud, transport))


def _device_code(cloud: Cloud, transport: PatientTransport) -> TokenCredential:
    from azure.identity import DeviceCodeCredential  # noqa: PLC0415

    return DeviceCodeCredential(**_options(cloud, transport))


def _options(cloud: Cloud, transport: PatientTransport) -> dict[str, Any]:
    return {
        "authority": cloud.authority,
        "disable_instance_discovery": not cloud.instance_discovery,
        "transport": transport,
    }


CREDENTIALS: Mapping[str, Callable[[Cloud, PatientTransport], TokenCredential]] = {
    "default": _default,
    "cli": _cli,
    "env": _env,
    "managed-identity": _managed_identity,
    "workload": _workload,
    "browser": _browser,
    "device-code": _device_code,
}
"""Ways to sign in. Secrets come from the environment that azure-identity documents, never from an option."""

ASKING = ("browser", "device-code")
"""Those that need a person."""


class RenewableCredential:
    """A credential of azure-identity that can be told that its token is no longer taken.

    azure-identity keeps a token until it says itself that it has expired; one that was revoked before is only let go
    with the credential. Credentials that ask a person are kept: asking again is for the person to decide.
    """

    def __init__(self, make: Callable[[], TokenCredential], *, asks: bool) -> None:
        self._make = make
        self._asks = asks
        self._inner = make()

    @property
    def name(self) -> str:
        """The class of the credential."""
        return type(self._inner).__name__

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """Return a token, as azure-identity does."""
        return self._inner.get_token(*scopes, **options)

    def renew(self) -> None:
        """Forget the tokens there are."""
        if not self._asks:
            self._inner = self._make()


def open_credential(auth: str, cloud: Cloud, clock: Clock, *, may_ask: bool = True) -> RenewableCredential:
    """Return the credential for a way to sign in; nothing is asked of it yet. Its waits pass by the clock.

    Raises:
        UsageError: There is no such way, or it would ask where that is not allowed.
        AccessError: What it needs is not set.
    """
    if auth not in CREDENTIALS:
        raise UsageError(f"`{auth}` is no way to sign in", hint=f"one of {', '.join(CREDENTIALS)}")
    if auth in ASKING and not may_ask:
        raise UsageError(f"`--auth {auth}` asks a person, and `--no-input` forbids it")
    # It warns at length about every credential of a chain that is not set up.
    logging.getLogger("azure").setLevel(logging.ERROR)
    try:
        return RenewableCredential(lambda: CREDENTIALS[auth](cloud, PatientTransport(clock)), asks=auth in ASKING)
    except (ValueError, AzureError) as error:
        raise AccessError(f"`--auth {auth}` cannot sign in: {first_line(error)}") from error


def sign_in(credential: RenewableCredential, cloud: Cloud) -> SignIn:
    """Take a token for Azure Resource Manager and tell whose it is. The token itself goes nowhere.

    Raises:
        AccessError: There is no token.
        ServiceError: The service that gives tokens wants to be left alone.
    """
    with _Watch() as watch:
        try:
            token = credential.get_token(f"{cloud.arm_audience}/.default").token
        except ClientAuthenticationError as error:
            if isinstance(found := reason_of(error), UnsettledError):
                raise ServiceError(found.reason, hint="try again later") from error
            raise AccessError(
                f"sign-in failed: {first_line(error)}", hint="`az login`, or one of the ways that `--auth` names"
            ) from error
        except (AzureError, ValueError) as error:
            raise AccessError(f"sign-in failed: {first_line(error)}") from error
    claims = _claims(token)
    name = claims.get("upn") or claims.get("app_displayname") or claims.get("appid") or ""
    return SignIn(
        credential=watch.answered or credential.name,
        tenant_id=str(claims.get("tid") or ""),
        principal_id=str(claims.get("oid") or ""),
        name=str(name),
        has_mfa="mfa" in (claims.get("amr") or ()),
    )


def reason_of(error: BaseException) -> UnsettledError | StoppedError | None:
    """Return what ended a wait, where that is why there is no token: azure-identity wraps whatever it meets."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, UnsettledError | StoppedError):
        cause = cause.__cause__
    return cause


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, short enough for a person."""
    message = str(getattr(error, "message", None) or error) or type(error).__name__
    return message.strip().split("\n")[0].rstrip(".")[:300]


class _Watch(logging.Handler):
    """Reads from the log of azure-identity which credential of a chain answered: it says so nowhere else."""

    _ACQUIRED = re.compile(r"acquired a token from (\w+)")

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.answered = ""
        self._logger = logging.getLogger("azure.identity")
        self._level = self._logger.level
        self._propagates = self._logger.propagate

    def __enter__(self) -> _Watch:
        self._logger.addHandler(self)
        self._logger.setLevel(logging.INFO)
        self._logger.propagate = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._level)
        self._logger.propagate = self._propagates

    def emit(self, record: logging.LogRecord) -> None:
        """Look at one record."""
        if found := self._ACQUIRED.search(record.getMessage()):
            self.answered = found[1]


def _claims(token: str) -> dict[str, Any]:
    """Return what a token says, unverified and only to be shown; some clouds have tokens that say nothing."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
