"""Plant vaults with access policies by seed, as exports of a suite tenant, and judge a plan by what was planted.

Two vaults have a log; one has none; in one a pipeline writes policies; one has a policy on behalf of an application.
Each has holders that use much, little at single secrets, or nothing, groups of which some members use something, a
deleted holder, and a policy of another tenant. The judge shares nothing with the plan: it matches patterns of roles by
itself, and has its own table of what permissions allow.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from rightsize.demo.inventory_files import OBJECT_ID, audit_record
from rightsize.demo.suite.files import write_catalogue, write_suite_exports
from rightsize.demo.suite.model import (
    SEEN_DAYS,
    SuiteCatalogue,
    SuiteGrant,
    SuiteNeed,
    SuitePrincipal,
    SuiteResource,
    SuiteScope,
    SuiteTenant,
    day_of,
)
from rightsize.demo.writing import Folder, below, guid
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.plan import PlanePart, Proposal
from rightsize.model.text import Folded
from tests.planes.vaults.vault_world import ROLES

_TYPE = "Microsoft.KeyVault/vaults"
LOGGED, DARK, PIPED, ASKED = ("kv-apps", "kv-data"), "kv-dark", "kv-piped", "kv-asked"
VAULTS = (*LOGGED, DARK, PIPED, ASKED)
_WRITE = f"{_TYPE}/accessPolicies/write"
_MANAGEMENT = ["Get", "List", "Update", "Create", "Import", "Delete", "Recover", "Backup", "Restore"]
_PERMISSIONS: tuple[Mapping[str, Sequence[str]], ...] = (
    {"secrets": ["get", "list"]},
    {"secrets": ["All"]},
    {"keys": ["all"], "secrets": ["ALL"], "certificates": ["all"]},
    # The template "Key, Secret, & Certificate Management" of the portal.
    {"keys": _MANAGEMENT, "secrets": ["Get", "List", "Set", "Delete", "Recover", "Backup", "Restore"],
     "certificates": [*_MANAGEMENT, "ManageContacts", "ManageIssuers", "GetIssuers", "ListIssuers", "SetIssuers"]},
    {"keys": ["get", "list", "wrapKey", "unwrapKey", "sign", "verify", "encrypt", "decrypt"]},
    {"keys": ["Get", "WrapKey", "UnwrapKey"], "secrets": ["Get", "Set", "Delete"]},
    {"certificates": ["get", "list", "import", "update", "delete"], "secrets": ["get"]},
)  # fmt: skip
_REQUESTS = {
    "SecretGet": ("secrets", "get", "secrets/getSecret/action"),
    "SecretSet": ("secrets", "set", "secrets/setSecret/action"),
    "SecretList": ("secrets", "list", "secrets/readMetadata/action"),
    "SecretDelete": ("secrets", "delete", "secrets/delete"),
    "KeySign": ("keys", "sign", "keys/sign/action"),
    "KeyUnwrap": ("keys", "unwrapkey", "keys/unwrap/action"),
    "KeyWrap": ("keys", "wrapkey", "keys/wrap/action"),
    "KeyGet": ("keys", "get", "keys/read"),
    "KeyCreate": ("keys", "create", "keys/create/action"),
    "CertificateImport": ("certificates", "import", "certificates/import/action"),
    "CertificateGet": ("certificates", "get", "certificates/read"),
}
"""The names that the log has of requests, with the permission and the data action of each: Microsoft Learn, "Azure Key
Vault logging" and the REST reference of Key Vault."""
_OF_ACTIONS = {
    "secrets": "getsecret:get setsecret:set update:set delete backup restore recover purge",
    "keys": "update create import delete recover backup restore purge decrypt encrypt unwrap:unwrapkey wrap:wrapkey "
    "verify sign release rotate",
    "certificates": "create import update delete recover backup restore purge",
}
"""The data actions by kind that read a secret, use a key or change something, with the permission of another name."""
CHANGES = {
    f"{kind}/{action}{'' if action == 'delete' else '/action'}": (kind, word or action)
    for kind, texts in _OF_ACTIONS.items()
    for action, _, word in (text.partition(":") for text in texts.split())
}
"""The same with the permission that allows each."""


