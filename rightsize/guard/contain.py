"""Contain a suspected principal: write a plan, optional requests, and what an attacker keeps after both."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs, folded, place_of
from rightsize.analyze.principals import emergency_accounts, principal_names, resolve_known, resolve_principal
from rightsize.analyze.reach.facts import read_facts
from rightsize.analyze.requirements import require_catalogue, require_rbac
from rightsize.analyze.verdicts.judge import Analysis, analyse
from rightsize.analyze.verdicts.usage import use_by
from rightsize.analyze.window import choose_window, shortfall
from rightsize.guard.containment_plan import Containment, contain
from rightsize.guard.left_behind import LeftBehind, find_left_behind
from rightsize.guard.reach_after import ReachAfter, reach_after
from rightsize.guard.requests import (
    AgentGroup,
    Option,
    eligible_options,
    inherited_options,
    read_agent_group,
    write_options,
)
from rightsize.guard.still_allowed import BeyondRoles, find_beyond_roles
from rightsize.model.errors import EvidenceError, UsageError
from rightsize.model.text import fold
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.needs.assignments import Key
from rightsize.render.containment import left_behind_scripts, write_page
from rightsize.render.folder import FileText, write_folder
from rightsize.render.plan import plan_files
from rightsize.render.rows import write_json
from rightsize.store.connection import Store, open_store
from rightsize.store.quarantine import OF_USE, replace_decisions
from rightsize.store.stored_analysis import kept_digests, renew_digest
from rightsize.workflow.analysis.attack_paths import KINDS, named
from rightsize.workflow.analysis.behaviour import find_behaviour, tables_beside, with_holds

REQUESTS, PAGE = "containment.json", "containment.md"
_HOLDS_DAYS = 90


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A person's statement that the use of a principal, from some time on, was an attacker's.

    Attributes:
        since: The beginning, UTC.
        until: The end; None means the newest record.
        reason: The reason.
        owner: The person who answers for it.
    """

    since: dt.datetime
    until: dt.datetime | None
    reason: str
    owner: str


@dataclass(frozen=True, slots=True)
class ContainResult:
    """The result of `contain`.

    Attributes:
        principal_id: The contained principal; `name` is its display name.
        agents: Who is contained with it, where it is an agent identity or the principal of a blueprint.
        names: Display names of those whom `agents` names, by id.
        containment: The containment.
        options: Requests that people may send in addition.
        beyond: The suspect operations that no role of Azure allows, with the requests that end them.
        left: What they left behind in the suspect time.
        reach: What an attacker reaches from it before and after, and what still leads on without its sign-in.
        suspect: Number of its calls in quarantine; where it has none, of the suspect and held calls of its days.
        first_suspect: The time of the first of them.
        seconds: Seconds from opening the store to the plan on disk.
        out: The folder that was written.
        files: Its files.
        fitting_days: The days of the window that fits the logs, where it is shorter than the window of the plan.
    """

    principal_id: str
    name: str
    agents: AgentGroup
    names: Mapping[str, str]
    containment: Containment
    options: tuple[Option, ...]
    beyond: tuple[BeyondRoles, ...]
    left: LeftBehind
    reach: ReachAfter
    suspect: int
    first_suspect: dt.datetime | None
    seconds: float
    out: Path
    files: list[str]
    fitting_days: int | None = None

    def dwell(self, now: dt.datetime) -> dt.timedelta | None:
        """Return the time from the first suspect record to the plan, None where no call is suspect.

        Args:
            now: When the plan was complete, UTC without a zone.
        """
        return None if self.first_suspect is None else now - self.first_suspect

    def document(self) -> dict[str, Any]:
        """Return it as plain values."""
        found = self.containment
        return {
            "principal_id": self.principal_id,
            "name": self.name,
            "suspect_calls": self.suspect,
            "first_suspect": self.first_suspect,
            "changes": [
                {
                    "role_assignment_id": one.replaces[0],
                    "kind": one.kind,
                    "role": found.plan.names.get(one.evidence["role"], one.evidence["role"]),
                    "scope": one.evidence["scope"],
                    "why": list(found.why[one.assignment]),
                    "assignments": len(one.assignments),
                }
                for one in found.plan.proposals
            ],
            "stays": [
                {
                    "role_assignment_id": key[0],
                    "state": key[1],
                    "role": found.places[key][0],
                    "scope": found.places[key][1],
                    "reason": word,
                    "by_request": key in found.by_request,
                }
                for key, word in found.stays.items()
            ],
            "groups": list(found.groups),
            "still_allowed": [
                asdict(one)
                | {"role": found.plan.names.get(one.role, one.role), "holder": self.names.get(one.holder, one.holder)}
                for one in found.allowed
            ],
            "beyond_roles": [asdict(one) for one in self.beyond],
            "calls_not_kept": found.forgone.to_dicts(),
            "agents": self._agents(),
            "options": [asdict(one) for one in self.options],
            "left_behind": self.left.document(),
            "reach": {name: dict(counts) for name, counts in self.reach.counts.items()},
            "without_sign_in": self._without_sign_in(),
            "unlogged_reads": asdict(found.reads),
            "seconds": round(self.seconds, 3),
        }

    def _without_sign_in(self) -> dict[str, Any]:
        """Return whether its sign-in is blocked, and what leads on or can undo that, with names."""
        after = self.reach
        return {
            "blocked": after.is_blocked,
            "attached": [named(f"r:{scope}", self.names) for scope in after.attached],
            "leads_on": [
                {"id": one.node[2:], "kind": KINDS[one.node[0]], "name": named(one.node, self.names), "why": one.why}
                for one in after.leads
            ],
            "enabled_by": [{"id": one, "name": self.names.get(one, one)} for one in after.enabled_by],
            "enables_itself": after.enables_itself,
        }

    def _agents(self) -> dict[str, Any] | None:
        """Return who is contained and who keeps working, as `id, name`; None for a principal that is no agent."""
        group = self.agents
        if not group.kind:
            return None
        named = [{"id": one, "name": self.names.get(one, one)} for one in (*group.members, *group.siblings)]
        return {
            "kind": group.kind,
            "contained": named[: len(group.members)],
            "keeps_working": named[len(group.members) :],
            "blueprint": self.names.get(group.holder, group.holder) or None,
        }


