"""Bring an accepted plan into Azure: order it, carry out its waves, watch them, and take them back."""

from __future__ import annotations

import datetime as dt
import hashlib
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rightsize.azure.clients import Clients
from rightsize.azure.clouds import read_cloud
from rightsize.azure.credentials import open_credential, sign_in
from rightsize.azure.exchange import Exchange
from rightsize.azure.guard import ROLLOUT_WRITES
from rightsize.azure.throttle import Clock, Throttle
from rightsize.azure.wire import FaultError, NotSignedInError
from rightsize.model.errors import AccessError, InputError, ServiceError, UsageError
from rightsize.model.nouns import RoleDefinition
from rightsize.model.role_forms import load_json, permissions_from_json, read_role_definitions
from rightsize.propose.reviewable import plan_of
from rightsize.propose.written import read_plan, read_roles
from rightsize.rbac.text import fold
from rightsize.rollout.arm import Arm
from rightsize.rollout.bundle import Bundle, Swap, read_bundle, write_bundle
from rightsize.rollout.engine import Engine, state_of
from rightsize.rollout.journal import Entry, Journal, read_journal
from rightsize.rollout.order import Tenant, make_bundle
from rightsize.rollout.rest import RefusalError
from rightsize.rollout.tripwire import Refusal, Seen, Standing, standing_of
from rightsize.store.connection import Store, open_store
from rightsize.workflow.deploy import types_of
from rightsize.workflow.names import read_names
from rightsize.workflow.plan_folder import read_plan_folder
from rightsize.workflow.review import accepted_of
from rightsize.workflow.text_files import read_bytes
from rightsize.workflow.verify import verify_plan

BUNDLE, JOURNAL, PLAN = "rollout.json", "journal.jsonl", "plan"
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Access:
    """Whom a rollout acts as: the way to sign in, the cloud, and whether somebody may be asked."""

    auth: str
    cloud: str = "public"
    may_ask: bool = True
    clock: Clock | None = None


def plan_rollout(
    db: Path,
    plan: Path,
    out: Path,
    *,
    emergency: Collection[str],
    canaries: Collection[str] = (),
    wave_size: int = 25,
    only: Collection[str] = (),
    review: Path | None = None,
) -> Bundle:
    """Order a plan and write the rollout into a folder, with the plan beside it; Azure is not asked.

    Raises:
        UsageError: No emergency access account is named, or the folder has a rollout already.
        EvidenceError: The plan is stale, or nothing in it is accepted.
        GateError: The plan cannot be proved, or Azure's limits leave no room.
        InputError: Decisions contradict each other, or have ended.
    """
    if not emergency:
        hint = "name each: --emergency-account OBJECT-ID; none of them is touched"
        raise UsageError("no emergency access account is named", hint=hint)
    if (out / JOURNAL).exists():
        raise UsageError(f"`{out}` holds a rollout that has begun", hint="choose another folder")
    if review is not None:
        only = _chosen(accepted_of(plan_of(read_plan_folder(plan)), review, Clock().utc().date()), only)
    checked = verify_plan(db, plan)
    if checked.refusal is not None:
        raise checked.refusal
    folder = plan if plan.is_dir() else plan.parent
    text = read_bytes(folder / "plan.json")
    written = read_plan(text)
    roles = read_roles(written, {role.file: read_bytes(folder / role.file) for role in written.roles})
    document = load_json(text)
    assert isinstance(document, dict)  # noqa: S101  `read_plan` has read it
    with open_store(db, read_only=True) as store:
        tenant = _tenant(store)
        store_names = _store_names(store, tenant)
    _check_known(emergency, tenant, "emergency access account")
    _check_known(canaries, tenant, "canary")
    bundle = make_bundle(
        document,
        hashlib.sha256(text).hexdigest(),
        roles,
        tenant,
        emergency=emergency,
        canaries=canaries,
        wave_size=wave_size,
        only=only,
    )
    bundle = replace(bundle, names=_names(store_names, roles, bundle))
    _write(out, bundle, folder, [role.file for role in written.roles])
    return bundle


