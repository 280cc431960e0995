"""Find principals that could defeat several layers of defence under a plan, and report the split of their needs.

The counts are those of `rightsize reach layers`: a violation is one identity with two or more layers in one
subscription, without access that a condition limits. The plan is made first without the split. Then the needs of
principals with violations are split, and the plan is made again. Assignments that the split would keep from being
narrowed stay whole.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from rightsize.analyze.reach.layers import ASSIGNED_SCHEMA, granted_defeats, harmful, identities, today, violations_in
from rightsize.analyze.tenant import Tenant
from rightsize.model.plan import Advice
from rightsize.model.text import Folded
from rightsize.propose.core.role_catalog import RoleBook
from rightsize.propose.drafts.demands import DemandInput, demands_of, is_split
from rightsize.propose.drafts.drafts import Draft
from rightsize.propose.drafts.reasons import keep_reason
from rightsize.propose.needs.assignments import Key
from rightsize.propose.needs.holders import WHY_ACTIVE
from rightsize.propose.needs.privileged import GUARDS, LayerParts, Privilege, is_to_sleep, layer_masks, why_active
from rightsize.propose.selection.assign import GrantedNeeds
from rightsize.propose.selection.reconcile import role_key, role_of

_GRANTS: dict[str, Any] = {"role": pl.String, "name": pl.String, "plane": pl.String, "conditional": pl.Boolean}
_LOADABLE = ("unknown_holder", "unknown_members", "no_licence", "policy_unknown")
"""The reasons that loading more data might remove."""
_RELIED = keep_reason("relied_upon")


_Drafts = Mapping[Key, Draft]


def separate(
    unsplit: GrantedNeeds,
    demands: DemandInput,
    tenant: Tenant,
    spelling: Mapping[Folded, str],
    remake: Callable[[Privilege], GrantedNeeds],
) -> tuple[DemandInput, GrantedNeeds, dict[str, Any]]:
    """Split by layer the needs of principals that violate the independence of layers, and report on it.

    An assignment that the split would keep unchanged is left whole. If the split prevents the change of an assignment
    that is not split itself, such as by a limit of Azure, then no layers are split at all.

    Args:
        unsplit: The plan without the split.
        demands: The rules that divide its needs into parts.
        tenant: The assignments and roles of today.
        spelling: Folded scope to the scope as it is spelled.
        remake: A function that makes the plan anew with other operations and layers to split off.
    """
    parts = _find_parts(unsplit.drafts, tenant, demands.book)
    whole: dict[Key, str] = {}
    while True:
        split = replace(demands, privilege=replace(demands.privilege, layers=parts))
        granted = remake(split.privilege)
        lost = _lost_by(granted.drafts, unsplit.drafts)
        if not lost:
            told = _annotated(granted.drafts, split)
            return split, replace(granted, drafts=told), _report(unsplit.drafts, told, whole, split, tenant, spelling)
        ours = all(key not in parts.whole and is_split(granted.drafts[key], split) for key in lost)
        whole |= lost
        parts = replace(parts, whole=frozenset(whole), pairs=parts.pairs if ours else frozenset())


def _find_parts(drafts: _Drafts, tenant: Tenant, book: RoleBook) -> LayerParts:
    """Return the principals and subscriptions to split: those that violate independence under drafts with roles.

    A group's needs are split if each principal that acts through the group violates independence, so that nobody has
    to activate access because of another member.
    """
    harm = harmful(tenant.operations)
    found = _violations(drafts, tenant, book, harm).filter(pl.col("state") == "active").select("principal_id", "scope")
    acting = identities(tenant)
    number = acting.group_by("holder").agg(members=pl.len())
    all_of = (
        acting.join(found, on="principal_id")
        .group_by("holder", "scope")
        .agg(violating=pl.len())
        .join(number, on="holder")
        .filter(pl.col("violating") == pl.col("members"))
    )
    pairs = frozenset(all_of.select("holder", "scope").iter_rows())
    return LayerParts(layer_masks(harm, book.index), pairs, frozenset(), tenant.tree, book)


def _violations(drafts: _Drafts, tenant: Tenant, book: RoleBook, harm: pl.DataFrame) -> pl.DataFrame:
    """Return the violations of independence under drafts, in the form of the table `layer_violations`.

    New roles have no id yet, so each gets a number here.
    """
    gone = [key for key, draft in drafts.items() if draft.kind.changes]
    schema = {"id": pl.String, "state": pl.String}
    left = tenant.assignments.join(pl.DataFrame(gone, schema=schema, orient="row"), on=["id", "state"], how="anti")
    numbers: dict[object, str] = {}
    granted: dict[str, int] = {}
    rows = []
    for _, draft in sorted(drafts.items()):
        for one in draft.placements:
            key = role_key(one)
            known = one.choice.role_definition_id
            role = known if key is None else numbers.setdefault(key, f"new {len(numbers)}")
            granted[role] = one.choice.granted
            rows.append((one.principal_id, one.place, role, one.state, one.condition))
    placed = pl.DataFrame(rows, schema=ASSIGNED_SCHEMA, orient="row")
    grants = [
        (role, name, plane, False)
        for role in sorted(granted.keys() - set(tenant.grants["role"]))
        for plane, name in book.index.folded_members(granted[role])
    ]
    new = pl.DataFrame(grants, schema=_GRANTS, orient="row").select(tenant.grants.columns)
    assigned, granting = pl.concat([today(left), placed]).unique(), pl.concat([tenant.grants, new])
    return violations_in(granted_defeats(assigned, granting, harm, tenant, "proposed"), harm)


def _lost_by(split: _Drafts, unsplit: _Drafts) -> dict[Key, str]:
    """Return the assignments that would change without the split and are kept with it, each with the reason.

    An assignment that is kept because another proposal rests on it does not count: that is no loss by the split.
    """
    return {
        key: draft.reason
        for key, draft in split.items()
        if draft.kind.keeps and _word(draft) != _word(unsplit[key]) and not draft.reason.startswith(_RELIED)
    }


def _word(draft: Draft) -> str:
    """Return the kind of a draft and the word of its reason, without the numbers that differ from plan to plan."""
    return f"{draft.kind} {draft.reason.partition(':')[0]}"


def _annotated(drafts: _Drafts, demands: DemandInput) -> dict[Key, Draft]:
    """Return the drafts; the reasons of those whose needs are split say so."""
    split = {key: draft for key, draft in drafts.items() if draft.placements and is_split(draft, demands)}
    told = {key: replace(draft, reason=f"{draft.reason}; split by layer of defence") for key, draft in split.items()}
    return {**drafts, **told}


def _report(
    unsplit: _Drafts,
    split: _Drafts,
    whole: Mapping[Key, str],
    demands: DemandInput,
    tenant: Tenant,
    spelling: Mapping[Folded, str],
) -> dict[str, Any]:
    """Return the report on the split for `plan.json`: violations before and after, cost, and parts that stay active.

    `granted`, `unsplit` and `split` count violations, each one identity in one subscription: those by active access,
    those of them with identity control or monitoring among their layers, and further ones that need an activation.
    """
    harm = harmful(tenant.operations)
    now = violations_in(granted_defeats(today(tenant.assignments), tenant.grants, harm, tenant, "granted"), harm)
    before, after = (_violations(drafts, tenant, demands.book, harm) for drafts in (unsplit, split))
    cost_before, cost_after = _cost(unsplit), _cost(split)
    return {
        "violations": {"granted": _counted(now), "unsplit": _counted(before), "split": _counted(after)},
        "cost": {word: cost_after[word] - cost_before[word] for word in cost_before},
        "assignments_split": sum(bool(one.placements) and is_split(one, demands) for one in split.values()),
        "identities": _identities(before, after),
        "standing": _standing(split, demands, spelling),
        "left_whole": [
            {"role_assignment_id": id_, "state": state, "because": why} for (id_, state), why in sorted(whole.items())
        ],
    }


def as_measured(separation: Mapping[str, Any], frame: pl.DataFrame) -> dict[str, Any]:
    """Return the report on the split with the violations that remain after people's decisions on the plan.

    Args:
        separation: As `separate` returns it.
        frame: Rows of `layer_violations` under the plan as it is written.
    """
    return {**separation, "violations": {**separation["violations"], "split": _counted(frame)}} if separation else {}


def _counted(frame: pl.DataFrame) -> dict[str, int]:
    standing = frame.filter(pl.col("state") == "active").select("principal_id", "scope", "layers")
    guards = [pl.col("layers").list.contains(layer) for layer in GUARDS]
    waking = frame.filter(pl.col("state") == "eligible").join(standing, on=["principal_id", "scope"], how="anti")
    return {
        "standing": standing.height,
        "standing_with_guards": standing.filter(pl.any_horizontal(guards)).height,
        "by_activation": waking.height,
        "identities_standing": standing["principal_id"].n_unique(),
    }


def _cost(drafts: _Drafts) -> dict[str, int]:
    """Return the numbers of new roles, active assignments and eligible assignments under drafts."""
    placed = {
        (one.principal_id, role_of(one), one.place, one.state): role_key(one)
        for draft in drafts.values()
        for one in draft.placements
    }
    states = Counter(state for _, _, _, state in placed)
    return {
        "roles": len({*placed.values()} - {None}),
        "assignments": states["active"],
        "eligible_assignments": states["eligible"],
    }


def _identities(before: pl.DataFrame, after: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the identities that violate independence without the split, and the layers they defeat with it."""
    key, is_active = ["principal_id", "scope"], pl.col("state") == "active"
    standing = after.filter(is_active).select(*key, standing="layers")
    woken = after.filter(pl.col("state") == "eligible").select(*key, by_activation="layers")
    unsplit = before.filter(is_active).select(*key, unsplit="layers")
    joined = unsplit.join(standing, on=key, how="left").join(woken, on=key, how="left")
    return joined.with_columns(pl.col("standing", "by_activation").fill_null([])).sort(key).to_dicts()


