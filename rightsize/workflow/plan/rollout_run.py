"""Carry out the waves of a rollout, or roll them back, and show it as rows.

A wave signs in, checks the bundle and runs the engine. The state of each swap is read from the journal and from the
logs that were loaded since.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rightsize.azure.clients import Clients
from rightsize.azure.credentials import RenewableCredential, SignIn, open_credential, sign_in
from rightsize.azure.exchange import Clock, Exchange, Throttle
from rightsize.azure.hosts import Cloud, read_cloud, rollout_writes
from rightsize.azure.wire import FaultError, NotSignedInError
from rightsize.change.arm import Arm
from rightsize.change.bundle import JOURNAL, PLAN, Bundle, Held, Swap, room_for, write_bundle
from rightsize.change.engine import RolloutEngine
from rightsize.change.journal import Bound, Head, Journal, bound_of, read_head, write_head
from rightsize.change.order import RolloutTenant
from rightsize.change.preflight import PreflightFacts
from rightsize.change.rest import RefusalError, UnseenError
from rightsize.change.steps import Steps
from rightsize.change.tripwire import Refusal, SeenUse, SwapStatus, add_back, standing_of
from rightsize.model.errors import AccessError, GateError, InputError, RightsizeError, ServiceError, UsageError
from rightsize.model.file_reading import folder_in, read_found, replace_found, stands_in
from rightsize.model.nouns import PermissionBlock
from rightsize.model.role_forms import permissions_from_json, read_role_definitions
from rightsize.model.text import fold
from rightsize.render.sentences import short_scope
from rightsize.store.connection import Store, open_store
from rightsize.store.queries import query_text
from rightsize.workflow.plan import rollout
from rightsize.workflow.plan.rollout import entries_by_swap, open_bundle, read_entries, read_rollout_tenant
from rightsize.workflow.plan.verify import verify_plan
from rightsize.workflow.signatures import ANYBODY, Signers, check_file, sign_file

HEAD = "journal.head"
NAMESPACE = "rightsize-rollout"
ReportProgress = Callable[[str], None]
_AGAIN = "run the same command again: it continues where this one stopped"


@dataclass(frozen=True, slots=True)
class RolloutAccess:
    """The sign-in of a rollout, and the proof that its journal is unchanged.

    Attributes:
        auth: The way to sign in.
        may_ask: Whether a person may be asked to sign in.
        key: A key to sign the head of the journal with at the end, or None.
        signers: Whose signature the head must have.
        plan_signers: Whose signature the plan must have.
        head: Hash of the journal's last line, where this machine keeps no head of it.
    """

    auth: str
    cloud: str = "public"
    may_ask: bool = True
    clock: Clock | None = None
    key: Path | None = None
    signers: Signers = ANYBODY
    plan_signers: Signers = ANYBODY
    head: str | None = None


def apply_wave(
    folder: Path, wave: int, access: RolloutAccess, *, db: Path, report_progress: ReportProgress = print
) -> dict[str, str]:
    """Carry out a wave in Azure, and return the state of each of its swaps.

    Raises:
        EvidenceError: The plan is stale by now.
        GateError: The plan cannot be proved, a protected principal would lose access, or Azure's limits leave no room.
        InputError: The bundle is not what its plan makes, or the journal is not the one that was written.
        AccessError: Nobody is signed in, or to another tenant.
        ServiceError: Azure does not answer or refuses a rollback, or the journal takes no line; call again to continue.
    """
    bundle = rollout.open_bundle(folder)
    if wave not in bundle.waves:
        raise UsageError(f"there is no wave {wave}", hint=f"there are {len(bundle.waves)}")
    if not rollout.read_entries(folder, bundle):
        rollout.check_derived(db, folder, bundle, access.plan_signers)
    tenant = check_wave(db, folder, bundle, wave, access.plan_signers)

    def work(engine: RolloutEngine, who: SignIn) -> None:
        known = PreflightFacts(
            who.principal_id, who.has_mfa, who.tenant_id, tenant.members, tenant.enabled, tenant.tree
        )
        engine.apply(wave, known)

    _carry_out(folder, bundle, access, work, report_progress)
    states = rollout.swap_states(folder)
    return {swap.id: states[swap.id] for swap in bundle.swaps if swap.wave == wave}


def check_wave(db: Path, folder: Path, bundle: Bundle, wave: int, signers: Signers = ANYBODY) -> RolloutTenant:
    """Check before a wave that the plan still holds and no emergency access account loses anything; return the tenant.

    Assignments that this rollout has already removed do not make the plan stale.

    Raises:
        EvidenceError: The plan is stale by now.
        GateError: The plan cannot be proved, or an emergency access account is gone, disabled or would lose access.
    """
    removed = [entry.key for entry in rollout.read_entries(folder, bundle) if entry.event == "remove-begin"]
    refusal = verify_plan(db, folder_in(folder, PLAN), removed=removed, signers=signers).refusal
    if refusal is not None:
        raise refusal
    with open_store(db, read_only=True) as store:
        tenant = rollout.read_rollout_tenant(store)
    for account in bundle.emergency:
        if fold(account) not in tenant.types:
            raise GateError(f"emergency access account `{account}` no longer exists", hint="look before you go on")
        if fold(account) in tenant.disabled:
            raise GateError(
                f"emergency access account `{account}` is disabled or deleted", hint="look before you go on"
            )
    emergency = frozenset(map(fold, bundle.emergency))
    for gone in (gone for swap in bundle.swaps if swap.wave == wave for gone in swap.removes):
        holder = fold(gone.principal_id)
        if emergency & ({holder} | tenant.members.get(holder, frozenset())):
            said = f"an emergency access account holds assignment `{gone.id}` by now, which wave {wave} would remove"
            raise GateError(said, hint="make a new plan: `rightsize rollout plan`")
    return tenant


def roll_back(
    folder: Path, access: RolloutAccess, *, swaps: Collection[str] = (), report_progress: ReportProgress = print
) -> dict[str, str]:
    """Roll swaps back in Azure, the last first; all of them where none is named.

    Raises:
        UsageError: A swap does not belong to this rollout.
        InputError: The bundle or the journal is not the one that was written.
        AccessError: Nobody is signed in, the sign-in is to another tenant, or a subscription cannot be seen.
        ServiceError: Azure does not answer, or refuses something; call again to continue.
    """
    bundle = rollout.open_bundle(folder)
    named = {rollout.swap_named(bundle, name).id for name in swaps}
    chosen: Sequence[Swap] = [swap for swap in reversed(bundle.swaps) if not swaps or swap.id in named]
    states = rollout.swap_states(folder)
    if any(states[swap.id] not in ("open", "rolled_back", "scope_gone") for swap in chosen):
        _carry_out(folder, bundle, access, lambda engine, _: engine.roll_back(chosen), report_progress)
    states = rollout.swap_states(folder)
    return {swap.id: states[swap.id] for swap in chosen}


def confirm_swaps(folder: Path, swaps: Sequence[str], person: str, clock: Clock | None = None) -> None:
    """Note in the journal that a person confirms these swaps, whose effect no log would show.

    Raises:
        UsageError: A swap is not done.
        InputError: The bundle or the journal is not the one that was written.
    """
    bundle = rollout.open_bundle(folder)
    entries, states = rollout.read_entries(folder, bundle), rollout.swap_states(folder)
    moment = (clock or Clock()).utc().isoformat(timespec="seconds")
    named = [rollout.swap_named(bundle, name) for name in swaps]
    for swap in named:
        if states[swap.id] != "done":
            raise UsageError(f"`{swap.id}` is not a swap that is done")
    said = bound_of(entries[0])
    bound = Bound(bundle.hash, bundle.plan, said.tenant, said.cloud)
    with Journal(folder / JOURNAL, bound, rollout.heads_of(bundle)) as journal:
        for swap in named:
            journal.write(swap.id, "confirmed", swap.id, moment, {"by": person})


def _carry_out(
    folder: Path,
    bundle: Bundle,
    access: RolloutAccess,
    work: Callable[[RolloutEngine, SignIn], None],
    report_progress: ReportProgress,
) -> None:
    clock = access.clock or Clock()
    place = read_cloud(access.cloud)
    trusted = _trusted(folder, bundle, access, report_progress)
    entries = rollout.read_entries(folder, bundle)
    credential = open_credential(access.auth, place, clock, may_ask=access.may_ask)
    who = sign_in(credential, place)
    report_progress(f"signed in by {who.credential} as {who.name or who.principal_id}, to tenant {who.tenant_id}")
    bound = Bound(bundle.hash, bundle.plan, fold(who.tenant_id), place.arm)
    if entries:
        _check_same_tenant(bound_of(entries[0]), bound)
    journal = Journal(folder / JOURNAL, bound, rollout.heads_of(bundle), room=room_for(bundle), trusted=trusted)
    with journal:
        try:
            _work(place, credential, who, clock, bundle, journal, work, report_progress)
        except BaseException:
            # The error that ended the run matters more than a head that cannot be written, as on a full disk.
            with suppress(RightsizeError):
                _keep_head(folder, journal.head, access, report_progress)
            raise
        _keep_head(folder, journal.head, access, report_progress)


def _work(
    place: Cloud,
    credential: RenewableCredential,
    who: SignIn,
    clock: Clock,
    bundle: Bundle,
    journal: Journal,
    work: Callable[[RolloutEngine, SignIn], None],
    report_progress: ReportProgress,
) -> None:
    with Clients(place, credential, writes=writes_of(bundle)) as clients:
        arm = Arm(Exchange(clients, Throttle(clock, place.budgets), clock))
        try:
            work(RolloutEngine(Steps(bundle, arm, journal, clock, report_progress)), who)
        except NotSignedInError as error:
            raise AccessError(f"Azure rejects the token: {error.reason}", hint=_AGAIN) from error
        except FaultError as error:
            raise ServiceError(f"Azure does not answer: {error.reason}", hint=_AGAIN) from error
        except UnseenError as error:
            hint = "sign in to the tenant that it belongs to, with the right to read it"
            raise AccessError(f"a subscription cannot be seen: {error.reason}", hint=hint) from error
        except RefusalError as error:
            raise ServiceError(f"the way back is refused: {error.reason}", hint=_AGAIN) from error


def writes_of(bundle: Bundle) -> tuple[re.Pattern[str], ...]:
    """Return the Azure paths that a rollout of this bundle may write: those of what it makes, removes and switches."""
    held = [one for swap in bundle.swaps for one in (*swap.creates, *swap.removes)]
    managed = {one.scope for one in held if one.is_managed}
    managed |= {rules.scope for swap in bundle.swaps for rules in swap.rules}
    paths = {one.url for one in held if not one.is_managed}
    vaults = {one.vault for swap in bundle.swaps for one in swap.switches}
    return rollout_writes(paths, {*bundle.roles, *bundle.old_roles}, managed, vaults)


def _check_same_tenant(began: Bound, now: Bound) -> None:
    for name, before, here in (("tenant", began.tenant, now.tenant), ("cloud", began.cloud, now.cloud)):
        if before != here:
            raise AccessError(
                f"the rollout belongs to {name} `{before}`, and the sign-in to `{here}`",
                hint=f"sign in to {name} {before}: nothing of it can be seen from another",
            )


def _trusted(folder: Path, bundle: Bundle, access: RolloutAccess, report_progress: ReportProgress) -> str | None:
    """Return the hash of the journal's last line, where a person or a signature vouches for it."""
    if access.signers.file is None or not stands_in(folder, JOURNAL):
        return access.head
    hint = "`--key FILE` signs it at the end of each run"
    what = "the head of the journal"
    who = check_file(folder, HEAD, access.signers, namespace=NAMESPACE, what=what, hint=hint)
    head = read_head(read_found(folder, HEAD), folder / HEAD)
    if head.bundle != bundle.hash:
        raise InputError("the signed head is the one of another bundle", hint="the folder was changed: restore it")
    report_progress(f"the head of the journal is signed by {who}")
    return head.last


