"""A tenant whose names were chosen by an attacker who knows how reports are made."""

from __future__ import annotations

from dataclasses import replace

from rightsize.demo.calls import expand_habits
from rightsize.demo.generator import generate
from rightsize.demo.tenant import Habit, Principal, SampleGrant, SampleScope, SampleTenant, TenantSpec

MARKUP = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
TERMINAL = "\x1b[2J\x1b]0;owned\x07\x9b31mred\x1b[0m"
BIDI = "safe\u202egnp.exe\u2066\u200b\ufeff"
FORMULA = '=HYPERLINK("http://evil.example";"click")'
PATH = "../../../../etc/passwd"
WINDOWS = "CON|<>:\\..\\nul?*"
QUOTES = 'Robert\'); DROP TABLE principals;-- "quoted" `ticks` \\ backslash'
TEMPLATE = "${env:SECRET} %{ if true } {{7*7}} $(id) #{self}"
LINES = "first\nsecond\r\nthird\tcolumn\x00".replace("\x00", "")
MARKDOWN = "[x](javascript:alert(1)) | *bold* | <b>bold</b> ![i](http://evil.example/i.png)"
SLOTS = '@{claims} #{instant} "@{caller}"'
LONG = "x" * 10_000
ASTRAL = "\U0001f3e5 Ward \U0001d54f e\u0301"
NAMES = (
    MARKUP, TERMINAL, BIDI, FORMULA, PATH, WINDOWS, QUOTES, TEMPLATE, LINES, MARKDOWN, SLOTS, LONG, ASTRAL,
    "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\tTAB", " ", "", ".", "NULL", "null", "nan", "\u2028\u2029",
)  # fmt: skip
"""What a display name may be; Azure allows most of it somewhere."""


def hostile_tenant() -> SampleTenant:
    """Return the default tenant with every name that a person can choose chosen badly.

    Ids, roles and what happens stay as they are, so that the truth of the tenant stays true. Names of resources in
    scopes are refused by Azure when they are made, but the scope of a refused call is whatever somebody asked for.
    """
    tenant = generate(TenantSpec(seed=13))
    principals = tuple(_renamed(index, principal) for index, principal in enumerate(tenant.principals))
    scopes = tuple(_renamed_scope(index, scope) for index, scope in enumerate(tenant.scopes))
    grants = tuple(_renamed_role(grant) for grant in tenant.grants)
    roles = tuple(
        replace(role, role_name=MARKUP, description=FORMULA) if role.role_type == "CustomRole" else role
        for role in tenant.roles
    )
    by_id = {grant.grant_id: grant for grant in grants}
    habits = tuple(_asked_for(habit, by_id) for habit in tenant.habits)
    calls = expand_habits(tenant.spec, habits)
    return replace(tenant, principals=principals, scopes=scopes, roles=roles, grants=grants, habits=habits, calls=calls)


def _renamed(index: int, principal: Principal) -> Principal:
    name = NAMES[index % len(NAMES)]
    upn = principal.user_principal_name and f"o'{index}+<b>${{x}}</b>{principal.user_principal_name}"
    return replace(principal, name=name, title=NAMES[(index + 5) % len(NAMES)], user_principal_name=upn)


def _renamed_scope(index: int, scope: SampleScope) -> SampleScope:
    return replace(scope, name=NAMES[index % len(NAMES)])


def _renamed_role(grant: SampleGrant) -> SampleGrant:
    role = grant.role
    return (
        replace(grant, role=replace(role, role_name=MARKUP, description=FORMULA))
        if role.role_type == "CustomRole"
        else grant
    )


def _asked_for(habit: Habit, grants: dict[str, SampleGrant]) -> Habit:
    grant = grants.get(habit.grant.grant_id, habit.grant) if habit.grant else None
    if habit.outcome == "denied" and habit.kind == "logged":
        asked = f"{habit.scope}/{MARKUP.replace('/', '|')}{TERMINAL}{BIDI}{QUOTES.replace('/', '|')}${{x}}"
        return replace(habit, scope=asked, grant=grant)
    return replace(habit, grant=grant)
