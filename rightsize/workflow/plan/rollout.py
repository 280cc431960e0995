"""Order an accepted plan into a rollout, derive the same rollout again, and read its progress.

What it needs of the store is read here: assignments, groups, people, custom roles and names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.principals import NAMED, able_principals, resolve_known
from rightsize.analyze.window import Window
from rightsize.azure.exchange import Clock
from rightsize.change.bundle import BUNDLE, DEFAULT_ORDER, JOURNAL, PLAN, Bundle, Order, Swap, read_bundle, write_bundle
from rightsize.change.journal import Entry, Heads, heads_folder, read_journal
from rightsize.change.order import RolloutTenant, make_bundle
from rightsize.change.steps import state_of
from rightsize.model.errors import EvidenceError, InputError, UsageError
from rightsize.model.file_reading import LARGE, folder_in, parts_of_found, read_found, replace_found, stands_in
from rightsize.model.nouns import RoleDefinition
from rightsize.model.role_forms import permissions_from_json
from rightsize.model.text import fold
from rightsize.propose.verify.review import plan_of
from rightsize.store.connection import Store, open_store
from rightsize.workflow.names import proposals_called, read_names
from rightsize.workflow.plan.deploy import types_of
from rightsize.workflow.plan.review import accepted_of, proposals_of_wave
from rightsize.workflow.plan.verify import verify_plan
from rightsize.workflow.plan_folder import PlanFolder, open_plan_folder, read_plan_folder
from rightsize.workflow.signatures import ANYBODY, Signers


def read_rollout_tenant(store: Store) -> RolloutTenant:
    """Return from a store the facts about the tenant that a rollout needs."""
    members: dict[str, set[str]] = {}
    for group, member in store.table("group_closure").select("group_id", "member_id").iter_rows():
        members.setdefault(fold(group), set()).add(fold(member))
    principals = store.table("principals")
    is_deleted = pl.col("deleted_on").is_not_null()
    barred = principals.filter(~pl.col("account_enabled").fill_null(True) | is_deleted)
    return RolloutTenant(
        assignments=store.table("role_assignments").sort("role_assignment_id", "state").to_dicts(),
        members={group: frozenset(found) for group, found in members.items()},
        types=types_of(principals),
        enabled=frozenset(able_principals(principals)),
        disabled=frozenset(map(fold, barred["principal_id"])),
        roles=_custom_roles(store),
        tree=read_tree(store),
        permissions={
            fold(id_): permissions_from_json(permissions)
            for id_, permissions in store.table("role_definitions")
            .select("role_definition_id", "permissions")
            .drop_nulls()
            .iter_rows()
        },
    )


def read_tree(store: Store) -> dict[str, str]:
    """Return the parent of each folded management group and subscription."""
    tree = store.frame(
        "SELECT scope, parent_scope FROM scopes WHERE kind IN ('management_group', 'subscription') ORDER BY ALL"
    )
    return {fold(scope): parent for scope, parent in tree.iter_rows() if parent}


def read_held_names(store: Store, tenant: RolloutTenant) -> dict[str, str]:
    """Return names by folded id: of principals and roles, and for each assignment its holder and role."""
    names, places = read_names(store)
    table = store.table("role_definitions").select("role_definition_id", "role_name")
    names |= {fold(id_): name for id_, name in table.iter_rows() if name}
    held = {
        fold(str(row["role_assignment_id"])): " as ".join(
            names.get(fold(str(row[key])), str(row[key])) for key in ("principal_id", "role_definition_id")
        )
        for row in tenant.assignments
    }
    return names | places | held


def _custom_roles(store: Store) -> dict[str, RoleDefinition]:
    table = store.table("role_definitions").filter(pl.col("role_type") == "CustomRole")
    return {
        fold(row["role_definition_id"]): RoleDefinition(
            fold(row["role_definition_id"]),
            row["role_name"] or "",
            permissions_from_json(row["permissions"]),
            "CustomRole",
            row["description"] or "",
            tuple(row["assignable_scopes"] or ()),
        )
        for row in table.sort("role_definition_id").iter_rows(named=True)
    }


def plan_rollout(
    db: Path,
    plan: Path,
    out: Path,
    *,
    emergency: Collection[str],
    order: Order = DEFAULT_ORDER,
    review: Path | None = None,
    wave: int | None = None,
    signers: Signers = ANYBODY,
) -> Bundle:
    """Order a plan and write the rollout into a folder, with the plan beside it, without a request to Azure.

    Args:
        db: The store.
        plan: The plan folder, or its `plan.json`.
        out: The folder of the rollout.
        emergency: Emergency access accounts; their assignments and those of their groups are left alone.
        order: The options of the rollout.
        review: A file of decisions: only accepted proposals are taken.
        wave: Only the changes in this wave of `next` are taken.
        signers: Whose signature the plan must have.

    Raises:
        UsageError: No emergency access account is named, the folder has a rollout already, a proposal is not known, or
            the wave has no change of an Azure role.
        EvidenceError: The plan is stale, rests on too short a window, or nothing in it is accepted.
        GateError: The plan cannot be proved, or Azure's limits leave no room.
        InputError: Decisions contradict each other, or have ended.
    """
    if not emergency:
        hint = "name each: --emergency-access OBJECT-ID; none of them is touched"
        raise UsageError("no emergency access account is named", hint=hint)
    if stands_in(out, JOURNAL):
        raise UsageError(f"`{out}` holds a rollout that has begun", hint="choose another folder")
    if review is not None or wave is not None or order.only:
        read = plan_of(read_plan_folder(plan, signers))
        order = replace(order, only=proposals_called(read, order.only))
        only: Collection[str] = order.only
        if review is not None:
            only = _chosen(accepted_of(read, review, Clock().utc().date()), only)
        if wave is not None:
            only = _chosen_of_wave(proposals_of_wave(db, read, wave), order.only, only, wave)
        order = replace(order, only=tuple(only))
    bundle, opened = derive_bundle(db, plan, emergency, order, signers)
    _write(out, bundle, opened)
    return bundle


def derive_bundle(
    db: Path, plan: Path, emergency: Collection[str], order: Order, signers: Signers = ANYBODY
) -> tuple[Bundle, PlanFolder]:
    """Return the rollout of a plan folder, proved against the store, and the folder; same inputs, same rollout.

    Raises:
        UsageError: An account or a canary is not known.
        EvidenceError: The plan is stale, or rests on too short a window.
        GateError: The plan cannot be proved, or Azure's limits leave no room.
    """
    checked = verify_plan(db, plan, signers=signers)
    if checked.refusal is not None:
        raise checked.refusal
    opened = open_plan_folder(plan, signers, with_pages=False)
    roles: dict[str, RoleDefinition] = dict(opened.read.roles.items())
    _check_window(opened.read.written.window, order)
    with open_store(db, read_only=True) as store:
        tenant = read_rollout_tenant(store)
        names = read_held_names(store, tenant)
        named = Inputs.of(**{name: store.table(name) for name in NAMED})
    emergency = resolve_known(named, emergency)
    order = replace(order, canaries=resolve_known(named, order.canaries))
    _check_known(emergency, tenant, "an emergency access account")
    _check_known(order.canaries, tenant, "a canary")
    digest = hashlib.sha256(opened.text).hexdigest()
    bundle = make_bundle(opened.read.document, digest, roles, tenant, emergency=emergency, order=order)
    return replace(bundle, names=_names(names, roles, bundle)), opened


def check_derived(db: Path, folder: Path, bundle: Bundle, signers: Signers = ANYBODY) -> None:
    """Raise an error where a bundle differs from the one that its plan makes: nothing else may be made or removed.

    Raises:
        InputError: The bundle differs.
        EvidenceError: The plan is stale by now.
        GateError: The plan cannot be proved.
    """
    derived, _ = derive_bundle(db, folder_in(folder, PLAN), bundle.emergency, bundle.order, signers)
    if replace(derived, names={}) != replace(bundle, names={}):
        raise InputError(
            f"`{BUNDLE}` does not match its plan: the bundle or the store has changed",
            hint="make a new one with `rightsize rollout plan`",
        )


def _check_window(window: Window, order: Order) -> None:
    short = window.preview
    if short is not None and not order.accepts_short_window:
        raise EvidenceError(
            f"the plan is a preview: {short}",
            hint="use that occurs once a quarter may be missing; --accept-short-window accepts this",
        )


def _names(known: Mapping[str, str], roles: Mapping[str, RoleDefinition], bundle: Bundle) -> dict[str, str]:
    """Return display names of principals and roles by folded id, and of subscriptions and groups as spelled."""
    held = [one for swap in bundle.swaps for one in (*swap.creates, *swap.removes)]
    wanted = {fold(one.principal_id) for one in held} | {fold(one.role) for one in held}
    wanted |= {fold(one.role_assignment_id) for one in bundle.left_out}
    found = dict(known)
    found |= {fold(id_): role.role_name for id_, role in roles.items()}
    places = {_home(one.scope) for one in held}
    return {id_: found[fold(id_)] for id_ in sorted(wanted | places) if fold(id_) in found}


def _home(scope: str) -> str:
    parts = scope.split("/")
    return "/".join(parts[:3]) if fold(scope).startswith("/subscriptions/") else scope


def _chosen(accepted: Collection[str], only: Collection[str]) -> Collection[str]:
    """Return the accepted proposals, limited to the named ones where any are named."""
    for name in only:
        if name not in accepted:
            raise UsageError(f"proposal `{name}` is not accepted", hint="`rightsize review accept` does that")
    return only or accepted


def _chosen_of_wave(of_wave: Sequence[str], named: Collection[str], only: Collection[str], wave: int) -> Sequence[str]:
    """Return the proposals of a wave, limited to some where any are given; those that a person named must be in it."""
    known = set(map(fold, of_wave))
    for name in named:
        if fold(name) not in known:
            raise UsageError(
                f"proposal `{name}` is not a change of an Azure role in wave {wave}",
                hint=f"`rightsize next --wave {wave}` shows them",
            )
    wanted = set(map(fold, only))
    chosen = [one for one in of_wave if not wanted or fold(one) in wanted]
    if not chosen:
        raise EvidenceError(
            f"no proposal of wave {wave} is accepted", hint="`rightsize review PLAN` decides on them, in their order"
        )
    return chosen


def _check_known(principals: Collection[str], tenant: RolloutTenant, what: str) -> None:
    for one in principals:
        if fold(one) not in tenant.types:
            raise UsageError(
                f"`{one}` is not a loaded principal, so it cannot be {what}",
                hint="give an id or a name",
            )


def _write(out: Path, bundle: Bundle, opened: PlanFolder) -> None:
    try:
        (out / PLAN).mkdir(parents=True, exist_ok=True)
        copy = folder_in(out, PLAN)
        for name in opened.files:
            (copy / name).parent.mkdir(exist_ok=True)
            folder_in(copy, str(Path(name).parent))
            replace_found(copy, name, b"".join(parts_of_found(opened.folder, name)))
        replace_found(copy, "plan.json", opened.text)
        replace_found(out, BUNDLE, write_bundle(bundle).encode())
    except OSError as error:
        raise InputError(f"cannot write into `{out}`: {error.strerror}") from error


def open_bundle(folder: Path) -> Bundle:
    """Return the rollout of a folder, or raise InputError."""
    if not stands_in(folder, BUNDLE):
        raise InputError(
            f"there is no rollout at `{folder}`", hint="`rightsize rollout plan PLAN --out FOLDER` begins one"
        )
    return read_bundle(read_found(folder, BUNDLE, most=LARGE))


def swap_named(bundle: Bundle, name: str) -> Swap:
    """Return the swap of an id, or of the beginning of an id, or raise UsageError."""
    found = [swap for swap in bundle.swaps if swap.id.startswith(fold(name)) and name]
    if len(found) != 1:
        said = (
            f"`{name}` is the beginning of {len(found)} swaps" if found else f"`{name}` is not a swap of this rollout"
        )
        raise UsageError(said, hint="`rightsize rollout status` names them")
    return found[0]


def next_wave(folder: Path) -> int | None:
    """Return the first wave with a swap that is neither done nor taken back, or None."""
    bundle, states = open_bundle(folder), swap_states(folder)
    over = ("done", "rolled_back", "scope_gone")
    return next((swap.wave for swap in bundle.swaps if states[swap.id] not in over), None)


def swap_states(folder: Path) -> dict[str, str]:
    """Return the state of each swap of a folder's rollout."""
    bundle = open_bundle(folder)
    entries = entries_by_swap(read_entries(folder, bundle))
    return {swap.id: state_of(entries.get(swap.id, ())) for swap in bundle.swaps}


def heads_of(bundle: Bundle) -> Heads:
    """Return the place on this machine that keeps the head of a rollout's journal."""
    return Heads(heads_folder(), bundle.hash)


def read_entries(folder: Path, bundle: Bundle) -> list[Entry]:
    """Return the journal of a folder's rollout; raise InputError where it does not fit the head on this machine."""
    return read_journal(folder / JOURNAL, heads_of(bundle))


def entries_by_swap(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Return the entries of each swap, the oldest first."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.swap, []).append(entry)
    return found