def _names(known: Mapping[str, str], roles: Mapping[str, RoleDefinition], bundle: Bundle) -> dict[str, str]:
    """Return what people call principals and roles, by folded id, and subscriptions and groups as they are spelled."""
    held = [one for swap in bundle.swaps for one in (*swap.creates, *swap.removes)]
    wanted = {fold(one.principal_id) for one in held} | {fold(one.role) for one in held}
    wanted |= {fold(one.role_assignment_id) for one in bundle.left_out}
    found = {**known, **{fold(id_): role.role_name for id_, role in roles.items()}}
    places = {_home(one.scope) for one in held}
    return {id_: found[fold(id_)] for id_ in sorted(wanted | places) if fold(id_) in found}


def _home(scope: str) -> str:
    parts = scope.split("/")
    return "/".join(parts[:3]) if fold(scope).startswith("/subscriptions/") else scope


def _chosen(accepted: Collection[str], only: Collection[str]) -> Collection[str]:
    """Return what is accepted, of what is named where something is."""
    for name in only:
        if name not in accepted:
            raise UsageError(f"proposal `{name}` is not accepted", hint="`rightsize review accept` does that")
    return only or accepted


def _check_known(principals: Collection[str], tenant: Tenant, what: str) -> None:
    for one in principals:
        if fold(one) not in tenant.types:
            raise UsageError(f"`{one}` is no principal that is loaded, and so no {what}", hint="give the object id")


