"""Carry out the waves of a rollout, or roll them back: sign in, check the bundle, run the engine."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rightsize.azure.clients import Clients
from rightsize.azure.credentials import RenewableCredential, SignIn, open_credential, sign_in
from rightsize.azure.exchange import Clock, Exchange, Throttle
from rightsize.azure.hosts import Cloud, read_cloud, rollout_writes
from rightsize.azure.wire import FaultError, NotSignedInError
from rightsize.change.arm import Arm
from rightsize.change.bundle import JOURNAL, PLAN, Bundle, Swap, room_for
from rightsize.change.engine import RolloutEngine
from rightsize.change.journal import Bound, Head, Journal, bound_of, read_head, write_head
from rightsize.change.order import RolloutTenant
from rightsize.change.preflight import PreflightFacts
from rightsize.change.rest import RefusalError, UnseenError
from rightsize.model.errors import AccessError, GateError, InputError, RightsizeError, ServiceError, UsageError
from rightsize.model.file_reading import folder_in, read_found, replace_found, stands_in
from rightsize.rbac.text import fold
from rightsize.store.connection import open_store
from rightsize.workflow.plan import rollout
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
            work(RolloutEngine(bundle, arm, journal, clock, report_progress), who)
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
    """Return the Azure paths that a rollout of this bundle may write: those of what it makes and removes."""
    held = [one for swap in bundle.swaps for one in (*swap.creates, *swap.removes)]
    managed = {one.scope for one in held if one.is_managed}
    managed |= {rules.scope for swap in bundle.swaps for rules in swap.rules}
    paths = {one.url for one in held if not one.is_managed}
    return rollout_writes(paths, {*bundle.roles, *bundle.old_roles}, managed)


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