@dataclass(frozen=True, slots=True)
class PlantedPolicy:
    """A policy: its vault, its holder, what it gives, and the application or the tenant that limits it."""

    vault: str
    holder: str
    permissions: Mapping[str, Sequence[str]]
    application: str = ""
    tenant: str = ""

    def allows(self, kind: str, word: str) -> bool:
        """Return whether it has a permission."""
        return bool({word, "all"} & {one.lower() for one in self.permissions.get(kind, ())})


@dataclass(frozen=True, slots=True)
class PlantedUse:
    """A repeated request: who sends it where, as the log names it, and on every how many days."""

    vault: str
    who: str
    request: str
    item: str
    every: int


@dataclass
class PlantedVaults:
    """A tenant with vaults; every choice comes from the seed."""

    seed: int
    principals: dict[str, SuitePrincipal] = field(default_factory=dict)
    members: dict[str, list[str]] = field(default_factory=dict)
    policies: list[PlantedPolicy] = field(default_factory=list)
    uses: list[PlantedUse] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._add("reader", "app")
        self._add("pipeline", "app")
        for vault in VAULTS:
            for number in range(6 + self.draw(4, vault)):
                self._hold(vault, number)
            gone = guid("planted", self.seed, vault, "gone")
            self.policies.append(PlantedPolicy(vault, gone, {"secrets": ["get"]}))
            abroad = guid("planted", self.seed, vault, "abroad")
            self.policies.append(PlantedPolicy(vault, abroad, {"keys": ["all"]}, tenant=self.id("other tenant")))
        person = self._add("person-of-a-client", "user")
        self.policies.append(PlantedPolicy(ASKED, person, {"keys": ["sign"]}, application=self.id("client")))

    def id(self, *words: object) -> str:
        """Return a GUID of the tenant."""
        return guid("planted", self.seed, *words)

    def draw(self, limit: int, *words: object) -> int:
        """Return a number below a limit."""
        return below(limit, "planted", self.seed, *words)

    def scope(self, vault: str) -> str:
        """Return the id of a vault."""
        return f"/subscriptions/{self.id('subscription')}/resourceGroups/app/providers/{_TYPE}/{vault}"

    def _add(self, name: str, kind: Any) -> str:
        who = SuitePrincipal(self.id("principal", name), kind, name)
        self.principals[who.principal_id] = who
        return who.principal_id

    def _hold(self, vault: str, number: int) -> None:
        """Add a holder with a policy and its use: much, little at one to three names, or none."""
        kind = ("user", "app", "identity", "group")[self.draw(4, vault, number, "kind")]
        holder = self._add(f"{vault}-{kind}-{number}", kind)
        permissions = _PERMISSIONS[self.draw(len(_PERMISSIONS), vault, number, "permissions")]
        policy = PlantedPolicy(vault, holder, permissions)
        self.policies.append(policy)
        users = [holder]
        if kind == "group":
            users = [self._add(f"{vault}-member-{number}-{one}", "user") for one in range(3)]
            self.members[holder] = users
            users = users[: 1 + self.draw(2, vault, number, "members")]
        way = ("much", "much", "little", "none")[self.draw(4, vault, number, "way")]
        known = [one for one, (of, word, _) in _REQUESTS.items() if policy.allows(of, word)]
        for use in range(0 if way == "none" else 3 if way == "much" else 1):
            request = known[self.draw(len(known), vault, number, use)]
            family = _REQUESTS[request][0]
            for item in range(6 if way == "much" else 1 + self.draw(3, vault, number, "items")):
                place = family if request.endswith("List") else f"{family}/{way}-{number}-{item}"
                who = users[item % len(users)]
                self.uses.append(PlantedUse(vault, who, request, place, 1 + self.draw(20, vault, number, use, item)))

    def tenant(self, roles: Mapping[str, RoleDefinition]) -> SuiteTenant:
        """Return it as a tenant of the suite."""
        root = f"/providers/Microsoft.Management/managementGroups/{self.id('tenant')}"
        place = f"/subscriptions/{self.id('subscription')}"
        scopes = (SuiteScope(root, "Tenant Root Group", ""), SuiteScope(place, "main", root, frozenset({"base"})))
        reader, pipeline = self.id("principal", "reader"), self.id("principal", "pipeline")
        grants = (
            SuiteGrant(self.id("grant", "reader"), reader, roles["Reader"], place),
            SuiteGrant(self.id("grant", "pipeline"), pipeline, roles["Contributor"], place),
        )
        writes = SuiteNeed(
            pipeline, _WRITE, "control", f"{self.scope(PIPED)}/accessPolicies/add", "logged", tuple(range(0, 92, 7))
        )
        resources = tuple(
            SuiteResource(self.scope(vault), _TYPE, vault, self._properties(vault), sends_log=vault != DARK)
            for vault in VAULTS
        )
        people = tuple(self.principals.values())
        return SuiteTenant(
            f"vaults-{self.seed}", self.seed, self.id("tenant"), reader, scopes, people, self.members, grants,
            resources, (writes,),
        )  # fmt: skip

    def _properties(self, vault: str) -> dict[str, Any]:
        entries = [
            {"tenantId": one.tenant or self.id("tenant"), "objectId": one.holder, "permissions": one.permissions}
            | ({"applicationId": one.application} if one.application else {})
            for one in self.policies
            if one.vault == vault
        ]
        model = {} if self.draw(2, vault, "model") else {"enableRbacAuthorization": None}
        return {"tenantId": self.id("tenant"), **model, "enabledForDeployment": True, "accessPolicies": entries}

    def write(self, root: Path, roles: Mapping[str, RoleDefinition]) -> None:
        """Write the exports, with the catalogue of roles and the log of the vaults."""
        catalogue = SuiteCatalogue(((f"{_TYPE}/read", False, None), (_WRITE, False, None)), roles)
        write_suite_exports(self.tenant(roles), catalogue, root)
        folder = Folder(root)
        write_catalogue(catalogue, folder)
        lines = [json.dumps(one).encode() + b"\n" for one in self._records()]
        folder.write("resource-logs/policies.jsonl", lines, records=len(lines))

    def _records(self) -> Iterator[dict[str, Any]]:
        for number, use in enumerate(self.uses):
            claim = {OBJECT_ID: use.who, "appid": guid("suite app", use.who)}
            for day in range(SEEN_DAYS) if use.vault != DARK else ():
                if day % use.every == 0:
                    time = dt.datetime.combine(day_of(day), dt.time(6)) + dt.timedelta(seconds=number)
                    yield audit_record(self.scope(use.vault), use.request, use.item, claim, time, self.id(number, day))