def _write(out: Path, bundle: Bundle, plan: Path, files: Sequence[str]) -> None:
    try:
        (out / PLAN / "roles").mkdir(parents=True, exist_ok=True)
        for name in ("plan.json", *files):
            shutil.copyfile(plan / name, out / PLAN / name)
        (out / BUNDLE).write_text(write_bundle(bundle), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write into `{out}`: {error.strerror}") from error


def _store_names(store: Store, tenant: Tenant) -> dict[str, str]:
    """Return names of principals and roles, and of each assignment who holds which role, by folded id."""
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


def _tenant(store: Store) -> Tenant:
    members: dict[str, set[str]] = {}
    for group, member in store.table("group_closure").select("group_id", "member_id").iter_rows():
        members.setdefault(fold(group), set()).add(fold(member))
    rows = store.table("role_assignments").sort("role_assignment_id", "state").to_dicts()
    return Tenant(
        rows, {group: frozenset(found) for group, found in members.items()}, types_of(store.table("principals"))
    )


def open_bundle(folder: Path) -> Bundle:
    """Return the rollout of a folder, or raise InputError."""
    return read_bundle(read_bytes(folder / BUNDLE))


def swap_named(bundle: Bundle, name: str) -> Swap:
    """Return the swap of an id, or of the beginning of one, or raise UsageError."""
    found = [swap for swap in bundle.swaps if swap.id.startswith(fold(name)) and name]
    if len(found) != 1:
        said = f"`{name}` is the beginning of {len(found)} swaps" if found else f"`{name}` is no swap of this rollout"
        raise UsageError(said, hint="`rightsize rollout status` names them")
    return found[0]


def next_wave(folder: Path) -> int | None:
    """Return the first wave with a swap that is neither done nor taken back, or None."""
    bundle, states = open_bundle(folder), swap_states(folder)
    return next((s.wave for s in bundle.swaps if states[s.id] not in ("done", "rolled_back")), None)


def swap_states(folder: Path) -> dict[str, str]:
    """Return the state of each swap of a folder's rollout."""
    return dict(_states(open_bundle(folder), read_journal(folder / JOURNAL)))


def _states(bundle: Bundle, entries: Sequence[Entry]) -> dict[str, str]:
    by_swap: dict[str, list[Entry]] = {}
    for entry in entries:
        by_swap.setdefault(entry.swap, []).append(entry)
    return {swap.id: state_of(by_swap.get(swap.id, ())) for swap in bundle.swaps}


def apply_wave(folder: Path, wave: int, access: Access, *, db: Path, tell: Tell = print) -> dict[str, str]:
    """Carry out a wave, and return the state of each of its swaps. This writes to Azure.

    Raises:
        EvidenceError: Nothing is done yet, and the plan is stale by now.
        AccessError: Nobody is signed in.
        ServiceError: Azure does not answer, or refuses the way back; the same call goes on where this one stopped.
    """
    bundle = open_bundle(folder)
    if wave not in bundle.waves:
        raise UsageError(f"there is no wave {wave}", hint=f"there are {len(bundle.waves)}")
    if not read_journal(folder / JOURNAL):
        refusal = verify_plan(db, folder / PLAN).refusal
        if refusal is not None:
            raise refusal
    with open_store(db, read_only=True) as store:
        members = _tenant(store).members

    def work(engine: Engine, caller: str) -> None:
        engine.apply(wave, own=own_access(caller, members))

    _carry_out(folder, bundle, access, work, tell)
    states = swap_states(folder)
    return {swap.id: states[swap.id] for swap in bundle.swaps if swap.wave == wave}


def own_access(caller: str, members: Mapping[str, Collection[str]]) -> frozenset[str]:
    """Return the principals whose access somebody has: themselves, and every group with them in it, nested or not."""
    return frozenset({fold(caller)} | {group for group, found in members.items() if fold(caller) in found})


def roll_back(folder: Path, access: Access, *, swaps: Collection[str] = (), tell: Tell = print) -> dict[str, str]:
    """Take swaps back, the last first; all of them where none is named. This writes to Azure.

    Raises:
        UsageError: A swap is none of this rollout.
        AccessError: Nobody is signed in.
        ServiceError: Azure does not answer, or refuses something; the same call goes on where this one stopped.
    """
    bundle = open_bundle(folder)
    named = {swap_named(bundle, name).id for name in swaps}
    chosen = [swap for swap in reversed(bundle.swaps) if not swaps or swap.id in named]

    def work(engine: Engine, _: str) -> None:
        for swap in chosen:
            engine.roll_back(swap)

    _carry_out(folder, bundle, access, work, tell)
    states = swap_states(folder)
    return {swap.id: states[swap.id] for swap in chosen}


def _carry_out(folder: Path, bundle: Bundle, access: Access, work: Callable[[Engine, str], None], tell: Tell) -> None:
    clock = access.clock or Clock()
    place = read_cloud(access.cloud)
    credential = open_credential(access.auth, place, clock, may_ask=access.may_ask)
    who = sign_in(credential, place)
    tell(f"signed in by {who.credential} as {who.name or who.principal_id}")
    hint = "run the same command again: it goes on where this one stopped"
    with (
        Clients(place, credential, writes=ROLLOUT_WRITES) as clients,
        Journal(folder / JOURNAL, plan=bundle.plan) as journal,
    ):
        arm = Arm(Exchange(clients, Throttle(clock, place.budgets), clock))
        try:
            work(Engine(bundle, arm, journal, clock, tell), who.principal_id)
        except NotSignedInError as error:
            raise AccessError(f"the token is not taken: {error.reason}", hint=hint) from error
        except FaultError as error:
            raise ServiceError(f"Azure does not answer: {error.reason}", hint=hint) from error
        except RefusalError as error:
            raise ServiceError(f"the way back is refused: {error.reason}", hint=hint) from error


def watch_rollout(db: Path, folder: Path, *, watch_days: int, soak_days: int, today: dt.date) -> list[Standing]:
    """Return how each swap stands, from the journal and what the store has seen since.

    Raises:
        InputError: There is no rollout, or no store.
    """
    bundle, entries = open_bundle(folder), read_journal(folder / JOURNAL)
    done = [dt.datetime.fromisoformat(entry.at) for entry in entries if entry.event == "done"]
    with open_store(db, read_only=True) as store:
        seen = _seen(store, bundle, min(done, default=None), today)
    by_swap: dict[str, list[Entry]] = {}
    for entry in entries:
        by_swap.setdefault(entry.swap, []).append(entry)
    return [
        standing_of(swap, by_swap.get(swap.id, ()), seen, watch_days=watch_days, soak_days=soak_days)
        for swap in bundle.swaps
    ]


def confirm_swaps(folder: Path, swaps: Sequence[str], person: str, clock: Clock | None = None) -> None:
    """Write into the journal that somebody answers for what no log would show of these swaps.

    Raises:
        UsageError: A swap is not done.
    """
    bundle = open_bundle(folder)
    states = swap_states(folder)
    moment = (clock or Clock()).utc().isoformat(timespec="seconds")
    with Journal(folder / JOURNAL, plan=bundle.plan) as journal:
        for swap in [swap_named(bundle, name) for name in swaps]:
            if states[swap.id] != "done":
                raise UsageError(f"`{swap.id}` is no swap that is done")
            journal.write(swap.id, "confirmed", swap.id, moment, {"by": person})


def _seen(store: Store, bundle: Bundle, since: dt.datetime | None, today: dt.date) -> Seen:
    moment = (since or dt.datetime.max).replace(tzinfo=None)
    covered: dict[str, set[dt.date]] = {}
    days = store.frame(
        "SELECT DISTINCT lower(scope) AS scope, day FROM coverage "
        "WHERE source = 'activity_log' AND state <> 'missing' AND day >= $day",
        {"day": moment.date()},
    )
    for scope, day in days.iter_rows():
        covered.setdefault(scope, set()).add(day)
    tree = store.frame(
        "SELECT scope, parent_scope FROM scopes WHERE kind IN ('management_group', 'subscription') ORDER BY ALL"
    )
    roles = {fold(id_): permissions_from_json(text) for id_, text in _permissions(store)}
    roles |= {role: read_role_definitions(dict(body))[0].permissions for role, body in bundle.roles.items()}
    return Seen(
        refusals=_refusals(store, moment),
        covered={scope: frozenset(found) for scope, found in covered.items()},
        members=_tenant(store).members,
        roles=roles,
        tree={fold(scope): parent for scope, parent in tree.iter_rows() if parent},
        today=today,
    )


def _refusals(store: Store, since: dt.datetime) -> list[Refusal]:
    """Return refused calls, a row a day; where events are stored, with the time and number of those since."""
    found = store.frame(
        """
        WITH days AS (
            SELECT principal_id, operation, scope, plane, day, sum(denied)::BIGINT AS denied,
                max(last_seen) AS last_seen
            FROM usage_days WHERE denied > 0 AND principal_id IS NOT NULL AND last_seen >= $since GROUP BY ALL
        ), calls AS (
            SELECT operation, scope, plane, principal_id, time::DATE AS day, max(time) AS last_denied,
                count(*) FILTER (WHERE time >= $since) AS since
            FROM events WHERE outcome = 'denied' AND time >= $since::DATE GROUP BY ALL
        )
        SELECT d.principal_id, d.operation, d.scope, d.plane, coalesce(max(c.since), max(d.denied))::BIGINT AS calls,
            coalesce(max(c.last_denied), max(d.last_seen)) AS last_seen
        FROM days AS d LEFT JOIN calls AS c ON c.operation = d.operation AND c.scope = d.scope AND c.plane = d.plane
            AND c.day = d.day AND coalesce(c.principal_id, d.principal_id) = d.principal_id
        GROUP BY d.principal_id, d.operation, d.scope, d.plane, d.day ORDER BY ALL
        """,
        {"since": since},
    )
    return [Refusal(**row) for row in found.to_dicts()]


def _permissions(store: Store) -> list[tuple[str, str]]:
    return store.table("role_definitions").select("role_definition_id", "permissions").rows()
