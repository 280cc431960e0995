"""Generate the sample tenant that a spec describes."""

from __future__ import annotations

from rightsize.demo.calls import expand_habits
from rightsize.demo.filler import fill
from rightsize.demo.people import DOMAIN, LOGGED_ACCOUNT, SILENT_SUBSCRIPTION, read_cast, silent_days
from rightsize.demo.spec import TenantSpec
from rightsize.demo.tenant import SampleTenant


def generate(spec: TenantSpec | None = None) -> SampleTenant:
    """Return the tenant that the spec asks for; the same spec gives the same tenant."""
    spec = spec or TenantSpec()
    cast = read_cast(spec)
    filling = fill(spec, cast)
    habits = (*cast.habits, *filling.habits)
    return SampleTenant(
        spec,
        cast.tenant_id,
        DOMAIN,
        (*cast.principals, *filling.principals),
        {**cast.members, **filling.members},
        (*cast.scopes, *filling.scopes),
        cast.roles,
        (*cast.grants, *filling.grants),
        habits,
        expand_habits(spec, habits),
        (cast.places.full(LOGGED_ACCOUNT),),
        {cast.places.full(SILENT_SUBSCRIPTION): silent_days(spec)},
    )