def contain_principal(
    db: Path,
    principal: str,
    out: Path,
    *,
    suspicion: Suspicion | None = None,
    emergency: Collection[str] = (),
    as_of: dt.date | None = None,
    min_window: int = 90,
    keep_reads: bool = False,
) -> ContainResult:
    """Write the containment of a principal into a folder; nothing is sent anywhere.

    Args:
        db: The store.
        principal: Its id, UPN, application id or name. The principal of a blueprint stands for all its agents; an agent
            identity is contained with its user account.
        out: The plan folder.
        suspicion: The suspect time that a person names; it is stored as a decision, so that nothing learns from that
            time and the plan verifies. Without it, the suspect time is what signals hold in quarantine.
        emergency: Emergency access accounts.
        as_of: As for a plan.
        min_window: As for a plan. Use from before the window keeps nothing.
        keep_reads: Keep the unlogged reads that the kept operations need.

    Raises:
        InputError: No principal has the name.
        UsageError: Several have it, or it is an emergency access account.
        EvidenceError: No catalogue is loaded, or nothing that could be analysed.
    """
    began = time.monotonic()
    with open_store(db, read_only=False, existing=True) as store:
        # What an unusual day used first is suspect, too. No decision changes which days are unusual.
        held = with_holds(store, find_behaviour(store))
        inputs = Inputs.read(held)
        require_catalogue(inputs)
        wanted = resolve_principal(inputs, _blueprint_of(principal, store))
        protected = {resolve_principal(inputs, one) for one in emergency} | {*folded(emergency_accounts(inputs))}
        if wanted in protected:
            raise UsageError(
                f"`{principal}` is an emergency access account",
                hint="people decide how to contain an account that may be the last way in",
            )
        kinds = dict(principal_names(inputs).select("principal_id", "principal_type").iter_rows())
        if kinds.get(wanted) == "Group":
            raise UsageError(f"`{principal}` is a group", hint="contain the suspected member")
        # Of these tables none depends on what is suspect. Each is read once.
        table_of = cache(tables_beside(store, inputs))
        agents = read_agent_group(wanted, table_of)
        kinds |= dict.fromkeys(agents.identities, "ServicePrincipal")
        digests = kept_digests(store)
        if suspicion is not None:
            _suspect(store, agents.members, suspicion)
            # Only the use depends on what is suspect.
            inputs = inputs.with_use(held("usage_days"))
            digests = {name: one for name, one in digests.items() if name not in OF_USE}
        plan_options = PlanOptions(
            emergency_access=resolve_known(inputs, emergency), as_of=as_of, min_window=min_window, forget_days=0
        )
        require_rbac(inputs)
        analysis = analyse(inputs, choose_window(inputs, plan_options.as_of, *plan_options.span))
        own = replace(inputs, usage_days=use_by(inputs.usage_days, agents.members))
        suspect_days = own.usage_days.filter(pl.col("suspect") > 0)
        suspect = _suspect_assignments(agents.members, suspect_days, analysis)
        found = contain(
            inputs,
            analysis,
            agents.members,
            plan_options,
            content_hash=(content := renew_digest(store, digests)),
            suspect=suspect,
            keep_reads=keep_reads,
        )
        names = dict(principal_names(inputs).select("principal_id", "name").iter_rows())
        written = [
            write_options(
                one,
                kinds.get(one) or "User",
                table_of,
                eligible_options(one, found.by_request, inputs.role_assignments, found.plan.names, content),
            )
            for one in agents.members
        ]
        options = tuple(_of_members(written, agents, names) + list(inherited_options(agents, table_of)))
        blocked = all(any(option.name == "block_sign_in" for option in some) for some in written)
        facts = read_facts(inputs, table_of)
        reach = reach_after(agents.members, own, analysis, facts, found.plan, found.by_request, is_blocked=blocked)
        left = find_left_behind(store, agents.members, names)
        asked = {option.name for option in options}
        beyond = find_beyond_roles(own.usage_days, held("graph_usage_days"), agents.members, asked)
        suspect_calls, first_suspect = _suspect_calls(agents.members, store, suspect_days)
    if not found.contained and not options and not found.stays:
        raise EvidenceError(f"`{principal}` has no loaded assignment", hint="load its assignments and groups")
    result = ContainResult(
        wanted,
        names.get(wanted, wanted),
        agents,
        names,
        found,
        options,
        beyond,
        left,
        reach,
        suspect_calls,
        first_suspect,
        0.0,
        out,
        [],
    )
    # Requests that a person may send are written beside the plan, not as a part of it.
    document = result.document()
    extra: dict[str, FileText] = {
        **left_behind_scripts(document["left_behind"]),
        REQUESTS: write_json(document | {"seconds": None}),
        PAGE: write_page(document, found.plan),
    }
    files = write_folder({**plan_files(found.plan), **extra}, out)
    fitting = shortfall(inputs, analysis.window)
    return replace(result, fitting_days=fitting, files=files, seconds=time.monotonic() - began)