def _keep_head(folder: Path, head: Head, access: RolloutAccess, report_progress: ReportProgress) -> None:
    """Print the head of the journal, write it beside the journal, and sign it where a key is given."""
    if not head.lines:
        return
    try:
        replace_found(folder, HEAD, write_head(head).encode())
    except OSError as error:
        raise InputError(f"cannot write `{folder / HEAD}`: {error.strerror}") from None
    if access.key is not None:
        sign_file(folder / HEAD, access.key, NAMESPACE)
    report_progress(f"journal: {head.lines} lines, head {head.last}")


def watch_rollout(db: Path, folder: Path, *, watch_days: int, soak_days: int, today: dt.date) -> list[SwapStatus]:
    """Return the status of each swap, from the journal and the logs loaded since.

    Raises:
        InputError: There is no rollout, or no store.
    """
    bundle = open_bundle(folder)
    entries = read_entries(folder, bundle)
    done = [dt.datetime.fromisoformat(entry.at) for entry in entries if entry.event == "done"]
    with open_store(db, read_only=True) as store:
        seen = _seen(store, bundle, min(done, default=None), today)
    by_swap = entries_by_swap(entries)
    return [
        standing_of(swap, by_swap.get(swap.id, ()), seen, watch_days=watch_days, soak_days=soak_days)
        for swap in bundle.swaps
    ]


