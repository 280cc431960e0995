"""Make tenants in which nothing bad happens: months of calls and sign-ins by people and workloads, in columns.

People work in teams, each with its operations and resource group, from the office and from home, and take up something
new now and then. There are hires, leavers who hand over, nights on call, travel, ends of months and a drill. Everything
follows from the seed. It is not the tenant of `rightsize demo`.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rightsize.store.connection import Store, open_store
from rightsize.store.merging.loads import merge
from rightsize.store.merging.staging import EVENT_KEY, create_staging, stage_events

FIRST, DAYS = dt.date(2026, 1, 5), 120
TEAMS, PEOPLE, WORKLOADS, HIRES, LEAVERS = 14, 110, 34, 8, 5
SUBSCRIPTION = "/subscriptions/00000001-0000-4000-8000-000000000000"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
OWNER, ACCESS_ADMINISTRATOR = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "f58310d9-a9f6-439a-9e8d-f62e7b41a168"
OWNERS = 10
"""People who hold a role that gives roles, and use it a few times a year; half of them give roles and nothing else."""
NOBODY = -1
"""Who asked, where the log does not say it."""
ADMIN = 0
"""The person who gives roles."""

_COMPUTE, _WEB, _SQL = "Microsoft.Compute/virtualMachines", "Microsoft.Web/sites", "Microsoft.Sql/servers"
COMMON = (
    f"{_COMPUTE}/start/action", f"{_COMPUTE}/deallocate/action", f"{_COMPUTE}/restart/action", f"{_COMPUTE}/write",
    f"{_WEB}/write", f"{_WEB}/restart/action", f"{_WEB}/config/write", f"{_SQL}/databases/write",
    "Microsoft.Network/networkInterfaces/write", "Microsoft.Network/virtualNetworks/subnets/join/action",
    "Microsoft.Network/publicIPAddresses/write", "Microsoft.Storage/storageAccounts/write",
    "Microsoft.Resources/deployments/write", "Microsoft.Resources/deployments/validate/action",
    "Microsoft.Resources/tags/write", "Microsoft.Insights/alertRules/write", "Microsoft.Insights/metricAlerts/write",
    "Microsoft.Insights/components/write", "Microsoft.Logic/workflows/write", "Microsoft.Cache/redis/write",
    "Microsoft.ServiceBus/namespaces/queues/write", "Microsoft.EventHub/namespaces/write",
    "Microsoft.ContainerRegistry/registries/write", "Microsoft.KeyVault/vaults/read",
    "Microsoft.Automation/automationAccounts/write", "Microsoft.Cdn/profiles/purge/action",
    "Microsoft.DocumentDB/databaseAccounts/write", "Microsoft.ContainerService/managedClusters/write",
    "Microsoft.OperationalInsights/workspaces/query/action", "Microsoft.Network/dnsZones/A/write",
    f"{_COMPUTE}ScaleSets/write", "Microsoft.DataFactory/factories/write",
)  # fmt: skip
RISKY = (
    "Microsoft.Storage/storageAccounts/listKeys/action", f"{_WEB}/config/list/action",
    f"{_WEB}/publishxml/action", f"{_COMPUTE}/runCommand/action", f"{_COMPUTE}/extensions/write",
    "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action",
    "Microsoft.ServiceBus/namespaces/authorizationRules/listkeys/action",
    "Microsoft.DocumentDB/databaseAccounts/listKeys/action", "Microsoft.Cache/redis/listKeys/action",
    f"{_SQL}/firewallRules/write", "Microsoft.Network/networkSecurityGroups/securityRules/write",
    "Microsoft.KeyVault/vaults/write", "Microsoft.Authorization/roleAssignments/write",
    "Microsoft.Automation/automationAccounts/runbooks/draft/write",
    "Microsoft.Automation/automationAccounts/jobs/write",
    f"{_SQL}/databases/export/action", "Microsoft.Compute/snapshots/write", f"{_SQL}/databases/delete",
    "Microsoft.Insights/diagnosticSettings/write", "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
)  # fmt: skip
SOUGHT = (
    "Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action",
    "Microsoft.EventHub/namespaces/authorizationRules/listKeys/action",
    "Microsoft.ContainerRegistry/registries/listCredentials/action",
    "Microsoft.Automation/automationAccounts/runbooks/publish/action",
    "Microsoft.Automation/automationAccounts/webhooks/write", "Microsoft.Compute/disks/beginGetAccess/action",
    "Microsoft.KeyVault/vaults/accessPolicies/write", "Microsoft.KeyVault/vaults/delete",
    "Microsoft.Insights/diagnosticSettings/delete", "Microsoft.Authorization/locks/delete",
    "Microsoft.RecoveryServices/vaults/delete", f"{_COMPUTE}/delete", "Microsoft.Storage/storageAccounts/delete",
    "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write",
    "Microsoft.OperationalInsights/workspaces/sharedKeys/action", f"{_SQL}/administrators/write",
    "Microsoft.Network/networkSecurityGroups/write", "Microsoft.Authorization/roleDefinitions/write",
    "Microsoft.ManagedServices/registrationAssignments/write", "Microsoft.Resources/deploymentScripts/write",
    "Microsoft.Authorization/policyAssignments/write", "Microsoft.PolicyInsights/remediations/write",
    "Microsoft.KeyVault/vaults/secrets/getSecret/action",
    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read",
)  # fmt: skip
"""Operations that attackers seek and that nobody of a quiet tenant uses every week."""


def who(number: int) -> str:
    """Return the id of a principal; people come first, then workloads, then those of an attack."""
    return f"{number + 256:08x}-0000-4000-8000-00000000aaaa"


def group_of(team: int) -> str:
    return f"{SUBSCRIPTION}/resourceGroups/rg-team{team:02d}"


def scope_of(team: int, operation: str) -> str:
    """Return the resource of a team that an operation is about."""
    provider, *types = operation.split("/")
    kind = types[0]
    return f"{group_of(team)}/providers/{provider}/{kind}/{kind[:4].lower()}{team:02d}"


@dataclass(frozen=True, slots=True)
class Made:
    """A tenant: rows of the staging tables, and who does what.

    Attributes:
        events: `principal, time, operation, scope, ip`.
        sign_ins: `principal, time, ip, country`.
        principals: `number, kind, guest, created_on`.
        grants: `number, principal, team, created_on, role`.
        teams: The team of each person and workload.
    """

    events: pl.DataFrame
    sign_ins: pl.DataFrame
    principals: pl.DataFrame
    grants: pl.DataFrame
    teams: np.ndarray[Any, Any]


def make_quiet(seed: int, days: int = DAYS) -> Made:
    """Return the tenant of a seed."""
    rng = np.random.default_rng(seed)
    total = PEOPLE + WORKLOADS
    teams = np.concatenate([rng.integers(0, TEAMS, PEOPLE), rng.integers(0, TEAMS, WORKLOADS)])
    own = _habits(rng, teams)
    parts = [_work(rng, teams, own, days), _workloads(rng, teams, days), _nights(rng, teams, own, days),
             _drill(rng, days)]  # fmt: skip
    starts = np.zeros(total, int)
    hires = rng.choice(np.arange(1, PEOPLE), HIRES, replace=False)
    starts[hires] = rng.integers(25, days - 15, HIRES)
    ends = np.full(total, days)
    leavers = rng.choice(np.setdiff1d(np.arange(1, PEOPLE), hires), LEAVERS, replace=False)
    ends[leavers] = rng.integers(50, days, LEAVERS)
    parts += [_handover(rng, teams, leavers, ends), _given(rng, teams, hires, starts, days)]
    parts += _wide_days(np.random.default_rng([seed, 1]), teams, days)
    owners = _owners(seed, teams)
    parts += [_rare_grants(np.random.default_rng([seed, 4]), owners, days),
              *_planned_deletions(np.random.default_rng([seed, 5]), teams, days)]  # fmt: skip
    calls = pl.concat(parts)
    span = pl.DataFrame({"who": np.arange(total), "start": starts, "end": ends})
    calls = calls.join(span, on="who").filter(
        (pl.col("day") >= pl.col("start")) & (pl.col("day") < pl.col("end")) & (pl.col("day") < days)
    )
    calls = _from_where(rng, calls, teams, days)
    time = pl.lit(FIRST).cast(pl.Datetime("us")) + pl.duration(days="day", seconds="second")
    events = calls.select(principal="who", time=time, operation="operation", scope="scope", ip="ip")
    sign_ins = (
        calls.group_by("who", "day", "ip", "country").agg(pl.col("second").min())
        .sort("who", "day", "ip")
        .select(principal="who", time=time - pl.duration(minutes=2), ip="ip", country="country")
    )  # fmt: skip
    created = [dt.datetime.combine(FIRST, dt.time(8)) + dt.timedelta(days=int(day) if day else -300) for day in starts]
    people = pl.DataFrame({"number": np.arange(total), "kind": ["User"] * PEOPLE + ["ServicePrincipal"] * WORKLOADS,
                           "guest": _guests(seed), "created_on": created})  # fmt: skip
    grants = people.select("number", principal="number", team=pl.Series(teams), created_on="created_on")
    grants = pl.concat([grants, _second_grants(seed, grants)]).with_columns(role=pl.lit(CONTRIBUTOR))
    held = owners.select(number=pl.col("who") + 40_000, principal="who", team="team", role="role",
                         created_on=pl.lit(moment_of(-300)))  # fmt: skip
    grants = pl.concat([grants, held.select(pl.col(name).cast(kind) for name, kind in grants.schema.items())])
    return Made(events, sign_ins, people, grants, teams)


def _calls(who_: Any, day: Any, second: Any, operation: Any, team: Any, kind: str) -> pl.DataFrame:
    frame = pl.DataFrame({"who": who_, "day": day, "second": second, "operation": operation, "team": team})
    provider, name = pl.col("operation").str.split("/").list.get(0), pl.col("operation").str.split("/").list.get(1)
    number = pl.col("team").cast(pl.String).str.pad_start(2, "0")
    scope = pl.concat_str(pl.lit(f"{SUBSCRIPTION}/resourceGroups/rg-team"), number, pl.lit("/providers/"), provider,
                          pl.lit("/"), name, pl.lit("/"), name.str.slice(0, 4).str.to_lowercase(), number)  # fmt: skip
    return frame.select(pl.col("who").cast(pl.Int64), pl.col("day").cast(pl.Int64), pl.col("second").cast(pl.Int64),
                        "operation", scope=scope, kind=pl.lit(kind))  # fmt: skip


def _guests(seed: int) -> np.ndarray[Any, Any]:
    """One of twenty people is a guest, and has been for long."""
    people = np.arange(PEOPLE + WORKLOADS)
    return (people < PEOPLE) & (people != ADMIN) & (np.random.default_rng([seed, 2]).random(len(people)) < 0.05)


def _second_grants(seed: int, grants: pl.DataFrame) -> pl.DataFrame:
    """A third of the people hold an old role at another team, too, and use it now and then, or never."""
    rng = np.random.default_rng([seed, 3])
    some = grants.filter(pl.Series(rng.random(grants.height) < 0.33) & (pl.col("principal") < PEOPLE))
    far = pl.Series((some["team"].to_numpy() + rng.integers(1, TEAMS, some.height)) % TEAMS)
    return some.with_columns(number=pl.col("number") + 20_000, team=far.cast(some["team"].dtype))


def _wide_days(rng: np.random.Generator, teams: np.ndarray[Any, Any], days: int) -> list[pl.DataFrame]:
    """Days on which one operation is used on many resources.

    A quarter of the people read keys of one to some resources now and then, three jobs read those of about ten each
    night, and one changes those of forty each month. Six new environments are set up, and their keys are read; half of
    them are torn down ten days later.
    """
    readers = rng.choice(PEOPLE, PEOPLE // 4, replace=False)
    one, at = np.nonzero((rng.random((len(readers), days)) < 0.3) & (((np.arange(days) + FIRST.weekday()) % 7) < 5))
    often = rng.geometric(1 / 1.8, len(one))
    night, number = np.meshgrid(np.arange(days), np.arange(3), indexing="ij")
    listed = rng.negative_binomial(4, 4 / 13, night.size) + 1
    month = np.flatnonzero((np.arange(days) + FIRST.day) % 30 == 15)
    made = rng.choice(PEOPLE, 6, replace=False)
    begun = rng.integers(25, days - 12, 6)
    gone = made[:3], begun[:3] + 10
    keys, account = RISKY[0], "Microsoft.Storage/storageAccounts/write"
    jobs = PEOPLE + WORKLOADS - 4
    return [
        _each(rng, teams, readers[one], at, often, keys, 12, 11),
        _each(rng, teams, number.ravel() + jobs, night.ravel(), listed, keys, 40, 3),
        _each(rng, teams, np.full(len(month), jobs + 3), month, np.full(len(month), 40), keys, 400, 4),
        _each(rng, teams, made, begun, np.full(6, 12), account, 0, 10),
        _each(rng, teams, made, begun, np.full(6, 12), keys, 0, 13),
        _each(rng, teams, *gone, np.full(3, 12), "Microsoft.Storage/storageAccounts/delete", 0, 15),
    ]


def _each(
    rng: np.random.Generator, teams: np.ndarray[Any, Any], people: Any, day: Any, often: Any, operation: str,
    pool: int, hour: int,
) -> pl.DataFrame:  # fmt: skip
    """Return calls of one operation on several resources a day, out of a pool, or on all of a new environment."""
    place = np.concatenate([np.arange(count) for count in often]) if len(often) else np.zeros(0, int)
    person, at = np.repeat(people, often), np.repeat(day, often)
    place = rng.integers(0, pool, len(place)) if 0 < pool <= 40 else place
    rows = _calls(person, at, hour * 3600 + 600 + 5 * place, np.full(len(place), operation), teams[person], "wide")
    made = np.repeat(np.arange(len(often)), often)
    names = [f"x{n}" if pool else f"n{m}x{n}" for m, n in zip(made, place, strict=True)]
    return rows.with_columns(scope=pl.col("scope") + pl.Series(names))


def moment_of(day: int) -> dt.datetime:
    return dt.datetime.combine(FIRST, dt.time(8)) + dt.timedelta(days=day)


def _owners(seed: int, teams: np.ndarray[Any, Any]) -> pl.DataFrame:
    """Return `who, team, role`: old grants that may give roles, at the own team or at another one."""
    rng = np.random.default_rng([seed, 6])
    chosen = rng.choice(np.arange(1, PEOPLE), OWNERS, replace=False)
    team = np.where(rng.random(OWNERS) < 0.5, teams[chosen], rng.integers(0, TEAMS, OWNERS))
    role = np.where(np.arange(OWNERS) < OWNERS // 2, ACCESS_ADMINISTRATOR, OWNER)
    return pl.DataFrame({"who": chosen, "team": team, "role": role})


def _rare_grants(rng: np.random.Generator, owners: pl.DataFrame, days: int) -> pl.DataFrame:
    """Each owner gives a role about every seven weeks, sometimes two in a row."""
    happens = rng.random((len(owners), days)) < 1 / 50
    happens &= (((np.arange(days) + FIRST.weekday()) % 7) < 5)[None, :]
    one, day = np.nonzero(happens)
    often = 1 + (rng.random(len(one)) < 0.3)
    one, day = np.repeat(one, often), np.repeat(day, often)
    second = 10 * 3600 + rng.integers(0, 6 * 3600, len(one))
    who_, team = (owners[name].to_numpy()[one] for name in ("who", "team"))
    return _calls(who_, day, second, np.full(len(one), RISKY[12]), team, "work")


def _planned_deletions(rng: np.random.Generator, teams: np.ndarray[Any, Any], days: int) -> list[pl.DataFrame]:
    """Four people take old things of their team down: stopped and tagged a week before, then deleted by day."""
    people, begun = rng.choice(np.arange(1, PEOPLE), 4, replace=False), rng.integers(40, days - 10, 4)
    begun = begun + (7 - (begun + FIRST.weekday()) % 7) % 7
    often = rng.integers(3, 9, 4)
    steps = [(0, f"{_COMPUTE}/deallocate/action", 10), (1, f"{_COMPUTE}/write", 11), (7, f"{_COMPUTE}/delete", 14),
             (1, "Microsoft.Storage/storageAccounts/write", 12),
             (8, "Microsoft.Storage/storageAccounts/delete", 15)]  # fmt: skip
    return [_each(rng, teams, people, begun + after, often, operation, 500, hour) for after, operation, hour in steps]


_EVERY = np.array(COMMON + RISKY)
_WEIGHT = np.concatenate([np.full(len(COMMON), 1.0), np.full(len(RISKY), 0.45)])
_CHANCE = _WEIGHT / _WEIGHT.sum()


def _habits(rng: np.random.Generator, teams: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return ten operations for each person, out of sixteen of the team."""
    of_team = np.stack([rng.choice(len(_EVERY), 16, replace=False, p=_CHANCE) for _ in range(TEAMS)])
    return np.stack([rng.permutation(of_team[team])[:10] for team in teams[:PEOPLE]])


