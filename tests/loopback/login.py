"""Serve the token endpoints of Entra, an App Service and a virtual machine, and check tokens.

Sources: Microsoft Learn, "OAuth 2.0 client credentials flow", "How to use managed identities for App Service", "Claims
challenges, claims requests and client capabilities".
"""

from __future__ import annotations

import base64
import json
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from tests.loopback.wire import Answer, Request

CLIENT_ID = "5a1d0f6e-3c52-4b8e-9c7e-2f2f0d5f7a10"
CLIENT_SECRET = "loopback-secret"
OBJECT_ID = "b7c9a6f2-0f5b-4d3e-8a41-6f9f5d1c2e30"
FEDERATED_TOKEN = "loopback-federated-token"
IDENTITY_HEADER = "loopback-identity-header"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(slots=True)
class Login:
    """Issues tokens and knows which are good.

    Attributes:
        lifetime: Seconds that a token is good for; a client sees it in `expires_in`.
    """

    tenant_id: str
    lifetime: int = 3600
    _good: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    issued: int = 0

    def handles(self, request: Request) -> bool:
        """Tell whether a request is for this part; such requests need no token."""
        path = request.path
        return (
            path.endswith(("/oauth2/v2.0/token", "/.well-known/openid-configuration", "/oauth2/v2.0/devicecode"))
            or path in ("/common/discovery/instance", "/metadata/identity/oauth2/token", "/msi/token")
            or path == "/metadata/endpoints"
        )

    def answer(self, request: Request) -> Answer:
        """Answer a request for a token, or for what stands before one."""
        path = request.path
        if path.endswith("/.well-known/openid-configuration"):
            return Answer(document=self._configuration(request.base, path.split("/")[1]))
        if path == "/common/discovery/instance":
            return Answer(document=_instances(request))
        if path == "/metadata/endpoints":
            return Answer(document=endpoints(request.base))
        if path == "/metadata/identity/oauth2/token":
            return self._managed(request, request.headers.get("metadata", "").lower() == "true")
        if path == "/msi/token":
            return self._managed(request, request.headers.get("x-identity-header") == IDENTITY_HEADER)
        return self._token(request)

    def is_good(self, request: Request) -> bool:
        """Tell whether the request carries a token that was issued here and has not run out."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        with self._lock:
            return scheme.lower() == "bearer" and self._good.get(token, 0) > time.time()

    def expire_all(self) -> None:
        """Make every token that was issued so far a bad one."""
        with self._lock:
            self._good.clear()

    def challenge(self, request: Request, *, claims: bool) -> dict[str, str]:
        """Return the header of a 401: a bare one, or one that asks for claims (continuous access evaluation)."""
        text = f'Bearer authorization_uri="{request.base}/{self.tenant_id}", '
        if not claims:
            return {"WWW-Authenticate": text + 'error="invalid_token", error_description="The token has expired."'}
        asked = {"access_token": {"nbf": {"essential": True, "value": "1790812800"}}}
        encoded = base64.b64encode(json.dumps(asked).encode()).decode()
        return {"WWW-Authenticate": f'{text}error="insufficient_claims", claims="{encoded}"'}

    def _token(self, request: Request) -> Answer:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if form.get("grant_type") != "client_credentials":
            return _refused(400, "unsupported_grant_type", "AADSTS70003: The app requested an unsupported grant type.")
        by_secret = form.get("client_secret") == CLIENT_SECRET
        by_assertion = (
            form.get("client_assertion_type") == _ASSERTION and form.get("client_assertion") == FEDERATED_TOKEN
        )
        if form.get("client_id") != CLIENT_ID or not (by_secret or by_assertion):
            return _refused(401, "invalid_client", "AADSTS7000215: Invalid client secret provided.")
        token = self._issue(form.get("scope", "").removesuffix("/.default"))
        return Answer(
            document={
                "token_type": "Bearer",
                "expires_in": self.lifetime,
                "ext_expires_in": self.lifetime,
                "access_token": token,
            }
        )

    def _managed(self, request: Request, allowed: bool) -> Answer:
        if not allowed:
            return _refused(400, "invalid_request", "Required metadata header not specified.")
        token = self._issue(request.query.get("resource", ""))
        expires = int(time.time()) + self.lifetime
        return Answer(
            document={
                "access_token": token,
                "client_id": CLIENT_ID,
                "expires_in": str(self.lifetime),
                "expires_on": str(expires),
                "resource": request.query.get("resource", ""),
                "token_type": "Bearer",
            }
        )

    def _issue(self, audience: str) -> str:
        now = int(time.time())
        with self._lock:
            self.issued += 1
            claims = {
                "aud": audience,
                "iss": f"https://sts.windows.net/{self.tenant_id}/",
                "iat": now,
                "nbf": now,
                "exp": now + self.lifetime,
                "appid": CLIENT_ID,
                "idtyp": "app",
                "oid": OBJECT_ID,
                "tid": self.tenant_id,
                "uti": f"loopback{self.issued:014d}",
                "ver": "1.0",
            }
            token = ".".join((_part({"alg": "RS256", "typ": "JWT"}), _part(claims), _part({"signed": False})))
            self._good[token] = now + self.lifetime
            return token

    def _configuration(self, base: str, tenant: str) -> dict[str, object]:
        return {
            "token_endpoint": f"{base}/{tenant}/oauth2/v2.0/token",
            "authorization_endpoint": f"{base}/{tenant}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{base}/{tenant}/oauth2/v2.0/devicecode",
            "end_session_endpoint": f"{base}/{tenant}/oauth2/v2.0/logout",
            "issuer": f"{base}/{tenant}/v2.0",
            "jwks_uri": f"{base}/{tenant}/discovery/v2.0/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "response_types_supported": ["code", "id_token"],
            "scopes_supported": ["openid", "profile"],
            "tenant_region_scope": "EU",
        }


def endpoints(base: str) -> dict[str, object]:
    """Return what a cloud says of itself (`az cloud register --endpoint-resource-manager`)."""
    return {
        "name": "loopback",
        "resourceManager": base,
        "authentication": {"loginEndpoint": base, "audiences": [base], "tenant": "common", "identityProvider": "AAD"},
        "microsoftGraphResourceId": base,
        "graph": base,
        "logAnalyticsResourceId": base,
        "portal": base,
        "gallery": base,
        "media": base,
        "batch": base,
        "sqlManagement": base,
        "graphAudience": base,
        "vmImageAliasDoc": base,
        "suffixes": {"storage": "127.0.0.1", "keyVaultDns": "vault.127.0.0.1", "sqlServerHostname": "sql.127.0.0.1"},
    }


def _instances(request: Request) -> dict[str, object]:
    host = request.base.partition("://")[2]
    return {
        "tenant_discovery_endpoint": f"{request.base}/common/v2.0/.well-known/openid-configuration",
        "api-version": "1.1",
        "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
    }


def _refused(status: int, code: str, text: str) -> Answer:
    return Answer(status, {"error": code, "error_description": text, "error_codes": [7000215]})


def _part(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")