def _standing(drafts: _Drafts, demands: DemandInput, spelling: Mapping[Folded, str]) -> list[dict[str, Any]]:
    """Return the parts of guarding layers that stay active, each with the reason."""
    rows: dict[tuple[str, str, str, str], set[Folded]] = defaultdict(set)
    for draft in drafts.values():
        given = {(one.principal_id, one.place) for one in draft.placements if one.state == "active"}
        for part in demands_of(draft, demands):
            stands = part.apart in GUARDS and is_to_sleep(part, demands.privilege) and part.state == "active"
            if stands and (part.principal_id, part.place) in given:
                scope = spelling.get(part.place, part.place)
                row = part.principal_id, scope, part.apart, why_active(part, demands.privilege)
                rows[row].add(draft.subject.role_assignment_id)
    return [
        {
            "principal_id": principal,
            "scope": scope,
            "layer": layer,
            "why_active": word,
            "meaning": WHY_ACTIVE[word],
            "role_assignment_ids": sorted(ids),
        }
        for (principal, scope, layer, word), ids in sorted(rows.items())
    ]


def advise(separation: Mapping[str, Any]) -> Iterator[Advice]:
    """Yield advice for people about the parts that stay active, one for each holder and reason."""
    layers: dict[tuple[str, str], set[str]] = defaultdict(set)
    places: Counter[tuple[str, str]] = Counter()
    for row in separation.get("standing", ()):
        who = row["principal_id"], row["why_active"]
        layers[who].add(row["layer"].replace("_", " "))
        places[who] += 1
    for (principal, word), found in sorted(layers.items()):
        what = "give these roles to a second principal"
        if word in _LOADABLE:
            what = f"load the missing export and propose again, or {what}"
        yield Advice(
            principal,
            f"{places[principal, word]} separate roles can defeat {' and '.join(sorted(found))} and stay active: "
            f"{WHY_ACTIVE[word]}; {what}",
        )