def _work(rng: np.random.Generator, teams: np.ndarray[Any, Any], own: np.ndarray[Any, Any], days: int) -> pl.DataFrame:
    """Ordinary work: each person's operations with a long tail, something new about once in two months."""
    chance = 1 / np.arange(1, 11) ** 1.1
    day = np.arange(days)
    works = (rng.random((PEOPLE, days)) < 0.86) & (((day + FIRST.weekday()) % 7) < 5)[None, :]
    calls = np.where(works, rng.poisson(5, (PEOPLE, days)) + 1, 0)
    month_end = np.isin((np.datetime64(FIRST) + day + 2).astype("datetime64[M]") - (np.datetime64(FIRST) + day)
                        .astype("datetime64[M]"), np.timedelta64(1, "M"))  # fmt: skip
    calls = np.where(works & month_end[None, :] & (teams[:PEOPLE] % 5 == 0)[:, None], calls * 8, calls)
    number = calls.sum()
    person, at = (np.repeat(one, calls.ravel()) for one in np.indices(calls.shape).reshape(2, -1))
    chosen = own[person, rng.choice(10, number, p=chance / chance.sum())]
    new = rng.random(number) < 1 / 270
    chosen = np.where(new, rng.choice(len(_EVERY), number, p=_CHANCE), chosen)
    early = rng.integers(7, 10, PEOPLE)
    second = (early[person] * 3600 + rng.integers(0, 9 * 3600, number)).astype(int)
    team = np.where(rng.random(number) < 0.04, rng.integers(0, TEAMS, number), teams[person])
    return _calls(person, at, second, _EVERY[chosen], team, "work")


