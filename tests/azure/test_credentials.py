"""A sign-in names its source, and never shows the token."""

from __future__ import annotations

import base64
import json
import logging
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError

from rightsize.azure import credentials
from rightsize.azure.credentials import PatientTransport, RenewableCredential, open_credential, sign_in
from rightsize.azure.hosts import CLOUDS
from rightsize.azure.wire import StoppedError, UnsettledError
from rightsize.model.errors import AccessError, ServiceError, UsageError
from tests.azure.hurried import Hurried

PUBLIC = CLOUDS["public"]


def token_of(**claims: Any) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in ({}, claims, {})]
    return ".".join(parts)


class Fake:
    def __init__(self, token: str | Exception, says: str = "") -> None:
        self.token, self.says = token, says
        self.scopes: list[str] = []

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes += scopes
        if isinstance(self.token, Exception):
            raise self.token
        if self.says:
            logging.getLogger("azure.identity.chained").info(self.says)
        return AccessToken(self.token, 4_000_000_000)


def renewable(fake: Fake) -> RenewableCredential:
    return RenewableCredential(lambda: fake, asks=False)


def test_the_token_says_who_it_is() -> None:
    fake = Fake(token_of(tid="t1", oid="o1", upn="ana@contoso.example"))
    who = sign_in(renewable(fake), PUBLIC)
    assert (who.credential, who.tenant_id, who.principal_id, who.name) == ("Fake", "t1", "o1", "ana@contoso.example")
    assert fake.scopes == ["https://management.azure.com/.default"]
    assert fake.token not in repr(who)


def test_the_credential_of_a_chain_that_answered_is_named() -> None:
    fake = Fake(token_of(), says="DefaultAzureCredential acquired a token from AzureCliCredential")
    assert sign_in(renewable(fake), PUBLIC).credential == "AzureCliCredential"
    assert not logging.getLogger("azure.identity").handlers


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "a.%.c", f"a.{base64.urlsafe_b64encode(b'[1]').decode()}.c"])
def test_a_token_that_says_nothing_will_do(token: str) -> None:
    assert sign_in(renewable(Fake(token)), PUBLIC).tenant_id == ""


@pytest.mark.parametrize("error", [ClientAuthenticationError("no\nlong story"), ServiceRequestError("no route")])
def test_no_token_is_an_access_error(error: Exception) -> None:
    with pytest.raises(AccessError) as caught:
        sign_in(renewable(Fake(error)), PUBLIC)
    assert "long story" not in caught.value.message


def test_an_unknown_way_is_told_the_ways() -> None:
    with pytest.raises(UsageError) as caught:
        open_credential("password", PUBLIC, Hurried())
    assert "managed-identity" in str(caught.value.hint)


@pytest.mark.parametrize("auth", credentials.ASKING)
def test_nobody_is_asked_where_that_is_forbidden(auth: str) -> None:
    with pytest.raises(UsageError, match="--no-input"):
        open_credential(auth, PUBLIC, Hurried(), may_ask=False)


def test_renewing_makes_a_fresh_credential_but_asks_nobody_twice() -> None:
    made: list[Fake] = []

    def make() -> Fake:
        made.append(Fake(f"token-{len(made)}"))
        return made[-1]

    credential = RenewableCredential(make, asks=False)
    assert credential.get_token("x").token == "token-0"
    credential.renew()
    assert credential.get_token("x").token == "token-1"
    asking = RenewableCredential(make, asks=True)
    asking.renew()
    assert len(made) == 3


@pytest.mark.parametrize("auth", sorted(set(credentials.CREDENTIALS) - {"workload"}))
def test_every_way_opens_the_credential_of_azure_identity(auth: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_ID", "5a1d0f6e-3c52-4b8e-9c7e-2f2f0d5f7a10")
    credential = open_credential(auth, PUBLIC, Hurried())
    assert credential.name.endswith("Credential")


def test_a_way_that_lacks_its_settings_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_ID", "AZURE_TENANT_ID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(AccessError, match="workload"):
        open_credential("workload", PUBLIC, Hurried())


@pytest.mark.parametrize(("asked", "waits"), [(7.0, [7.0]), (3600.0, [])])
def test_the_waits_of_azure_identity_pass_by_the_clock_and_have_an_end(asked: float, waits: list[float]) -> None:
    """It would sleep for as long as it is told to, and nobody could interrupt it."""
    clock = Hurried()
    transport = PatientTransport(clock)
    if waits:
        transport.sleep(asked)
    else:
        with pytest.raises(UnsettledError, match="3,600 seconds"):
            transport.sleep(asked)
    assert clock.waits == waits
    clock.stop()
    with pytest.raises((StoppedError, UnsettledError)):
        transport.sleep(asked)


def test_a_sign_in_that_wants_to_be_left_alone_is_the_services_affair() -> None:
    """azure-identity wraps what ends its waits."""
    wrapped = ClientAuthenticationError("Authentication failed")
    wrapped.__cause__ = UnsettledError("sign-in asks for a wait of 3,600 seconds")
    with pytest.raises(ServiceError, match="asks for a wait"):
        sign_in(renewable(Fake(wrapped)), PUBLIC)