def _seen(store: Store, bundle: Bundle, since: dt.datetime | None, today: dt.date) -> SeenUse:
    moment = (since or dt.datetime.max).replace(tzinfo=None)
    covered: dict[str, set[dt.date]] = {}
    days = store.frame(
        "SELECT DISTINCT lower(scope) AS scope, day FROM coverage "
        "WHERE source IN ('activity_log', 'key_vault_log') AND state <> 'missing' AND day >= $day",
        {"day": moment.date()},
    )
    for scope, day in days.iter_rows():
        covered.setdefault(scope, set()).add(day)
    tenant = read_rollout_tenant(store)
    roles: dict[str, Sequence[PermissionBlock]] = {
        fold(id_): permissions_from_json(text) for id_, text in _permissions(store)
    }
    roles |= {role: read_role_definitions(dict(body))[0].permissions for role, body in bundle.roles.items()}
    return SeenUse(
        refusals=_refusals(store, moment),
        covered={scope: frozenset(found) for scope, found in covered.items()},
        members=tenant.members,
        roles=roles,
        tree=tenant.tree,
        today=today,
    )


def _refusals(store: Store, since: dt.datetime) -> list[Refusal]:
    """Return refused calls, one row a day; where events are stored, with the time and number of those since."""
    found = store.frame(
        query_text("answers/refusals"),
        {"since": since},
    )
    return [Refusal(**row) for row in found.to_dicts()]


