"""Sign in through azure-identity, with one of its credentials or its default chain."""

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

from rightsize.azure.exchange import LONGEST_WAIT, Clock
from rightsize.azure.hosts import Cloud
from rightsize.azure.wire import StoppedError, UnsettledError
from rightsize.model.errors import AccessError, ServiceError, UsageError

_CONNECT_TIMEOUT = 10.0
_READ_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class SignIn:
    """The signed-in caller: the credential that returned a token, and the tenant and principal in that token."""

    credential: str
    tenant_id: str
    principal_id: str
    name: str
    has_mfa: bool = False
    """Whether the token says that a second factor was used (`amr`)."""


class PatientTransport(RequestsTransport):  # type: ignore[misc]  # azure-core hands it out without a type
    """A transport to the token endpoint that limits how long the retries of azure-identity wait.

    azure-identity waits as long as the service asks, even an hour, and such a wait could not be interrupted.
    """

    def __init__(self, clock: Clock) -> None:
        # The endpoint of a virtual machine is near or absent; other endpoints connect as fast.
        super().__init__(connection_timeout=_CONNECT_TIMEOUT, read_timeout=_READ_TIMEOUT)
        self._clock = clock

    def sleep(self, duration: float) -> None:
        """Wait.

        Raises:
            UnsettledError: The wait is longer than LONGEST_WAIT.
            StoppedError: The run was asked to stop.
        """
        if duration > LONGEST_WAIT:
            raise UnsettledError(f"sign-in asks for a wait of {duration:,.0f} seconds, longer than allowed")
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
"""The ways to sign in that need a person."""


class RenewableCredential:
    """A credential of azure-identity that can drop its cached token after a service rejected it.

    azure-identity caches a token until it expires. To drop a token that was revoked earlier, its credential has to be
    replaced. Credentials that ask a person are not replaced: the person decides whether to sign in again.
    """

    def __init__(self, make: Callable[[], TokenCredential], *, asks: bool) -> None:
        self._make = make
        self._asks = asks
        self._inner = make()

    @property
    def name(self) -> str:
        """Return the class name of the credential."""
        return type(self._inner).__name__

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """Return a token, as azure-identity does."""
        return self._inner.get_token(*scopes, **options)

    def renew(self) -> None:
        """Drop the cached tokens, except those of a credential that asks a person."""
        if not self._asks:
            self._inner = self._make()


def open_credential(auth: str, cloud: Cloud, clock: Clock, *, may_ask: bool = True) -> RenewableCredential:
    """Return the credential for a way to sign in, without requesting a token; its waits use the clock.

    Raises:
        UsageError: There is no such way to sign in, or it would ask a person although that is not allowed.
        AccessError: A setting that it needs is missing.
    """
    if auth not in CREDENTIALS:
        raise UsageError(f"`{auth}` is not a way to sign in", hint=f"one of {', '.join(CREDENTIALS)}")
    if auth in ASKING and not may_ask:
        raise UsageError(f"`--auth {auth}` asks a person, which `--no-input` forbids")
    # azure-identity warns at length about each credential of the chain that is not set up.
    logging.getLogger("azure").setLevel(logging.ERROR)
    try:
        return RenewableCredential(lambda: CREDENTIALS[auth](cloud, PatientTransport(clock)), asks=auth in ASKING)
    except (ValueError, AzureError) as error:
        raise AccessError(f"`--auth {auth}` cannot sign in: {first_line(error)}") from error


def sign_in(credential: RenewableCredential, cloud: Cloud) -> SignIn:
    """Get a token for Azure Resource Manager and return its caller; the token itself is not kept.

    Raises:
        AccessError: There is no token.
        ServiceError: The token service asks for a longer wait than is allowed.
    """
    with _Watch() as watch:
        try:
            token = credential.get_token(f"{cloud.arm_audience}/.default").token
        except ClientAuthenticationError as error:
            if isinstance(found := reason_of(error), UnsettledError):
                raise ServiceError(found.reason, hint="try again later") from error
            raise AccessError(
                f"sign-in failed: {first_line(error)}", hint="run `az login`, or choose another way with `--auth`"
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
    """Return the error that ended a wait, if that error is the cause; azure-identity wraps errors in its own."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, UnsettledError | StoppedError):
        cause = cause.__cause__
    return cause


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, short enough for a person."""
    message = str(getattr(error, "message", None) or error) or type(error).__name__
    return message.strip().split("\n")[0].rstrip(".")[:300]


class _Watch(logging.Handler):
    """A log handler that finds which credential of a chain returned a token; only azure-identity's log says it."""

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
        """Read one log record and keep the credential's name if it has one."""
        if found := self._ACQUIRED.search(record.getMessage()):
            self.answered = found[1]


def _claims(token: str) -> dict[str, Any]:
    """Return the claims of a token, unverified and only for display; the tokens of some clouds have none."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
