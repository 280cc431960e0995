"""Make what a swap adds: the plan's roles, their PIM rules, and the new assignments."""

from __future__ import annotations

from dataclasses import replace

from rightsize.model.role_forms import hash_of_role, read_role_definitions
from rightsize.rbac.text import fold
from rightsize.rollout.bundle import Held, ScheduleRules, Swap
from rightsize.rollout.pim import same_rules
from rightsize.rollout.rest import RefusalError
from rightsize.rollout.steps import Steps


class Additions:
    """Makes the roles, rules and assignments that a swap adds; repeatable. Every method raises RefusalError."""

    def __init__(self, steps: Steps) -> None:
        self._steps, self._arm = steps, steps.arm

    def make(self, swap: Swap) -> None:
        """Make roles, then rules, then assignments."""
        for role in swap.roles:
            self._make_role(swap, role)
        for rules in swap.rules:
            self._carry_over(swap, rules)
        for made in swap.creates:
            self._create(swap, made)

    def needs(self, swap: Swap, rules: ScheduleRules) -> bool:
        """Return whether another swap, not rolled back, has set rules on the same role at the same scope."""
        steps = self._steps
        others = (one for one in steps.bundle.swaps if one.id != swap.id and steps.has(one, "rules-set", rules.key))
        return any(steps.state(one) in ("begun", "done", "stopped") for one in others)

    def _make_role(self, swap: Swap, role: str) -> None:
        steps = self._steps
        body = steps.bundle.roles[role]
        place = str(body["properties"]["assignableScopes"][0]).rstrip("/")
        url = f"{place}/providers/Microsoft.Authorization/roleDefinitions/{role}"
        if steps.has(swap, "role-made", role):
            return
        live = steps.patiently(lambda: self._arm.definition(url))
        if live is not None and _grants(live) != _grants(body):
            raise RefusalError(f"role {role} already exists and differs from the plan", "RoleChanged")
        if not steps.has(swap, "role-begin", role):
            # An existing role that an earlier swap of this rollout made is ours.
            existed = steps.existed.setdefault(role, live is not None)
            steps.write(swap, "role-begin", role, {"existed": existed, "url": url})
        if live is None:
            steps.patiently(lambda: self._arm.put_definition(url, body))
        steps.once(swap, "role-made", role)

    def _carry_over(self, swap: Swap, rules: ScheduleRules) -> None:
        """Set on a role the PIM rules of the role that it replaces, before anybody holds it."""
        steps, pim = self._steps, self._arm.pim
        if steps.has(swap, "rules-set", rules.key):
            return
        wanted = steps.patiently(lambda: pim.rules(rules.of_scope, rules.of_role))
        for other in (one for one in swap.rules if one.key == rules.key and one != rules):
            others = steps.patiently(lambda place=other: pim.rules(place.of_scope, place.of_role))  # type: ignore[misc]
            if not same_rules(wanted, others):
                said = f"role {rules.role} at {rules.scope} replaces roles whose PIM rules differ"
                raise RefusalError(said, "RulesDiffer")
        if not steps.has(swap, "rules-begin", rules.key):
            found = steps.patiently(lambda: pim.rules(rules.scope, rules.role))
            if same_rules(found, wanted):
                steps.write(swap, "rules-set", rules.key)
                return
            # Rules apply to every holder of the role at that scope.
            if self.needs(swap, rules) or steps.patiently(lambda: pim.holders(rules.scope, rules.role)):
                said = (
                    f"role {rules.role} at {rules.scope} has other holders and other PIM rules than the replaced role"
                )
                raise RefusalError(said, "RulesShared")
            steps.write(swap, "rules-begin", rules.key, {"rules": found})
        steps.patiently(lambda: pim.set_rules(rules.scope, rules.role, wanted))
        steps.write(swap, "rules-set", rules.key)

    def _create(self, swap: Swap, made: Held) -> None:
        steps = self._steps
        if steps.has(swap, "created", made.id):
            return
        if not steps.has(swap, "create-begin", made.id):
            live = steps.look(made.url)
            if live is not None and made.differs_from(live) not in (None, "description"):
                raise RefusalError(f"assignment {made.id} already exists and differs from the plan", "Changed")
            if live is not None:
                self._check_stays(made, made.id)
            steps.write(swap, "create-begin", made.id, {"existed": live is not None, "url": made.url})
        if any(entry.key == made.id and entry.data["existed"] for entry in steps.latest(swap, "create-begin")):
            steps.write(swap, "created", made.id)
            return
        found = {}
        try:
            steps.patiently(lambda: self._arm.put_assignment(made.url, made.properties()))
        except RefusalError as error:
            if fold(error.code) != "roleassignmentexists":
                raise
            other = steps.patiently(lambda: self._arm.same_assignment(made))
            if other is None:
                raise
            self._check_stays(made, other)
            found = {"as": other}
        steps.write(swap, "created", made.id, found)

    def _check_stays(self, made: Held, found: str) -> None:
        """Raise RefusalError where an existing assignment that would replace ours is to be removed, or ends."""
        going = {fold(gone.id) for one in self._steps.bundle.swaps for gone in one.removes}
        if fold(found) in going:
            raise RefusalError(f"assignment {found} grants the same, but this rollout removes it", "SameAsGoing")
        if not made.is_managed and self._steps.patiently(lambda: self._arm.pim.ends(made.scope, made.role, made)):
            raise RefusalError(f"assignment {found} grants the same, but ends by itself: it is an activation", "Ends")


def _grants(role: object) -> str:
    """Return the hash of what a role grants and where: an earlier plan may have named or described it otherwise."""
    read = read_role_definitions(dict(role))[0]  # type: ignore[call-overload]
    return hash_of_role(replace(read, role_name="", description=""))