def roles_of(names: Mapping[str, Sequence[str]] = ROLES) -> dict[str, RoleDefinition]:
    """Return built-in roles of vaults, with Reader and Contributor."""
    data = {name: PermissionBlock(data_actions=tuple(f"{_TYPE}/{one}" for one in all_)) for name, all_ in names.items()}
    blocks = {"Reader": PermissionBlock(("*/read",)), "Contributor": PermissionBlock(("*",)), **data}
    return {
        name: RoleDefinition(Folded(guid("built-in", name)), name, (block,), "BuiltInRole")
        for name, block in blocks.items()
    }


@dataclass
class VaultTally:
    """What a plan does to planted vaults.

    Attributes:
        used: Requests that a log of a switched vault has, each principal, data action and place once.
        denied: Those that no role allows after the switch.
        beyond: Secret values, key operations and changes that a holder gets and no policy of it gives.
        unused: Data actions among `CHANGES` that policies of switched vaults with a log allow and nobody used; without
            idle policies that a pipeline may have written in the window.
        gone: Those of them that no role has.
        switched: The vaults that the plan switches.
    """

    used: int = 0
    denied: list[str] = field(default_factory=list)
    beyond: list[str] = field(default_factory=list)
    unused: int = 0
    gone: int = 0
    switched: frozenset[str] = frozenset()


