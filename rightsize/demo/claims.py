"""Return the token claims that the Activity Log keeps with each call, by kind of principal."""

from __future__ import annotations

from rightsize.demo.hashing import below, guid
from rightsize.demo.tenant import Principal, SampleTenant

_MICROSOFT = "http://schemas.microsoft.com/identity/claims"
_SOAP = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims"
AZURE_PORTAL = "c44b4083-3bb0-49c1-b47d-974e53cbdf3c"
AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"


def client_of(tenant: SampleTenant, principal: Principal) -> str:
    """Return the application id of the client that a principal uses."""
    if principal.app_id:
        return principal.app_id
    return (AZURE_PORTAL, AZURE_CLI)[below(2, tenant.spec.seed, "client", principal.principal_id)]


def address_of(tenant: SampleTenant, principal: Principal) -> str:
    """Return the address that a principal calls from (RFC 5737, for documentation)."""
    network = "203.0.113" if principal.user_principal_name else "198.51.100"
    return f"{network}.{1 + below(250, tenant.spec.seed, 'address', principal.principal_id)}"


def claims_of(tenant: SampleTenant, principal: Principal) -> dict[str, str]:
    """Return the claims of a token for Azure Resource Manager."""
    issued = 1_760_000_000 + below(1_000_000, tenant.spec.seed, "issued", principal.principal_id)
    claims = {
        "aud": "https://management.core.windows.net/",
        "iss": f"https://sts.windows.net/{tenant.tenant_id}/",
        "iat": str(issued),
        "nbf": str(issued),
        "exp": str(issued + 5_100),
        "appid": client_of(tenant, principal),
        "appidacr": "2" if principal.app_id else "0",
        f"{_MICROSOFT}/objectidentifier": principal.principal_id,
        f"{_MICROSOFT}/tenantid": tenant.tenant_id,
        "uti": guid(tenant.spec.seed, "uti", principal.principal_id).replace("-", "")[:22],
        "ver": "1.0",
    }
    if principal.user_principal_name:
        claims |= {
            "http://schemas.microsoft.com/claims/authnmethodsreferences": "pwd,mfa",
            f"{_MICROSOFT}/scope": "user_impersonation",
            "ipaddr": address_of(tenant, principal),
            "name": principal.name,
            f"{_SOAP}/name": principal.user_principal_name,
            f"{_SOAP}/upn": principal.user_principal_name,
            f"{_SOAP}/nameidentifier": guid(tenant.spec.seed, "subject", principal.principal_id).replace("-", ""),
        }
    else:
        claims |= {"idtyp": "app", f"{_SOAP}/nameidentifier": principal.principal_id}
    if principal.kind == "identity":
        claims["xms_mirid"] = principal.resource_id
    return claims