def _blueprint_of(name: str, store: Store) -> str:
    """Return the application id of the blueprint whose application has this object id, else the name itself."""
    listed = store.table("agent_blueprints").select(folded(pl.col("object_id")), folded(pl.col("blueprint_app_id")))
    apps: dict[str, str] = dict(listed.iter_rows())
    return apps.get(fold(name), name)


def _of_members(written: Sequence[Sequence[Option]], agents: AgentGroup, names: Mapping[str, str]) -> list[Option]:
    """Return the requests of all members; where there are several, each text begins with the name."""
    if len(written) == 1:
        return list(written[0])
    return [
        replace(option, text=f"{names.get(member, member)}: {option.text}")
        for member, options in zip(agents.members, written, strict=True)
        for option in options
    ]


def _suspect(store: Store, principals: Sequence[str], suspicion: Suspicion) -> None:
    """Store a person's suspicion as a decision on each principal, beside the existing decisions."""
    newest = store.frame("SELECT max(time) AS newest FROM base.events")["newest"][0]
    until = suspicion.until or max(newest or suspicion.since, suspicion.since)
    if until < suspicion.since:
        raise UsageError("the suspect time ends before it begins")
    end = (max(newest or until, until) + dt.timedelta(days=_HOLDS_DAYS)).date()
    fresh = [
        {"signal_id": None, "principal": principal, "from_time": suspicion.since, "to_time": until,
         "decision": "quarantine", "reason": suspicion.reason, "owner": suspicion.owner, "expires": end}
        for principal in principals
    ]  # fmt: skip
    key = ("principal", "from_time", "to_time")
    again = {tuple(row[name] for name in key) for row in fresh}
    rows = [row for row in store.table("signal_decisions").to_dicts() if tuple(row[name] for name in key) not in again]
    with store.transaction() as con:
        replace_decisions(con, [*rows, *fresh])


def _suspect_calls(principals: Sequence[str], store: Store, days: pl.DataFrame) -> tuple[int, dt.datetime | None]:
    """Return the number of suspect calls of principals, and when the first began; `days` has their suspect use.

    Calls of pruned days, and calls that were reduced elsewhere, are counted by the day.
    """
    calls, first = store.frame(
        "SELECT count(DISTINCT event_key) AS calls, min(time) AS first FROM quarantine "
        "WHERE list_contains($who, principal_id)",
        {"who": list(principals)},
    ).row(0)
    if calls:
        return calls, first
    return int(days["suspect"].sum()), days.select(pl.col("first_seen").min()).item()


def _suspect_assignments(principals: Sequence[str], days: pl.DataFrame, analysis: Analysis) -> set[Key]:
    """Return the assignments that allowed suspect calls of principals, or would have allowed them."""
    calls = days.select(folded(pl.col("operation")), place_of(pl.col("scope"))).unique()
    seen = analysis.verdicts.filter(pl.col("principal_id").is_in(list(principals))).drop_nulls("operation")
    used = seen.with_columns(folded(pl.col("operation")), place_of(pl.col("scope")))
    through = used.join(calls, on=["operation", "scope"]).select("role_assignment_id", "state")
    named = days.select(folded(pl.col("role_assignment_id")), state=pl.lit("active"))
    return set(pl.concat([through, named]).drop_nulls().unique().iter_rows())


def span_told(span: dt.timedelta) -> str:
    """Return a time span as text: in minutes, or in days where it is more than two days."""
    return f"{span.days} days" if span.days > 2 else f"{int(span.total_seconds() // 60)} minutes"