def judge(planted: PlantedVaults, part: PlanePart, roles: Mapping[str, RoleDefinition]) -> VaultTally:
    """Return the outcome of a plan."""
    waiting = {_name(one) for one in part.proposals if one.evidence["vault"]["waits"]}
    tally = VaultTally(switched=frozenset(map(_name, part.proposals)) - waiting)
    fresh = {one.principal_ids[0] for one in part.proposals if one.evidence["vault"]["word"] == "young"}
    held = _held(part.proposals, roles)
    for use in planted.uses:
        if use.vault in tally.switched and use.vault != DARK:
            tally.used += 1
            place, action = f"{planted.scope(use.vault)}/{use.item}".lower(), _action(use.request)
            holders = [use.who, *(group for group, who in planted.members.items() if use.who in who)]
            if not any(_allows(held.get(who, ()), action, place) for who in holders):
                tally.denied.append(f"{use.who} {use.request} {use.vault}/{use.item}")
    for policy in planted.policies:
        mine = [one for one in held.get(policy.holder, ()) if one[0].startswith(planted.scope(policy.vault).lower())]
        is_void = bool(policy.tenant or policy.application)
        for action, permission in CHANGES.items():
            if _has(mine, action) and (is_void or not policy.allows(*permission)):
                tally.beyond.append(f"{policy.holder} {action} {policy.vault}")
        if policy.vault in tally.switched - {DARK} and not is_void and policy.holder not in fresh:
            actions = {action for action, permission in CHANGES.items() if policy.allows(*permission)}
            actions -= _used(planted, policy)
            tally.unused += len(actions)
            tally.gone += sum(not _has(mine, action) for action in actions)
    return tally


def _name(one: Proposal) -> str:
    return str(one.evidence["scope"]).rpartition("/")[2]


def _action(request: str) -> str:
    return _REQUESTS[request][2].lower()


def _used(planted: PlantedVaults, policy: PlantedPolicy) -> set[str]:
    who = {policy.holder, *planted.members.get(policy.holder, ())}
    return {_action(use.request) for use in planted.uses if use.vault == policy.vault and use.who in who}


Held = tuple[str, tuple[PermissionBlock, ...]]
"""A folded scope, and the blocks of a role that is assigned there."""


def _held(proposals: Iterable[Proposal], roles: Mapping[str, RoleDefinition]) -> dict[str, list[Held]]:
    known = {str(one.role_definition_id): one.permissions for one in roles.values()}
    for proposal in proposals:
        for role in proposal.evidence["vault"]["new_roles"]:
            blocks = role["properties"]["permissions"]
            known[role["name"]] = tuple(PermissionBlock(data_actions=tuple(one["dataActions"])) for one in blocks)
    found: dict[str, list[Held]] = {}
    for proposal in proposals:
        if not proposal.evidence["vault"]["waits"]:
            for one in proposal.assignments:
                found.setdefault(one.principal_id, []).append((one.scope.lower(), known[one.role]))
    return found


def _allows(held: Iterable[Held], action: str, place: str) -> bool:
    return any(
        place == scope or place.startswith(f"{scope}/") for scope, blocks in held if _has([("", blocks)], action)
    )


def _has(held: Iterable[Held], action: str) -> bool:
    name = f"{_TYPE}/{action}".lower()
    return any(fnmatchcase(name, one.lower()) for _, blocks in held for block in blocks for one in block.data_actions)
