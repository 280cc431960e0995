"""Declare the sign-in logs of Microsoft Entra.

Sources: Microsoft Learn, "signIn resource type" of Microsoft Graph and the sign-in tables of Log Analytics.
"""

from __future__ import annotations

from rightsize.rules.log_source import LogSource, Stage

_CATEGORIES = (
    "signinlogs", "noninteractiveusersigninlogs", "serviceprincipalsigninlogs", "managedidentitysigninlogs",
    "microsoftserviceprincipalsigninlogs",
)  # fmt: skip

SOURCE = LogSource(
    name="sign_in",
    source="sign_in_log",
    records="sign_in",
    sent_by="tenant",
    covered=("interactive", "non_interactive", "service_principal", "managed_identity"),
    needed=("correlation_id",),
    tables=(
        "signinlogs", "aadnoninteractiveusersigninlogs", "aadserviceprincipalsigninlogs",
        "aadmanagedidentitysigninlogs", "microsoftserviceprincipalsigninlogs",
    ),
    collected=("SigninLogs", "AADNonInteractiveUserSignInLogs", "AADServicePrincipalSignInLogs", "AADManagedIdentitySignInLogs"),
    categories=_CATEGORIES,
    category_stage=Stage.CATEGORY,
    recognised=(
        (
            Stage.LIKELY,
            "is_unnamed AND app_id IS NOT NULL AND coalesce(user_id, user_name, service_principal_id) IS NOT NULL",
        ),
    ),
    likely_keys=(frozenset({"appid", "createddatetime"}),),
    row_time="createddatetime",
    camel={"agent": ("agent",)},
    pascal={"agent": ("Agent",)},
)  # fmt: skip
