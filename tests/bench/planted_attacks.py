"""Plant attacks and look-alikes in a made tenant, each with the truth about its calls.

A case has what came before it (listings and history), its calls, and what the monitoring said. Victims and hours follow
from the seed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from tests.bench.quiet_tenant import (
    ADMIN,
    COMMON,
    CONTRIBUTOR,
    FIRST,
    NOBODY,
    PEOPLE,
    RISKY,
    WORKLOADS,
    Made,
    event_rows,
    grant_id,
    grant_rows,
    group_of,
    principal_rows,
    scope_of,
    sign_in_rows,
    who,
)

START = 92
"""The first day of every attack."""
NEW = PEOPLE + WORKLOADS
"""The number of the principal that a case brings along."""
ABROAD = ("45.9.148.66", "KP")

KEYS, SETTINGS, RUN, EXPORT = RISKY[0], RISKY[1], RISKY[3], RISKY[15]
DRAFT, JOB, SNAPSHOT, RULES = RISKY[13], RISKY[14], RISKY[16], RISKY[10]
PUBLISH = "Microsoft.Automation/automationAccounts/runbooks/publish/action"
WEBHOOK = "Microsoft.Automation/automationAccounts/webhooks/write"
ACCESS, LOCK = "Microsoft.Compute/disks/beginGetAccess/action", "Microsoft.Authorization/locks/delete"
BUS, POLICIES = RISKY[6], "Microsoft.KeyVault/vaults/accessPolicies/write"
VAULT, BACKUPS = "Microsoft.KeyVault/vaults/delete", "Microsoft.RecoveryServices/vaults/delete"
ACCOUNT, MACHINE = "Microsoft.Storage/storageAccounts/delete", "Microsoft.Compute/virtualMachines/delete"
LOGS, ASSIGN = "Microsoft.Insights/diagnosticSettings/delete", "Microsoft.Authorization/roleAssignments/write"
CREDENTIAL = "microsoft.directory/applications/credentials/update"
FEDERATED = "microsoft.directory/applications/federatedIdentityCredentials/update"
ADMINISTRATORS, NETWORK = "Microsoft.Sql/servers/administrators/write", "Microsoft.Network/networkSecurityGroups/write"
CLUSTER = "Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action"


@dataclass(slots=True)
class Case:
    """An attack or a look-alike.

    Attributes:
        calls: `principal, time, operation, scope, ip`, in order: the malicious ones, or those that look so.
        history: Calls before it.
        sign_ins: `principal, time, ip, country`.
        listings: Rows of staging tables, loaded with the history.
        later: Rows of staging tables that come with the first call.
        signals: Rows of `signals` and `signal_entities` that come an hour and a half after the last call.
    """

    calls: pl.DataFrame
    history: pl.DataFrame | None = None
    sign_ins: pl.DataFrame | None = None
    listings: dict[str, pl.DataFrame] = field(default_factory=dict)
    later: dict[str, pl.DataFrame] = field(default_factory=dict)
    signals: dict[str, pl.DataFrame] = field(default_factory=dict)

    @property
    def culprits(self) -> set[str]:
        """The principals of whom a report has to name one."""
        return {who(number) for number in self.calls["principal"].unique() if number != NOBODY}


def moment(day: int, hour: float) -> dt.datetime:
    return dt.datetime.combine(FIRST, dt.time()) + dt.timedelta(days=day, hours=hour)


def calls_of(principal: int, day: int, hour: float, operations: Sequence[str], team: int, ip: str,
             minutes: float = 4) -> pl.DataFrame:  # fmt: skip
    """Return calls one after the other."""
    times = [moment(day, hour) + dt.timedelta(minutes=minutes * number) for number in range(len(operations))]
    scopes = ["/" if one.startswith("microsoft.directory") else scope_of(team, one) for one in operations]
    return pl.DataFrame({"principal": [principal] * len(operations), "time": times, "operation": list(operations),
                         "scope": scopes, "ip": [ip] * len(operations)})  # fmt: skip


def signed_in(calls: pl.DataFrame, country: str) -> pl.DataFrame:
    return calls.head(1).select("principal", pl.col("time") - pl.duration(minutes=3), "ip", country=pl.lit(country))


class Cast:
    """Who plays in the cases of a tenant."""

    def __init__(self, made: Made, seed: int) -> None:
        self.made, self.rng = made, np.random.default_rng(seed + 5000)
        busy = made.events.filter(pl.col("time") < moment(START, 0)).group_by("principal").agg(
            days=pl.col("time").dt.date().n_unique(), last=pl.col("time").max()
        )  # fmt: skip
        settled = busy.filter((pl.col("days") > 40) & (pl.col("last") > moment(START - 5, 0)))["principal"].sort()
        self.people = [n for n in settled if n < PEOPLE and n != ADMIN]
        self.jobs = [n for n in settled if n >= PEOPLE]

    def person(self) -> int:
        return int(self.rng.choice(self.people))

    def job(self) -> int:
        return int(self.rng.choice(self.jobs))

    def team(self, principal: int) -> int:
        return int(self.made.teams[principal])

    def has_been(self, principal: int, team: int) -> bool:
        """Whether a principal called there in the months before."""
        mine = self.made.events.filter((pl.col("principal") == principal) & (pl.col("time") > moment(-25, 0)))
        return bool(mine["scope"].str.starts_with(group_of(team) + "/").any())

    def ip(self, principal: int) -> str:
        return str(self.made.events.filter(pl.col("principal") == principal)["ip"].mode().sort()[0])

    def often(self, principals: Sequence[int], number: int) -> list[str]:
        """The operations that some principals use most."""
        own = self.made.events.filter(pl.col("principal").is_in(principals))["operation"].value_counts(sort=True)
        return own.sort("count", "operation", descending=True)["operation"].head(number).to_list()

    def daily(self, principal: int, operations: Sequence[str], team: int, ip: str) -> pl.DataFrame:
        """A workload's history: the same each night."""
        return pl.concat([calls_of(principal, day, 2, operations, team, ip) for day in range(START)])


