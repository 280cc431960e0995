"""Ask Azure before a wave whether its swaps can be done and taken back, and whether PIM rules refuse a request.

Source: Microsoft Learn, "Rules in PIM - mapping guide": the rules for an administrator's requests.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rightsize.change.bundle import Held, Swap, home_of, most_at
from rightsize.change.rest import RefusalError
from rightsize.change.steps import Steps, grants_the_same
from rightsize.model.errors import AccessError, GateError
from rightsize.model.role_forms import read_role_definitions
from rightsize.model.text import fold
from rightsize.rbac.algebra import grants
from rightsize.rbac.assignments import CUSTOM_ROLES_PER_TENANT, OWNER, Owner, owners_to_keep

_DURATION = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", re.IGNORECASE)
_SECONDS = (365 * 86_400, 30 * 86_400, 86_400, 3_600, 60, 1)


def refusal_of(rules: Iterable[Mapping[str, Any]], held: Held, now: dt.datetime, *, has_mfa: bool) -> str | None:
    """Return why a request for an assignment would be refused, or None.

    Args:
        rules: The rules of the role at its scope.
        held: The assignment, eligible or with an end.
        now: The time of the request.
        has_mfa: Whether the caller signed in with a second factor.
    """
    by_id: dict[str, Mapping[str, Any]] = {fold(str(rule.get("id"))): rule for rule in rules}
    kind = "assignment" if held.state == "active" else "eligibility"
    expiry = by_id.get(f"expiration_admin_{kind}", {})
    lasts = _lasts(held, now)
    if expiry.get("isExpirationRequired"):
        most = _seconds(str(expiry.get("maximumDuration") or ""))
        if lasts is None:
            return "the PIM rules require an end, and it has none"
        if most is not None and lasts > most:
            return f"the PIM rules allow {expiry['maximumDuration']}, and it would last longer"
    wanted = {fold(str(one)) for one in by_id.get(f"enablement_admin_{kind}", {}).get("enabledRules") or ()}
    if "multifactorauthentication" in wanted and not has_mfa:
        return "the PIM rules require multifactor authentication to assign it"
    if "ticketing" in wanted:
        return "the PIM rules require a ticket to assign it"
    return None


def _lasts(held: Held, now: dt.datetime) -> float | None:
    if held.until is not None:
        return (dt.datetime.fromisoformat(held.until) - now).total_seconds()
    return _seconds(held.lasts) if held.lasts else None


def _seconds(duration: str) -> float | None:
    found = _DURATION.fullmatch(duration)
    if found is None:
        return None
    return float(sum(int(number or 0) * each for number, each in zip(found.groups(), _SECONDS, strict=True)))


_WRITE = "Microsoft.Authorization/roleAssignments/write"
_SPARE = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class PreflightFacts:
    """The facts that a run has besides Azure's answers: who runs it, and what the store says about people.

    Attributes:
        caller: Object id of the principal that runs it.
        has_mfa: Whether it signed in with a second factor.
        tenant: The tenant of the token; empty where it is not checked.
        members: Members of each group, nested ones included, folded.
        enabled: Principals known to be enabled, folded.
        tree: Parent of each folded management group and subscription.
    """

    caller: str = ""
    has_mfa: bool = False
    tenant: str = ""
    members: Mapping[str, Collection[str]] = field(default_factory=dict)
    enabled: Collection[str] = ()
    tree: Mapping[str, str] = field(default_factory=dict)


class Preflight:
    """The checks before a wave: once for the whole wave, then for each swap.

    Raises:
        UnseenError: A subscription cannot be seen.
        AccessError: A subscription is of another tenant, or our own right ends.
        GateError: A limit of Azure leaves no room for old and new together.
    """

    def __init__(self, steps: Steps, known: PreflightFacts, swaps: Sequence[Swap]) -> None:
        self._steps, self._arm, self._known = steps, steps.arm, known
        held = [one for swap in swaps for one in (*swap.creates, *swap.removes)]
        switched = [one.vault for swap in swaps for one in swap.switches]
        self._homes = sorted({home_of(scope) for scope in (*(one.scope for one in held), *switched)})
        places = [home for home in self._homes if home.startswith("/subscriptions/")]
        for place in places:
            self._see(place)
        self._locked = {lock for place in places for lock in steps.patiently(lambda p=place: self._arm.locks(p))}  # type: ignore[misc]
        self._own = self._assigned_to(known.caller) if known.caller else {}
        self._emergency = {id_ for who in steps.bundle.emergency for id_ in self._assigned_to(who)}
        self._check_own_right(max((swap.wait + swap.wait_back for swap in swaps), default=0))
        listed = {home: self._list(home) for home in self._homes}
        self._check_room(swaps, listed)
        self._kept_owners = self._owners(swaps, listed)

    def check(self, swap: Swap) -> None:
        """Raise RefusalError where a swap cannot be done, or not be rolled back."""
        steps = self._steps
        going = [one for one in swap.removes if not steps.has(swap, "remove-begin", one.id)]
        self._check_people(going)
        held = [one.scope for one in (*swap.creates, *swap.removes)]
        for scope in (*held, *(one.vault for one in swap.switches)):
            for lock in sorted(self._locked):
                if fold(scope) == lock or fold(scope).startswith(f"{lock}/"):
                    raise RefusalError(f"a lock at {lock} prevents changes of assignments at {scope}", "ScopeLocked")
        stays = {fold(one.principal_id) for one in swap.creates}
        if any(fold(self._known.caller) == held.principal_id for one in swap.switches for held in one.policies) and (
            fold(self._known.caller) not in stays
        ):
            raise RefusalError("it would remove a policy of the principal that runs it", "OwnAccess")
        clash = {fold(one.id) for one in swap.creates} & {fold(one.id) for one in swap.removes}
        if clash:
            raise RefusalError(f"the swap would both create and remove assignment {min(clash)}", "SameAsGoing")
        for gone in going:
            check_unchanged(steps, gone)
        self._check_policy(swap)

    def _see(self, place: str) -> None:
        found = self._steps.patiently(lambda: self._arm.subscription(place))
        theirs = str(found.get("tenantId") or "")
        if self._known.tenant and theirs and fold(theirs) != fold(self._known.tenant):
            raise AccessError(f"`{place}` belongs to tenant `{theirs}`, but the sign-in to `{self._known.tenant}`")

    def _assigned_to(self, who: str) -> dict[str, Mapping[str, Any]]:
        """Return the assignments of a principal in Azure, also through groups, by folded id."""
        found: dict[str, Mapping[str, Any]] = {}
        for home in self._homes:
            listed = self._steps.patiently(lambda h=home: list(self._arm.assignments(h, f"assignedTo('{who}')")))  # type: ignore[misc]
            found |= {fold(str(one["name"])): one.get("properties") or {} for one in listed}
        return found

    def _check_people(self, going: Iterable[Held]) -> None:
        known = self._known
        groups = {fold(group) for group, found in known.members.items() if fold(known.caller) in set(map(fold, found))}
        for gone in going:
            id_, holder = fold(gone.id), fold(gone.principal_id)
            if id_ in self._own or holder in groups | {fold(known.caller)}:
                raise RefusalError(
                    f"it would remove access of the principal that runs it: {gone.principal_id}", "OwnAccess"
                )
            through = set(map(fold, known.members.get(holder, ())))
            if id_ in self._emergency or ({holder} | through) & set(map(fold, self._steps.bundle.emergency)):
                said = f"an emergency access account now holds assignment {gone.id}"
                raise RefusalError(said, "EmergencyAccess")
            if id_ in self._kept_owners:
                said = f"no other enabled principal would be a permanent, unconditional Owner of {gone.scope}"
                raise RefusalError(said, "LastOwner")

    def _check_own_right(self, seconds: int) -> None:
        """Raise an error where our right to write rests on elevated access, or on an assignment that ends midway."""
        if not self._own:
            return
        over = self._steps.clock.utc() + dt.timedelta(seconds=seconds) + _SPARE
        ending: set[tuple[str, str]] = set()
        for home in self._homes:
            try:
                ending |= self._arm.pim.ending_of(self._known.caller, home, over)
            except RefusalError:
                # A caller who may not read that may lack an activation; Azure then refuses the first write.
                continue
        writing = [one for one in self._own.values() if self._may_write(one)]
        lasting = [one for one in writing if _place_of(one) != "" and (_place_of(one), _role_of(one)) not in ending]
        if writing and not lasting:
            raise AccessError(
                "the right to write comes from elevated access at `/`, or may end before the wave does",
                hint="assign a role for rollouts: `rightsize status sources --rollout-role FILE` writes one",
            )

    def _may_write(self, one: Mapping[str, Any]) -> bool:
        role = self._steps.patiently(lambda: self._arm.definition(str(one.get("roleDefinitionId"))))
        if role is None:
            return False
        return grants(read_role_definitions(dict(role))[0].permissions, _WRITE, "control") != "no"

    def _list(self, home: str) -> dict[str, Mapping[str, Any]]:
        wanted = "" if home.startswith("/subscriptions/") else "atScope()"
        found = self._steps.patiently(lambda: list(self._arm.assignments(home, wanted)))
        return {fold(str(one["name"])): one.get("properties") or {} for one in found}

    def _check_room(self, swaps: Sequence[Swap], listed: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
        """Raise GateError where old and new assignments together exceed Azure's limits."""
        for home, there in listed.items():
            taken = {id_ for id_, one in there.items() if home_of(_place_of(one) or "/") == home}
            coming = {
                fold(made.id)
                for swap in swaps
                for made in swap.creates
                if made.state == "active" and home_of(made.scope) == home
            }
            number, most = len(taken | coming), most_at(home)
            if coming - taken and number > most:
                raise GateError(
                    f"`{home}` would have {number} assignments, old and new, and Azure allows {most}",
                    hint="remove some there, or plan smaller waves with `--wave-size`",
                )
        roles = {fold(role) for swap in swaps for role in swap.roles}
        if roles:
            there_now = {
                role
                for home in self._homes
                for role in self._steps.patiently(lambda h=home: self._arm.custom_roles(h))  # type: ignore[misc]
            }
            if roles - there_now and len(there_now | roles) > CUSTOM_ROLES_PER_TENANT:
                raise GateError(
                    f"there would be {len(there_now | roles)} custom roles, and Azure allows {CUSTOM_ROLES_PER_TENANT}"
                )

    def _owners(self, swaps: Sequence[Swap], listed: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> set[str]:
        going = {fold(gone.id) for swap in swaps for gone in swap.removes if gone.role == OWNER}
        if not going:
            return set()
        known = self._known
        owners: dict[str, Owner] = {}
        for home, there in listed.items():
            of_role = {id_: one for id_, one in there.items() if _role_of(one) == OWNER}
            ending = self._ending(home) if of_role else set()
            for id_, one in of_role.items():
                who = fold(str(one.get("principalId")))
                is_lasting = not one.get("condition") and (_place_of(one), who) not in ending
                owners[id_] = Owner(id_, _place_of(one) or "/", who, is_lasting)
        for gone in (gone for swap in swaps for gone in swap.removes if gone.role == OWNER):
            place = fold(gone.scope).rstrip("/") or "/"
            owners.setdefault(fold(gone.id), Owner(fold(gone.id), place, fold(gone.principal_id), False))
        places = [home for home in self._homes if home.startswith("/subscriptions/")]
        kept = owners_to_keep(
            [owners[id_] for id_ in sorted(owners)],
            going,
            enabled=set(map(fold, known.enabled)),
            members={fold(group): set(map(fold, found)) for group, found in known.members.items()},
            tree=known.tree,
            subscriptions=places,
        )
        return set(kept)

    def _ending(self, home: str) -> set[tuple[str, str]]:
        return self._steps.patiently(lambda: self._arm.pim.ending_holders(home, OWNER))

    def _check_policy(self, swap: Swap) -> None:
        """Raise RefusalError where a role's PIM rules would refuse a request of the swap or of its rollback."""
        steps, pim, now = self._steps, self._arm.pim, self._steps.clock.utc()
        coming = [(made, rules) for made in swap.creates for rules in swap.rules if made.is_managed]
        asked = [(made, one.of_scope, one.of_role) for made, one in coming if one.key == _key_of(made)]
        asked += [(gone, gone.scope, gone.role) for gone in swap.removes if gone.is_managed]
        for held, scope, role in asked:
            rules = steps.patiently(lambda s=scope, r=role: pim.rules(s, r))  # type: ignore[misc]
            why = refusal_of(rules, held, now, has_mfa=self._known.has_mfa)
            if why is not None:
                which = "PIM would refuse the rollback" if held in swap.removes else "PIM would refuse it"
                raise RefusalError(f"{which} for role {held.role} at {held.scope}: {why}", "PolicyRefuses")


def check_unchanged(steps: Steps, gone: Held) -> dict[str, Any]:
    """Return Azure's version of an assignment to remove; raise RefusalError where it differs from the plan's."""
    live = steps.look(gone.url)
    difference = "it no longer exists" if live is None else gone.differs_from(live)
    if live is None or difference is not None:
        what = difference if live is None else f"its {difference} differs"
        raise RefusalError(f"assignment {gone.id} was changed by somebody else: {what}", "Changed")
    if gone.state == "eligible" and steps.patiently(lambda: steps.arm.pim.is_activated(gone.url)):
        raise RefusalError(f"assignment {gone.id} is activated and in use now", "Activated")
    return live


def old_role(steps: Steps, gone: Held) -> dict[str, Any] | None:
    """Return Azure's whole custom role of an assignment to remove; None for a built-in role."""
    known = steps.bundle.old_roles.get(gone.role)
    if known is None:
        return None
    live = steps.patiently(lambda: steps.arm.definition(gone.role_url))
    if live is None or not grants_the_same(known, live):
        raise RefusalError(f"role {gone.role} was changed since the plan", "RoleChanged")
    return live


def _key_of(made: Held) -> str:
    return f"{fold(made.scope)}|{fold(made.role)}"


def _place_of(one: Mapping[str, Any]) -> str:
    return fold(str(one.get("scope") or "")).rstrip("/")


def _role_of(one: Mapping[str, Any]) -> str:
    return fold(str(one.get("roleDefinitionId") or "").rsplit("/", 1)[-1])