def _permissions(store: Store) -> list[tuple[str, str]]:
    return store.table("role_definitions").select("role_definition_id", "permissions").rows()


def describe(swap: Swap, bundle: Bundle) -> dict[str, Any]:
    """Return a swap as a row: its principals, what it makes and removes, and its estimated risk."""
    return {
        "swap": swap.id,
        "wave": swap.wave,
        "principal": whom(swap, bundle),
        "principal_ids": sorted({one.principal_id for one in (swap.removes or swap.creates)}),
        "makes": len(swap.creates),
        "removes": len(swap.removes),
        "new_roles": len(swap.roles),
        "wait_seconds": swap.wait,
        "wait": _duration(swap.wait),
        "break_probability_30d": swap.risk,
        "breaks": f"{100 * swap.risk:.1f} %",
        "blind": swap.blind,
        "proposals": list(swap.proposals),
    }


def steps_of(swap: Swap, bundle: Bundle) -> list[dict[str, Any]]:
    """Return the steps of a swap in order, one row each."""
    rows: list[dict[str, Any]] = [_step("make role", role, None, bundle, role=role) for role in swap.roles]
    rows += [_step("carry rules over", one.role, one.scope, bundle, role=one.role) for one in swap.rules]
    rows += [_held("make assignment", one, one.role, bundle) for one in swap.creates]
    rows.append({"step": "wait and read back", "what": f"{swap.wait} s", "scope": None, "role": _duration(swap.wait)})
    rows += [_step("switch to roles", one.vault, one.vault, bundle, role="") for one in swap.switches]
    rows += [_held("remove assignment", one, one.id, bundle) for one in swap.removes]
    return [{"wave": swap.wave, "swap": swap.id, **row} for row in rows]


def states_of(states: Mapping[str, str], bundle: Bundle, **more: Any) -> list[dict[str, Any]]:
    """Return the state of each swap as a row, in the order of the states."""
    swaps = {swap.id: swap for swap in bundle.swaps}
    return [
        {"swap": id_, **more, "principal": whom(swaps[id_], bundle), "state": state} for id_, state in states.items()
    ]


def standings_of(standings: Iterable[SwapStatus], bundle: Bundle) -> list[dict[str, Any]]:
    """Return the status of each swap as a row."""
    swaps = {swap.id: swap for swap in bundle.swaps}
    return [
        {
            "swap": one.swap,
            "wave": one.wave,
            "principal": whom(swaps[one.swap], bundle),
            "state": one.state,
            "since": one.since,
            "covered_days": one.covered_days,
            "refused": sum(refusal.calls for refusal in one.refusals),
            "add_back": add_back(one),
            "reason": one.reason,
        }
        for one in standings
    ]


def whom(swap: Swap, bundle: Bundle) -> str:
    """Return the name of the first principal of a swap, and the number of its other principals; or of its vault."""
    if swap.switches:
        return f"vault {swap.switches[0].vault.rpartition('/')[2]}"
    ids = sorted({fold(one.principal_id) for one in (*swap.removes, *swap.creates)})
    names = sorted(bundle.names.get(id_, id_) for id_ in ids)
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def bundle_document(bundle: Bundle) -> dict[str, Any]:
    """Return the document that `rollout plan -o json` writes."""
    document: dict[str, Any] = json.loads(write_bundle(bundle))
    return document


def _held(step: str, one: Held, what: str, bundle: Bundle) -> dict[str, Any]:
    row = _step(step, what, one.scope, bundle, role=one.role)
    row["principal"] = bundle.names.get(fold(one.principal_id), one.principal_id)
    row["step"] = step.replace("assignment", "eligible assignment") if one.state == "eligible" else step
    return row | {"principal_id": one.principal_id, "until": one.until}


def _step(step: str, what: str, scope: str | None, bundle: Bundle, *, role: str) -> dict[str, Any]:
    name = bundle.names.get(fold(role), role)
    at = short_scope(scope, bundle.names) if scope else None
    return {"step": step, "what": what, "scope": scope, "role": name, "at": at}


def _duration(seconds: int) -> str:
    return f"{seconds // 3600} h" if seconds >= 3600 else f"{seconds // 60} min"