def new_principal(kind: str, *, guest: bool = False, days: int = 0) -> pl.DataFrame:
    """Return the listing of the principal that a case brings along, created on a day of the log."""
    made = pl.DataFrame({"number": [NEW], "kind": [kind], "guest": [guest], "created_on": [moment(days, 9)]})
    return principal_rows(made)


def new_grant(principal: int, team: int, day: float, number: int = NEW) -> pl.DataFrame:
    return grant_rows(pl.DataFrame({"number": [number], "principal": [principal], "team": [team], "role": [CONTRIBUTOR],
                                    "created_on": [moment(0, 9) + dt.timedelta(days=day)]}))  # fmt: skip


def assignment(giver: int, day: int, hour: float, team: int, ip: str, number: int = NEW) -> pl.DataFrame:
    """Return the call that assigns a role, which a listing shows, too."""
    made = calls_of(giver, day, hour, [ASSIGN], team, ip)
    scope = f"{group_of(team)}/providers/Microsoft.Authorization/roleAssignments/{grant_id(number)}"
    return made.with_columns(scope=pl.lit(scope))


def alert(calls: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return an alert that names the first principal."""
    first, last = calls["time"].min(), calls["time"].max()
    name = "security_alert/made"
    signal = pl.DataFrame({"signal_id": [name], "source": ["security_alert"], "kind": ["alert"], "name": ["Unusual"],
                           "severity": ["high"], "status": ["new"], "first_time": [first], "last_time": [last],
                           "dismissed": [False]})  # fmt: skip
    whom = who(int(calls["principal"][0]))
    return {"signals": signal, "signal_entities": pl.DataFrame(
        {"signal_id": [name], "entity_kind": ["principal"], "value": [whom], "principal_id": [whom]})}  # fmt: skip


def sleeping_app(cast: Cast) -> Case:
    team = int(cast.rng.integers(0, 14))
    calls = calls_of(NEW, START + 2, 3.2, [KEYS, KEYS, RUN, EXPORT, BUS, SETTINGS], team, ABROAD[0], 7)
    history = pl.concat([calls_of(NEW, day, 4, COMMON[12:14], team, "20.50.3.4") for day in range(3)])
    return Case(calls, history, signed_in(calls, ABROAD[1]), {
        "principals": new_principal("ServicePrincipal"), "role_assignments": new_grant(NEW, team, -518)})  # fmt: skip


def second_grant(cast: Cast) -> Case:
    """Its holder works every day with another grant; this one has slept for as long as the log is."""
    pairs = ((int(one), team) for one in cast.rng.permutation(cast.people) for team in range(14))
    one, team = next((one, team) for one, team in pairs if not cast.has_been(one, team))
    calls = calls_of(one, START + 2, 13.3, [KEYS, KEYS, RUN, EXPORT, BUS], team, ABROAD[0], 7)
    old = {"role_assignments": new_grant(one, team, -300, 4_001)}
    return Case(calls, None, signed_in(calls, ABROAD[1]), old)


def slow_creep(cast: Cast) -> Case:
    one = cast.person()
    work = [SETTINGS, KEYS, RUN, RULES, POLICIES, DRAFT, CLUSTER, SNAPSHOT, NETWORK, ADMINISTRATORS]
    days = [0, 3, 4, 8, 10, 14, 16, 18, 22, 24]
    parts = [calls_of(one, START + day, 10.5, [what], cast.team(one), cast.ip(one))
             for day, what in zip(days, cast.rng.permutation(work), strict=True)]  # fmt: skip
    return Case(pl.concat(parts))


def new_guest(cast: Cast) -> Case:
    team, giver = int(cast.rng.integers(0, 14)), ADMIN
    calls = calls_of(NEW, START + 1, 20.1, [KEYS, SETTINGS, BUS, RUN, CLUSTER, KEYS], team, "89.44.9.1", 5)
    granted = assignment(giver, START + 1, 9.5, team, cast.ip(giver))
    return Case(calls, None, signed_in(calls, "RO"), {}, {
        "principals": new_principal("User", guest=True, days=START), "event_rows": event_rows(granted),
        "role_assignments": new_grant(NEW, team, START + 1)})  # fmt: skip


def stolen_token(cast: Cast) -> Case:
    one = cast.person()
    calls = calls_of(one, START + 1, 22.4, [SETTINGS, KEYS, BUS, RULES, CLUSTER], cast.team(one), ABROAD[0])
    return Case(calls, sign_ins=signed_in(calls, ABROAD[1]), signals=alert(calls))


def stolen_token_by_day(cast: Cast) -> Case:
    one = cast.person()
    calls = calls_of(one, START + 1, 11.4, [KEYS, POLICIES, CLUSTER, EXPORT], cast.team(one), "185.220.101.4", 6)
    return Case(calls, sign_ins=signed_in(calls, "NL"))


def runbook_and_webhook(cast: Cast) -> Case:
    one, team = cast.person(), int(cast.rng.integers(0, 14))
    night = [moment(START + day, 2.5) for day in (2, 3, 4, 5)]
    parts = [calls_of(one, START + 1, 18.5, [DRAFT, PUBLISH, WEBHOOK, JOB], cast.team(one), cast.ip(one))]
    parts += [calls_of(NEW, START + 2 + n, 2.5, [RUN, KEYS], team, "20.50.9.9") for n in range(len(night))]
    history = cast.daily(NEW, COMMON[:2], team, "20.50.9.9")
    return Case(pl.concat(parts), history, None, {"principals": new_principal("ServicePrincipal"),
                                                  "role_assignments": new_grant(NEW, team, -200)})  # fmt: skip


def machine_identity(cast: Cast) -> Case:
    one, team = cast.person(), 5
    run = calls_of(one, START + 1, 14.1, [RUN], team, cast.ip(one))
    acts = calls_of(NEW, START + 1, 14.4, [KEYS, SETTINGS, CLUSTER, EXPORT], team, "20.50.9.8")
    machine = pl.DataFrame({"scope": [scope_of(team, RUN).lower()], "principal_id": [who(NEW)], "kind": ["system"]})
    history = cast.daily(NEW, COMMON[:2], team, "20.50.9.8")
    return Case(pl.concat([run, acts]), history, None, {
        "principals": new_principal("ServicePrincipal"), "role_assignments": new_grant(NEW, team, -200),
        "resource_identities": machine})  # fmt: skip


def app_credential(cast: Cast) -> Case:
    one, app = cast.person(), cast.job()
    added = calls_of(one, START + 1, 16.2, [CREDENTIAL], cast.team(one), cast.ip(one))
    acts = calls_of(app, START + 2, 4.3, [KEYS, POLICIES, RUN, BUS], cast.team(app), ABROAD[0])
    return Case(pl.concat([added, acts]), sign_ins=signed_in(acts, ABROAD[1]))


def federated_subject(cast: Cast) -> Case:
    one, app = cast.person(), cast.job()
    added = calls_of(one, START + 1, 10.2, [FEDERATED], cast.team(one), cast.ip(one))
    acts = calls_of(app, START + 1, 12.6, [SETTINGS, KEYS, ASSIGN, CLUSTER], cast.team(app), "140.82.9.9", 9)
    return Case(pl.concat([added, acts]), sign_ins=signed_in(acts, "US"))


def night_activation(cast: Cast) -> Case:
    one = cast.person()
    mornings = [moment(START - 7 * week, 9.1) for week in range(10, 0, -1)]
    rows = {"time": [*mornings, moment(START + 2, 2.3)], "justified": [True] * 10 + [False],
            "role_definition_id": [grant_id(1)] * 10 + [grant_id(2)]}  # fmt: skip
    records = pl.DataFrame(rows).with_row_index("n").select(
        "time", "justified", "role_definition_id", record_id=pl.format("pim{}", "n"), step=pl.lit("requested"),
        plane=pl.lit("control"), principal_id=pl.lit(who(one)),
    )  # fmt: skip
    calls = calls_of(one, START + 2, 2.5, [RULES, EXPORT, KEYS], cast.team(one), cast.ip(one))
    return Case(calls, listings={"pim_records": records[:-1]}, later={"pim_records": records[-1:]})


def bulk_keys(cast: Cast) -> Case:
    one = cast.person()
    calls = calls_of(one, START + 1, 15.1, [KEYS] * 20 + [BUS] * 20, cast.team(one), cast.ip(one), 1)
    scopes = [f"{scope}{number}" for number, scope in enumerate(calls["scope"])]
    return Case(calls.with_columns(scope=pl.Series(scopes)))


def snapshot_export(cast: Cast) -> Case:
    one = cast.person()
    calls = calls_of(one, START + 1, 21.1, [SNAPSHOT, ACCESS] * 3, cast.team(one), cast.ip(one))
    return Case(calls.with_columns(scope=pl.Series([f"{s}{n // 2}" for n, s in enumerate(calls["scope"])])))


def destruction(cast: Cast) -> Case:
    one = cast.person()
    calls = calls_of(one, START + 1, 13.1, [LOCK, BACKUPS, LOGS, VAULT, ACCOUNT, MACHINE], cast.team(one), cast.ip(one))
    return Case(calls, signals=alert(calls))


def role_handed_on(cast: Cast) -> Case:
    giver, other = cast.person(), cast.person()
    team = (cast.team(other) + 1) % 14
    given = assignment(giver, START + 1, 11.2, team, cast.ip(giver), 4_000)
    acts = calls_of(other, START + 2, 10.7, [KEYS, RULES, BUS, RUN], team, cast.ip(other))
    return Case(pl.concat([given, acts]), later={"role_assignments": new_grant(other, team, START + 1, 4_000)})


ATTACKS: tuple[Callable[[Cast], Case], ...] = (
    sleeping_app, second_grant, slow_creep, new_guest, stolen_token, stolen_token_by_day, runbook_and_webhook,
    machine_identity, app_credential, federated_subject, night_activation, bulk_keys, snapshot_export, destruction,
    role_handed_on,
)  # fmt: skip


def hire(cast: Cast) -> Case:
    team = cast.team(cast.person())
    mates = [n for n in cast.people if cast.team(n) == team]
    work = cast.often(mates, 8)
    parts = [calls_of(NEW, START + 1 + day, 10, work[day : day + 3], team, "198.51.100.251", 50) for day in range(5)]
    granted = assignment(ADMIN, START + 1, 9.5, team, cast.ip(ADMIN))
    return Case(pl.concat(parts), later={"principals": new_principal("User", days=START),
                "event_rows": event_rows(granted), "role_assignments": new_grant(NEW, team, START + 1)})  # fmt: skip


def contractor(cast: Cast) -> Case:
    """A guest who is hired, and does by day what the team does."""
    case = hire(cast)
    return replace(case, later={**case.later, "principals": new_principal("User", guest=True, days=START)})


def rotation(cast: Cast) -> Case:
    """A job that changes all keys each month, as it did before."""
    team, ip = int(cast.rng.integers(0, 14)), "20.50.9.7"
    days = [(day, calls_of(NEW, day, 4.1, [KEYS] * 40, team, ip, 1)) for day in (2, 32, 62, START + 1)]
    parts = [
        (day, one.with_columns(scope=pl.Series([f"{s}k{n}" for n, s in enumerate(one["scope"])]))) for day, one in days
    ]
    history = pl.concat([*(one for day, one in parts if day < START), cast.daily(NEW, COMMON[:2], team, ip)])
    return Case(parts[-1][1], history, None, {"principals": new_principal("ServicePrincipal"),
                                              "role_assignments": new_grant(NEW, team, -200)})  # fmt: skip


def new_environment(cast: Cast) -> Case:
    """Somebody sets up twenty accounts, and reads their keys."""
    one = cast.person()
    calls = calls_of(one, START + 1, 10.1, [COMMON[11]] * 20 + [KEYS] * 20, cast.team(one), cast.ip(one), 2)
    return Case(calls.with_columns(scope=pl.Series([f"{s}e{n % 20}" for n, s in enumerate(calls["scope"])])))


def handover(cast: Cast) -> Case:
    one = cast.person()
    team, ip = cast.team(one), cast.ip(one)
    first = calls_of(one, START + 1, 10, [ASSIGN, SETTINGS], team, ip)
    last = calls_of(one, START + 3, 14, [KEYS, "Microsoft.Resources/tags/write"], team, ip)
    return Case(pl.concat([first, last]))


def night_on_call(cast: Cast) -> Case:
    one = cast.person()
    often = cast.often([one], 4)
    return Case(calls_of(one, START + 1, 3, [*often, COMMON[2], SETTINGS], cast.team(one), cast.ip(one)))


def travel(cast: Cast) -> Case:
    one = cast.person()
    often = cast.often([one], 4)
    parts = [calls_of(one, START + 1 + day, 10, often, cast.team(one), "192.88.77.9", 40) for day in range(4)]
    return Case(pl.concat(parts), sign_ins=signed_in(parts[0], "ES"))


def month_end(cast: Cast) -> Case:
    one = cast.person()
    often = cast.often([one], 3)
    return Case(calls_of(one, START + 1, 9, often * 30 + [EXPORT], cast.team(one), cast.ip(one), 3))


def drill(cast: Cast) -> Case:
    one = cast.person()
    work = [
        "Microsoft.Sql/servers/failoverGroups/failover/action",
        "Microsoft.Compute/virtualMachines/redeploy/action",
        "Microsoft.Network/trafficManagerProfiles/write",
        COMMON[0],
    ]
    return Case(calls_of(one, START + 4, 10, work, cast.team(one), cast.ip(one), 30))


def migration(cast: Cast) -> Case:
    one = cast.person()
    team, ip = (cast.team(one) + 3) % 14, cast.ip(one)
    work = [SNAPSHOT, "Microsoft.Compute/disks/write", COMMON[3], COMMON[8]]
    return Case(pl.concat([calls_of(one, START + 1 + day, 11, work * 5, team, ip) for day in range(3)]))


def new_project(cast: Cast) -> Case:
    one = cast.person()
    team, ip = (cast.team(one) + 5) % 14, cast.ip(one)
    work = [COMMON[27], COMMON[20], KEYS, COMMON[26], RULES, COMMON[23]]
    return Case(pl.concat([calls_of(one, START + 1 + 2 * n, 10.5, [what], team, ip) for n, what in enumerate(work)]))


LOOK_ALIKES: tuple[Callable[[Cast], Case], ...] = (
    hire, contractor, rotation, new_environment, handover, night_on_call, travel, month_end, drill, migration,
    new_project,
)  # fmt: skip


def staged(case: Case, until: dt.datetime, since: dt.datetime) -> dict[str, pl.DataFrame]:
    """Return the rows of a case from a time until another, for `load_frames`."""
    rows = case.calls.filter((pl.col("time") >= since) & (pl.col("time") < until))
    frames = {"event_rows": event_rows(rows)} if rows.height else {}
    if case.sign_ins is not None:
        some = case.sign_ins.filter((pl.col("time") >= since) & (pl.col("time") < until))
        frames |= {"sign_in_rows": sign_in_rows(some)} if some.height else {}
    return frames