def _workloads(rng: np.random.Generator, teams: np.ndarray[Any, Any], days: int) -> pl.DataFrame:
    every = _EVERY
    own = np.stack([rng.choice(len(every), 5, replace=False) for _ in range(WORKLOADS)])
    period = rng.choice([1, 1, 1, 1, 7, 30], WORKLOADS)
    phase = rng.integers(0, 30, WORKLOADS)
    runs = ((np.arange(days)[None, :] + phase[:, None]) % period[:, None]) == 0
    job, day = np.nonzero(runs)
    job, day = np.repeat(job, 5), np.repeat(day, 5)
    hour = rng.integers(0, 24, WORKLOADS)
    second = hour[job] * 3600 + rng.integers(0, 900, len(job))
    chosen = own[job, np.tile(np.arange(5), len(job) // 5)]
    new = rng.random(len(job)) < 1 / 900
    chosen = np.where(new, rng.integers(0, len(every), len(job)), chosen)
    return _calls(job + PEOPLE, day, second, every[chosen], teams[job + PEOPLE], "job")


def _nights(
    rng: np.random.Generator, teams: np.ndarray[Any, Any], own: np.ndarray[Any, Any], days: int
) -> pl.DataFrame:
    """Nights on call: every third night somebody of a rota of twelve is woken, and repairs what is in its charge."""
    nights = np.flatnonzero(rng.random(days) < 0.33)
    rota = rng.choice(PEOPLE, 12, replace=False)
    person, day = np.repeat(rng.choice(rota, len(nights)), 3), np.repeat(nights, 3)
    second = np.repeat(rng.integers(0, 5, len(nights)), 3) * 3600 + rng.integers(0, 3600, len(day))
    return _calls(person, day, second, _EVERY[own[person, rng.integers(0, 10, len(day))]], teams[person], "night")


def _drill(rng: np.random.Generator, days: int) -> pl.DataFrame:
    """A disaster drill: on a Saturday four people fail over another team, with operations that they never use."""
    day = 7 * rng.integers(6, days // 7) - FIRST.weekday() + 5
    people = np.repeat(rng.choice(PEOPLE, 4, replace=False), 4)
    work = np.array(["Microsoft.Sql/servers/failoverGroups/failover/action", f"{_COMPUTE}/start/action",
                     "Microsoft.Network/trafficManagerProfiles/write", f"{_COMPUTE}/redeploy/action",
                     "Microsoft.RecoveryServices/vaults/replicationFabrics/write"])  # fmt: skip
    second = 9 * 3600 + rng.integers(0, 6 * 3600, len(people))
    return _calls(people, np.full(len(people), day), second, rng.choice(work, len(people)),
                  np.full(len(people), 3), "drill")  # fmt: skip


def _handover(rng: np.random.Generator, teams: np.ndarray[Any, Any], leavers: Any, ends: Any) -> pl.DataFrame:
    """In the last week: roles given on, settings looked up, an export or a deletion of what was one's own."""
    work = np.array([RISKY[0], RISKY[1], f"{_SQL}/databases/export/action", f"{_COMPUTE}/delete", COMMON[14]])
    person = np.repeat(leavers, 3)
    day = ends[person] - rng.integers(1, 6, len(person))
    second = 10 * 3600 + rng.integers(0, 5 * 3600, len(person))
    return _calls(person, day, second, rng.choice(work, len(person)), teams[person], "handover")


def _given(rng: np.random.Generator, teams: np.ndarray[Any, Any], hires: Any, starts: Any, days: int) -> pl.DataFrame:
    """The administrator gives each hire a role, and gives about two more a week."""
    day = np.concatenate([starts[hires], rng.integers(0, days, days // 4)])
    team = np.concatenate([teams[hires], rng.integers(0, TEAMS, days // 4)])
    rows = _calls(np.full(len(day), ADMIN), day, np.full(len(day), 8 * 3600 + 600),
                  np.full(len(day), "Microsoft.Authorization/roleAssignments/write"), team, "given")  # fmt: skip
    names = [grant_id(int(number)) for number in hires] + [grant_id(10_000 + n) for n in range(days // 4)]
    place = pl.col("scope").str.extract("^(.*/resourceGroups/[^/]+)")
    return rows.with_columns(
        scope=place + "/providers/Microsoft.Authorization/roleAssignments/" + pl.Series("name", names)
    )


def grant_id(number: int) -> str:
    return f"{number + 256:08x}-0000-4000-8000-00000000bbbb"


def _from_where(rng: np.random.Generator, calls: pl.DataFrame, teams: np.ndarray[Any, Any], days: int) -> pl.DataFrame:
    """Office or home, one a day; each person travels with a chance of one week in sixteen weeks; jobs never move."""
    total = len(teams)
    person, day = calls["who"].to_numpy(), calls["day"].to_numpy()
    at_home = rng.random((total, days + 1)) < 0.4
    away = np.zeros((total, days + 1), int)
    for one in rng.choice(PEOPLE, PEOPLE // 2, replace=False):
        begin = rng.integers(0, days - 6)
        away[one, begin : begin + 5] = rng.integers(1, 40)
    place, night = away[person, day], (calls["kind"] == "night").to_numpy()
    home = np.char.add(np.char.add("203.0.", (person % 250).astype(str)), ".7")
    office = np.char.add("198.51.100.", (10 + person % 200).astype(str))
    abroad = np.char.add(np.char.add("192.88.", place.astype(str)), ".9")
    job = np.char.add(np.char.add("20.50.", (person % 8).astype(str)), ".4")
    ip = np.where(
        person >= PEOPLE, job, np.where(place > 0, abroad, np.where(at_home[person, day] | night, home, office))
    )
    country = np.where((place > 0) & (person < PEOPLE), np.array(["FR", "US", "ES", "IT"])[place % 4], "GB")
    return calls.with_columns(ip=pl.Series(ip), country=pl.Series(country))


def write_quiet(made: Made, db: Path) -> None:
    """Write a tenant into a new store, listings first."""
    with open_store(db, read_only=False) as store:
        load_frames(store, {"operations": operation_rows(), "role_definitions": role_rows(),
                            "principals": principal_rows(made.principals),
                            "role_assignments": grant_rows(made.grants)}, "listings")  # fmt: skip
        load_frames(store, {"event_rows": event_rows(made.events), "sign_in_rows": sign_in_rows(made.sign_ins)}, "logs")


def operation_rows() -> pl.DataFrame:
    names = sorted({*COMMON, *RISKY, *SOUGHT})
    data = [any(part in name for part in ("/vaults/secrets/", "/blobs/")) for name in names]
    return pl.DataFrame({"operation": names, "is_data_action": data, "is_guess": False,
                         "provider": [name.split("/")[0] for name in names]})  # fmt: skip


ROLES = {
    CONTRIBUTOR: ("Contributor", ["*"], ["Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write"]),
    OWNER: ("Owner", ["*"], []),
    ACCESS_ADMINISTRATOR: (
        "Role Based Access Control Administrator",
        ["Microsoft.Authorization/roleAssignments/write", "Microsoft.Authorization/roleAssignments/delete", "*/read"],
        [],
    ),
}
"""What everybody holds at the resource group of a team, and what owners hold beside it."""


def role_rows() -> pl.DataFrame:
    names = ("actions", "notActions", "dataActions", "notDataActions", "condition", "conditionVersion")
    blocks = [dict(zip(names, (actions, off, [], [], None, None), strict=True)) for _, actions, off in ROLES.values()]
    return pl.DataFrame({"role_definition_id": list(ROLES), "role_name": [name for name, *_ in ROLES.values()],
                         "role_type": "BuiltInRole", "assignable_scopes": [["/"]] * len(ROLES),
                         "permissions": [json.dumps([one], separators=(",", ":")) for one in blocks]})  # fmt: skip


def principal_rows(people: pl.DataFrame) -> pl.DataFrame:
    name = pl.format("{}{}", pl.col("kind").str.to_lowercase(), "number")
    return people.select(
        principal_id=pl.col("number").map_elements(who, return_dtype=pl.String), principal_type="kind",
        display_name=name, user_principal_name=pl.when(pl.col("kind") == "User").then(name + "@made.example"),
        user_type=pl.when(pl.col("guest")).then(pl.lit("Guest")).otherwise(pl.lit("Member")),
        created_on="created_on", listed=pl.lit(True),
    )  # fmt: skip


def grant_rows(grants: pl.DataFrame) -> pl.DataFrame:
    return grants.select(
        role_assignment_id=pl.col("number").map_elements(grant_id, return_dtype=pl.String), state=pl.lit("active"),
        principal_id=pl.col("principal").map_elements(who, return_dtype=pl.String),
        role_definition_id=pl.col("role"), created_on="created_on",
        role_name=pl.col("role").replace_strict({one: name for one, (name, *_) in ROLES.items()}),
        scope=pl.col("team").map_elements(group_of, return_dtype=pl.String),
    )  # fmt: skip


def event_rows(events: pl.DataFrame) -> pl.DataFrame:
    """Return rows of logs for `principal, time, operation, scope, ip`; the log follows from the operation.

    A request to storage by nobody (-1) came with a SAS.
    """
    operation, nobody = pl.col("operation"), pl.col("principal") == NOBODY
    logs = (
        pl.when(operation.str.starts_with("microsoft.directory/")).then(pl.lit("directory entra_audit_log"))
        .when(operation.str.contains(" ")).then(pl.lit("graph graph_activity_log"))
        .when(operation.str.contains("/vaults/secrets/")).then(pl.lit("data key_vault_log"))
        .when(operation.str.contains("/blobs/")).then(pl.lit("data storage_log"))
        .otherwise(pl.lit("control activity_log"))
    ).str.split(" ")  # fmt: skip
    rows = events.with_row_index("n").with_columns(
        correlation_id=pl.format("{}-{}-{}", "principal", pl.col("time").dt.timestamp("us"), "n"), logs=logs
    )
    return rows.select(
        "time", "operation", "scope", "ip", "correlation_id",
        plane=pl.col("logs").list.first(), source=pl.col("logs").list.last(),
        category=pl.lit("Administrative"), outcome=pl.lit("succeeded"), rank=pl.lit(4),
        access=pl.when(nobody).then(pl.lit("sas")),
        principal_id=pl.when(~nobody).then(pl.col("principal").map_elements(who, return_dtype=pl.String)),
        key_correlation=pl.col("correlation_id"), key_operation=pl.col("operation").str.to_lowercase(),
        key_scope=pl.col("scope").str.to_lowercase(),
    )  # fmt: skip


def sign_in_rows(sign_ins: pl.DataFrame) -> pl.DataFrame:
    return sign_ins.with_row_index("n").select(
        "time", "ip", "country", sign_in_id=pl.format("s{}-{}", pl.col("time").dt.timestamp("us"), "n"),
        principal_id=pl.col("principal").map_elements(who, return_dtype=pl.String), kind=pl.lit("interactive"),
        app_id=pl.lit("04b07795-8ddb-461a-bbee-02f9e1bf7b46"), succeeded=pl.lit(True),
        resource_id=pl.lit("797f4846-ba00-4fd7-ba43-dac1f8f63013"),
    )  # fmt: skip


def load_frames(store: Store, frames: dict[str, pl.DataFrame], name: str) -> None:
    """Stage the frames, each by the name of its staging table, and merge them as one load of one file."""
    con = store.connection
    create_staging(con)
    read = sum(frame.height for frame in frames.values())
    about = pl.DataFrame({"file_id": [0], "path": [name], "source": ["made"], "sha256": [name], "read": [read],
                          "rejected": [0]})  # fmt: skip
    for table, frame in {"files": about, **frames}.items():
        rows = frame if table == "files" else frame.with_row_index("line", offset=1).with_columns(file_id=pl.lit(0))
        con.register("made_rows", rows)
        if table == "event_rows":
            known = {column for column, *_ in con.execute("DESCRIBE stage_event_rows").fetchall()} - {"event_key"}
            missing = ", ".join(f"NULL AS {column}" for column in sorted(known - set(rows.columns)))
            keys = "key_correlation, key_operation, key_scope"
            stage_events(con, f"SELECT * EXCLUDE ({keys}), {EVENT_KEY} AS event_key, {missing} FROM made_rows")
        else:
            con.execute(f"INSERT INTO stage_{table} BY NAME SELECT * FROM made_rows")
        con.unregister("made_rows")
    merge(store)
