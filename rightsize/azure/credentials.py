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

from rightsize.azure.clouds import Cloud
from rightsize.model.errors import AccessError, UsageError


@dataclass(frozen=True, slots=True)
class SignIn:
    """Who is signed in: the credential that answered, and what its token says of tenant and caller."""

    credential: str
    tenant_id: str
    principal_id: str
    name: str


def _default(cloud: Cloud) -> TokenCredential:
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415  each imports what it needs

    return DefaultAzureCredential(authority=cloud.authority)


def _cli(cloud: Cloud) -> TokenCredential:  # noqa: ARG001  `az` knows its cloud itself
    from azure.identity import AzureCliCredential  # noqa: PLC0415

    return AzureCliCredential()


def _env(cloud: Cloud) -> TokenCredential:
    from azure.identity import EnvironmentCredential  # noqa: PLC0415

    return EnvironmentCredential(authority=cloud.authority, disable_instance_discovery=not cloud.instance_discovery)


def _managed_identity(cloud: Cloud) -> TokenCredential:  # noqa: ARG001  the machine knows its cloud
    import os  # noqa: PLC0415

    from azure.identity import ManagedIdentityCredential  # noqa: PLC0415

    client_id = os.environ.get("AZURE_CLIENT_ID")
    return ManagedIdentityCredential(client_id=client_id) if client_id else ManagedIdentityCredential()


def _workload(cloud: Cloud) -> TokenCredential:
    from azure.identity import WorkloadIdentityCredential  # noqa: PLC0415

    return WorkloadIdentityCredential(
        authority=cloud.authority, disable_instance_discovery=not cloud.instance_discovery
    )


def _browser(cloud: Cloud) -> TokenCredential:
    from azure.identity import InteractiveBrowserCredential  # noqa: PLC0415

    return InteractiveBrowserCredential(
        authority=cloud.authority, disable_instance_discovery=not cloud.instance_discovery
    )


def _device_code(cloud: Cloud) -> TokenCredential:
    from azure.identity import DeviceCodeCredential  # noqa: PLC0415

    return DeviceCodeCredential(authority=cloud.authority, disable_instance_discovery=not cloud.instance_discovery)


CREDENTIALS: Mapping[str, Callable[[Cloud], TokenCredential]] = {
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


def open_credential(auth: str, cloud: Cloud, *, may_ask: bool = True) -> RenewableCredential:
    """Return the credential for a way to sign in; nothing is asked of it yet.

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
        return RenewableCredential(lambda: CREDENTIALS[auth](cloud), asks=auth in ASKING)
    except (ValueError, AzureError) as error:
        raise AccessError(f"`--auth {auth}` cannot sign in: {first_line(error)}") from error


def sign_in(credential: RenewableCredential, cloud: Cloud) -> SignIn:
    """Take a token for Azure Resource Manager and tell whose it is. The token itself goes nowhere.

    Raises:
        AccessError: There is no token.
    """
    with _Watch() as watch:
        try:
            token = credential.get_token(f"{cloud.arm_audience}/.default").token
        except ClientAuthenticationError as error:
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
    )


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
