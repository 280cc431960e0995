"""Plant attacks on newer surfaces, each beside work that looks like it: inheritance, delegation, policies, keys."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

import polars as pl

from tests.bench.planted_attacks import (
    ABROAD,
    CLUSTER,
    EXPORT,
    KEYS,
    NEW,
    POLICIES,
    RULES,
    RUN,
    SETTINGS,
    START,
    Case,
    Cast,
    assignment,
    calls_of,
    moment,
    new_grant,
    new_principal,
    signed_in,
)
from tests.bench.quiet_tenant import ADMIN, COMMON, NOBODY, grant_id, group_of, scope_of, who

AGENT, STRANGER = NEW + 1, NEW + 2
"""An agent identity of the blueprint `NEW`, and somebody of another tenant whom no listing has."""
GRANTED = "microsoft.directory/servicePrincipals/appRoleAssignedTo/update"
OUTSIDE = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write"
DELEGATE = "Microsoft.ManagedServices/registrationAssignments/write"
SECRET = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
BLOB = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"
SCRIPT, POLICY = "Microsoft.Resources/deploymentScripts/write", "Microsoft.Authorization/policyAssignments/write"
REMEDIATE, UNLOG = "Microsoft.PolicyInsights/remediations/write", "Microsoft.Insights/diagnosticSettings/delete"
LOG = "Microsoft.Insights/diagnosticSettings/write"
_MAIL, _FILES, _USERS = "GET /users/{id}/messages", "GET /drives/{id}/items", "GET /users"
_AT_HOME, _CREDENTIAL = "20.50.9.6", "/federatedIdentityCredentials/x"


def _asked(principal: int, day: int, hour: float, requests: Sequence[str], ip: str) -> pl.DataFrame:
    """Return requests to Microsoft Graph."""
    times = [moment(day, hour) + dt.timedelta(minutes=3 * number) for number in range(len(requests))]
    return pl.DataFrame({"principal": [principal] * len(times), "time": times, "operation": list(requests),
                         "scope": ["/"] * len(times), "ip": [ip] * len(times)})  # fmt: skip


def _at(calls: pl.DataFrame, scope: str) -> pl.DataFrame:
    return calls.with_columns(scope=pl.lit(scope))


def _delegated(calls: pl.DataFrame, team: int) -> pl.DataFrame:
    return _at(calls, f"{group_of(team)}/providers/Microsoft.ManagedServices/registrationAssignments/{grant_id(9)}")


def _granted(giver: int, day: int, hour: float, to: int, ip: str) -> pl.DataFrame:
    """Return the consent to an application permission, whose record has the principal that got it as its object."""
    return _at(calls_of(giver, day, hour, [GRANTED], 0, ip), f"/{who(to)}")


def _agent() -> dict[str, pl.DataFrame]:
    people = pl.concat([new_principal("ServicePrincipal", days=-200)] * 2).with_columns(
        principal_id=pl.Series([who(NEW), who(AGENT)]), app_id=pl.Series(["b1", "a1"]),
        object_type=pl.Series([None, "AgentIdentity"], dtype=pl.String),
        blueprint_app_id=pl.Series([None, "b1"], dtype=pl.String),
    )  # fmt: skip
    return {"principals": people, "agent_blueprints": pl.DataFrame({"blueprint_app_id": ["b1"], "object_id": ["o1"]})}


def _used_to(principal: int) -> pl.DataFrame:
    return pl.concat([_asked(principal, day, 6, [_USERS], _AT_HOME) for day in range(START)])


def _machine(team: int, scope: str, kind: str = "user") -> dict[str, pl.DataFrame]:
    """Return the listings of an identity with a grant, attached to a resource."""
    rows = {"scope": [scope.lower()], "principal_id": [who(NEW)], "kind": [kind], "identity_scope": [""]}
    return {"principals": new_principal("ServicePrincipal"), "role_assignments": new_grant(NEW, team, -200),
            "resource_identities": pl.DataFrame(rows)}  # fmt: skip


def inherited_permission(cast: Cast) -> Case:
    one = cast.person()
    calls = pl.concat([_granted(one, START + 1, 15.2, NEW, cast.ip(one)),
                       _asked(AGENT, START + 2, 11.1, [_MAIL, _FILES, _MAIL], ABROAD[0])])  # fmt: skip
    return Case(calls, _used_to(AGENT), listings=_agent())


def trusted_outsider(cast: Cast) -> Case:
    one = cast.person()
    team, identity = cast.team(one), scope_of(cast.team(one), OUTSIDE)
    added = _at(calls_of(one, START + 1, 10.2, [OUTSIDE], team, cast.ip(one)), f"{identity}{_CREDENTIAL}")
    acts = calls_of(NEW, START + 1, 12.4, [KEYS, SETTINGS, RUN, CLUSTER], team, ABROAD[0])
    history = cast.daily(NEW, COMMON[:2], team, _AT_HOME)
    return Case(pl.concat([added, acts]), history, listings=_machine(team, identity, "self"))


def lighthouse(cast: Cast) -> Case:
    one = cast.person()
    team = cast.team(one)
    given = _delegated(calls_of(one, START + 1, 16.3, [DELEGATE], team, cast.ip(one)), team)
    acts = calls_of(STRANGER, START + 2, 10.3, [KEYS, SETTINGS, RUN, EXPORT], team, "89.44.9.3")
    return Case(pl.concat([given, acts]))


def vault_policy(cast: Cast) -> Case:
    one = cast.person()
    work = [POLICIES, SECRET, SECRET, SECRET, POLICIES]
    calls = calls_of(one, START + 1, 14.2, work, cast.team(one), cast.ip(one), 5)
    vault = scope_of(cast.team(one), SECRET)
    names = ["/accessPolicies/add", "/secrets/a", "/secrets/b", "/secrets/c", "/accessPolicies/remove"]
    return Case(calls.with_columns(scope=pl.Series([vault + name for name in names])))


def deployment_script(cast: Cast) -> Case:
    one = cast.person()
    team = cast.team(one)
    script = scope_of(team, SCRIPT)
    calls = [calls_of(one, START + 1, 13.1, [SCRIPT], team, cast.ip(one)),
             calls_of(NEW, START + 1, 13.3, [KEYS, SETTINGS, CLUSTER], team, "20.50.9.8")]  # fmt: skip
    return Case(pl.concat(calls), cast.daily(NEW, COMMON[:2], team, "20.50.9.8"), listings=_machine(team, script))


def policy_identity(cast: Cast) -> Case:
    one = cast.person()
    team = cast.team(one)
    policy = _at(calls_of(one, START + 1, 11.1, [POLICY], team, cast.ip(one)),
                 f"{group_of(team)}/providers/Microsoft.Authorization/policyAssignments/p1")  # fmt: skip
    acts = calls_of(NEW, START + 1, 12.2, [RUN, KEYS, SETTINGS, RULES], team, "20.50.9.5")
    calls = [policy, assignment(one, START + 1, 11.2, team, cast.ip(one), 4_002),
             calls_of(one, START + 1, 11.4, [REMEDIATE], team, cast.ip(one)), acts]  # fmt: skip
    return Case(pl.concat(calls), later={"principals": new_principal("ServicePrincipal", days=START + 1),
                                         "role_assignments": new_grant(NEW, team, START + 1, 4_002)})  # fmt: skip


def consented_role(cast: Cast) -> Case:
    one, app = cast.person(), cast.job()
    calls = [_granted(one, START + 1, 17.1, app, cast.ip(one)),
             _asked(app, START + 2, 3.2, [_MAIL, _FILES, "GET /groups"], ABROAD[0])]  # fmt: skip
    return Case(pl.concat(calls), _used_to(app), signed_in(calls[1], ABROAD[1]))


def group_at_night(cast: Cast) -> Case:
    one = cast.person()
    mornings = [moment(START - 7 * week, 9.1) for week in range(10, 0, -1)]
    records = pl.DataFrame({"time": [*mornings, moment(START + 2, 2.2)], "justified": [True] * 10 + [False]})
    records = records.with_row_index("n").select(
        "time", "justified", group_id=pl.lit(grant_id(3)), record_id=pl.format("group{}", "n"),
        step=pl.lit("requested"), plane=pl.lit("group"), principal_id=pl.lit(who(one)),
    )  # fmt: skip
    calls = calls_of(one, START + 2, 2.4, [RULES, EXPORT, KEYS], cast.team(one), cast.ip(one))
    return Case(calls, listings={"pim_records": records[:-1]}, later={"pim_records": records[-1:]})


def _read_by_sas(day: int, hour: float, team: int, ip: str, number: int = 6) -> pl.DataFrame:
    calls = calls_of(NOBODY, day, hour, [BLOB] * number, team, ip, 1)
    return _at(calls, scope_of(team, KEYS) + "/blobServices/default/containers/c")


def _other_accounts() -> pl.DataFrame:
    """Another account that is read by SAS every day, so that the log is known to begin long before."""
    return pl.concat([_read_by_sas(day, 5, 15, "20.50.9.1", 1) for day in range(START)])


def keys_and_sas(cast: Cast) -> Case:
    one = cast.person()
    calls = [calls_of(one, START + 1, 15.3, [KEYS], cast.team(one), cast.ip(one)),
             _read_by_sas(START + 1, 16.1, cast.team(one), "89.44.9.4")]  # fmt: skip
    return Case(pl.concat(calls), _other_accounts())


def logs_off_first(cast: Cast) -> Case:
    one = cast.person()
    return Case(calls_of(one, START + 1, 12.1, [UNLOG, UNLOG, KEYS, EXPORT, RUN], cast.team(one), cast.ip(one)))


SURFACES: tuple[Callable[[Cast], Case], ...] = (
    inherited_permission, trusted_outsider, lighthouse, vault_policy, deployment_script, policy_identity,
    consented_role, group_at_night, keys_and_sas, logs_off_first,
)  # fmt: skip


def agent_release(cast: Cast) -> Case:
    """The administrator, who consents every week, gives a permission that the agent then uses."""
    before = [_granted(ADMIN, 7 * week, 9, 2_000 + week, cast.ip(ADMIN)) for week in range(START // 7)]
    calls = [_granted(ADMIN, START + 1, 9.3, NEW, cast.ip(ADMIN)), _asked(AGENT, START + 2, 11, [_FILES], _AT_HOME)]
    return Case(pl.concat(calls), pl.concat([_used_to(AGENT), *before]), listings=_agent())


def pipeline_trust(cast: Cast) -> Case:
    """A team moves its deployment to another pipeline, which does what the one before did."""
    one = cast.person()
    team, identity = cast.team(one), scope_of(cast.team(one), OUTSIDE)
    added = _at(calls_of(one, START + 1, 10.2, [OUTSIDE], team, cast.ip(one)), f"{identity}{_CREDENTIAL}")
    acts = calls_of(NEW, START + 1, 12.4, [*COMMON[:2], COMMON[12]], team, _AT_HOME)
    return Case(pl.concat([added, acts]), cast.daily(NEW, COMMON[:2], team, _AT_HOME),
                listings=_machine(team, identity, "self"))  # fmt: skip


def provider_renewed(cast: Cast) -> Case:
    """A service provider of long standing gets its delegation again, and works on as before."""
    one = cast.person()
    team = cast.team(one)
    given = _delegated(calls_of(one, START + 1, 9.3, [DELEGATE], team, cast.ip(one)), team)
    work = calls_of(STRANGER, START + 1, 14, COMMON[:3], team, "89.44.9.3")
    return Case(pl.concat([given, work]), cast.daily(STRANGER, COMMON[:3], team, "89.44.9.3"))


def vault_set_up(cast: Cast) -> Case:
    """Somebody lets an application read a vault, and reads nothing."""
    one = cast.person()
    return Case(_at(calls_of(one, START + 1, 14, [POLICIES], cast.team(one), cast.ip(one)),
                    scope_of(cast.team(one), SECRET) + "/accessPolicies/add"))  # fmt: skip


def scripted_release(cast: Cast) -> Case:
    """A release runs its script, and its identity does what it does each night."""
    one = cast.person()
    team = cast.team(one)
    script = scope_of(team, SCRIPT)
    calls = [calls_of(one, START + 1, 13.1, [SCRIPT], team, cast.ip(one)),
             calls_of(NEW, START + 1, 13.3, [*COMMON[:2], COMMON[14]], team, "20.50.9.8")]  # fmt: skip
    return Case(pl.concat(calls), cast.daily(NEW, COMMON[:2], team, "20.50.9.8"), listings=_machine(team, script))


def policy_rollout(cast: Cast) -> Case:
    """The administrator assigns a policy, gives its identity a role, and the policy sets up logs."""
    team = 3
    policy = _at(calls_of(ADMIN, START + 1, 11.1, [POLICY], team, cast.ip(ADMIN)),
                 f"{group_of(team)}/providers/Microsoft.Authorization/policyAssignments/p1")  # fmt: skip
    calls = [policy, assignment(ADMIN, START + 1, 11.2, team, cast.ip(ADMIN), 4_002),
             calls_of(NEW, START + 1, 12.2, [COMMON[12], LOG], team, "20.50.9.5")]  # fmt: skip
    return Case(pl.concat(calls), later={"principals": new_principal("ServicePrincipal", days=START + 1),
                                         "role_assignments": new_grant(NEW, team, START + 1, 4_002)})  # fmt: skip


def application_release(cast: Cast) -> Case:
    app = cast.job()
    before = [_granted(ADMIN, 7 * week, 9, 2_000 + week, cast.ip(ADMIN)) for week in range(START // 7)]
    calls = [_granted(ADMIN, START + 1, 9.3, app, cast.ip(ADMIN)), _asked(app, START + 2, 10, [_FILES], cast.ip(app))]
    return Case(pl.concat(calls), pl.concat([_used_to(app), *before]))


def group_by_day(cast: Cast) -> Case:
    """The same activation, in the morning and with a reason."""
    case = group_at_night(cast)
    one = int(case.calls["principal"][0])
    last = case.later["pim_records"].with_columns(time=pl.lit(moment(START + 2, 9.3)), justified=pl.lit(True))
    work = calls_of(one, START + 2, 9.6, cast.often([one], 3), cast.team(one), cast.ip(one))
    return Case(work, listings=case.listings, later={"pim_records": last})


def keys_for_a_tool(cast: Cast) -> Case:
    """A job that lists the keys of an account each night, and a tool that reads it with them."""
    team = int(cast.rng.integers(0, 14))
    nights = [_read_by_sas(day, 2.5, team, _AT_HOME) for day in range(START)]
    listed = calls_of(NEW, START + 1, 2, [KEYS], team, _AT_HOME)
    calls = pl.concat([listed, _read_by_sas(START + 1, 2.5, team, _AT_HOME)])
    history = pl.concat([_other_accounts(), cast.daily(NEW, [KEYS], team, _AT_HOME), *nights])
    return Case(calls, history, listings={"principals": new_principal("ServicePrincipal"),
                                          "role_assignments": new_grant(NEW, team, -200)})  # fmt: skip


def logs_moved(cast: Cast) -> Case:
    """Somebody sends logs to another workspace: deletes the setting, and writes the new one."""
    one = cast.person()
    return Case(calls_of(one, START + 1, 12.1, [UNLOG, LOG], cast.team(one), cast.ip(one)))


SURFACES_ALIKE: tuple[Callable[[Cast], Case], ...] = (
    agent_release, pipeline_trust, provider_renewed, vault_set_up, scripted_release, policy_rollout,
    application_release, group_by_day, keys_for_a_tool, logs_moved,
)  # fmt: skip
