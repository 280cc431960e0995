"""Write the advice of a plan: group reviews, quarantined uses, what rests on existence, and unknown names in options.

Only people can act on it. A plan never changes a group, and it cannot guess the meaning of an unknown name.

It also says what proposals rest on beside their evidence: the proofs of absence, and what would be enough by design.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs, folded, place_of
from rightsize.analyze.reasons import BY_EXISTENCE, Choice, Unused, Verdict, sentence
from rightsize.analyze.verdicts.existence import PROBLEMS
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.analyze.window import DEFAULT_DAYS, Window
from rightsize.mining.bitsets import union
from rightsize.model.plan import Advice, Proposal
from rightsize.model.text import Folded, fold
from rightsize.propose.core.operation_sets import OperationIndex
from rightsize.propose.core.options import PlanOptions, advise_exclusions, names_scope
from rightsize.propose.core.role_catalog import KnownRole
from rightsize.propose.drafts.drafts import Draft
from rightsize.propose.drafts.reasons import BY_DESIGN, keep_reason, word_of
from rightsize.propose.needs.assignments import Key, Use
from rightsize.propose.needs.profiles import Profile
from rightsize.rules.operations import only_reads
from rightsize.rules.resource_types import decided_type, inventory_types

_NOTHING_OBSERVED = keep_reason("nothing_observed").partition(":")[0]
_NAMED = 5
"""How many subscriptions with the same problem get advice of their own."""

_KEPT = "nothing of {} is removed for want of a resource"
_QUESTIONS = {
    "empty": f"no listing shows a resource there and no log a call on one, so {_KEPT}: is it for something to come?",
    "recovery": f"its name, a tag or the role says that it is for recovery, so {_KEPT}: is all of it needed then?",
    "eligible": f"{_KEPT}, since it may be for days that have not come yet: do its holders still need it?",
}


def write_advice(
    inputs: Inputs, analysis: Analysis, options: PlanOptions, proposals: Sequence[Proposal]
) -> Iterator[Advice]:
    """Yield all advice."""
    yield from _idle_members(inputs, analysis)
    yield from _young_members(inputs, analysis, proposals)
    yield from _quarantined(analysis)
    yield from _unused(proposals)
    yield from _preview(analysis.window)
    yield from _unknown_names(inputs, options, analysis.window)
    yield from _waiting(inputs, analysis)
    yield from _missing(inputs, analysis)


def _preview(window: Window) -> Iterator[Advice]:
    if window.preview is not None:
        option = "--min-window" if window.days < DEFAULT_DAYS else "--min-days"
        text = f"this plan is a preview: {window.preview}. Use that occurs once a quarter may be missing"
        yield Advice(option, f"{text}, and `rollout` refuses it without `--accept-short-window`")


def _members(inputs: Inputs) -> pl.DataFrame:
    """Return `(group_id, member_id)` of the groups that hold assignments, nested groups left out."""
    groups = inputs.principals.filter(pl.col("principal_type") == "Group")["principal_id"]
    return inputs.group_closure.select("group_id", "member_id").filter(
        pl.col("group_id").is_in(inputs.role_assignments["principal_id"].implode())
        & ~pl.col("member_id").is_in(groups.implode())
    )


def _idle_members(inputs: Inputs, analysis: Analysis) -> list[Advice]:
    held = inputs.role_assignments.select("role_assignment_id", "state", group_id="principal_id")
    used = (
        analysis.verdicts.lazy()
        .filter(pl.col("verdict") == Verdict.USED)
        .select("role_assignment_id", "state", member_id="principal_id")
        .unique()
        .join(held.lazy(), on=["role_assignment_id", "state"])
        .select("group_id", "member_id", active=True)
        .unique()
        .collect()
    )
    counted = (
        _members(inputs)
        .unique()
        .join(used, on=["group_id", "member_id"], how="left")
        .group_by("group_id")
        .agg(members=pl.len(), active=pl.col("active").fill_null(False).sum())
        .filter((pl.col("active") > 0) & (pl.col("active") < pl.col("members")))
    )
    return [
        Advice(
            group_id,
            f"no log shows that {members - active} of {members} members used the group's assignments: "
            "review the membership",
        )
        for group_id, members, active in counted.iter_rows()
    ]


def _young_members(inputs: Inputs, analysis: Analysis, proposals: Sequence[Proposal]) -> list[Advice]:
    changed = {name for proposal in proposals if proposal.kind.changes for name in proposal.principal_ids}
    young = inputs.principals.filter(pl.col("created_on") >= analysis.window.start)["principal_id"]
    counted = (
        _members(inputs)
        .unique()
        .filter(pl.col("member_id").is_in(young.implode()) & pl.col("group_id").is_in(sorted(changed)))
        .group_by("group_id")
        .agg(members=pl.len())
    )
    return [
        Advice(
            group_id,
            f"{members} members were created within the window: the plan knows their needs from other members only",
        )
        for group_id, members in counted.iter_rows()
    ]


def _unused(proposals: Sequence[Proposal]) -> list[Advice]:
    """Return by scope the question to the owners of what nobody was seen to use, where not all of it could be seen."""
    asked = Counter(proposal.evidence["scope"] for proposal in proposals if _is_unseen(proposal))
    return [
        Advice(
            scope,
            f"no log shows a use of {number} assignment{'' if number == 1 else 's'} there, and no log could show all: "
            "ask the owners what they are for",
        )
        for scope, number in sorted(asked.items())
    ]


def _is_unseen(proposal: Proposal) -> bool:
    """Return whether a proposal is about an assignment without observed use, of which no log could show all use."""
    evidence = proposal.evidence
    if proposal.reason.startswith(_NOTHING_OBSERVED):
        return True
    narrows = proposal.kind.changes and proposal.kind.has_holder and Choice.TYPE_NOT_USED in evidence.get("removed", {})
    return narrows and not evidence["used"] and "used_before" not in evidence


def _quarantined(analysis: Analysis) -> list[Advice]:
    held = (
        analysis.usage.filter("quarantined")
        .group_by("principal_id", "principal_name")
        .agg(operations=pl.col("operation").unique().sort(), uses=pl.len())
    )
    return [
        Advice(
            principal or name or "-",
            f"{uses} uses are seen only in quarantine: access for them is kept until a person decides "
            f"(`rightsize signals --show quarantine`): {', '.join(operations)}",
        )
        for principal, name, operations, uses in held.iter_rows()
    ]


def _unknown_names(inputs: Inputs, options: PlanOptions, window: Window) -> list[Advice]:
    known = set(folded(inputs.principals["principal_id"])) | set(folded(inputs.role_assignments["principal_id"]))
    known |= set(folded(inputs.principals["user_principal_name"].drop_nulls()))
    roles = {*folded(inputs.role_definitions["role_definition_id"]), *folded(inputs.role_definitions["role_name"])}
    names = {"principal": frozenset(known), "role": frozenset(roles)}
    return [
        *advise_exclusions(options.exclusions, inputs, window, names),
        *(
            Advice("--exclude", f"`{name}` is neither a scope nor a loaded principal or role")
            for name in options.exclude
            if not name.startswith("/") and fold(name) not in known | roles
        ),
        *(
            Advice("--exclude", f"no loaded scope or assignment is at or below `{name}`")
            for name in options.exclude
            if name.startswith("/") and not names_scope(name, inputs)
        ),
        *(
            Advice("--emergency-access", f"`{name}` is not a loaded principal")
            for name in options.emergency_access
            if fold(name) not in known
        ),
    ]


def _waiting(inputs: Inputs, analysis: Analysis) -> Iterator[Advice]:
    """Yield the questions to owners of what may be kept for later."""
    if inputs.inventories.is_empty() and inputs.provider_registrations.is_empty():
        return
    spelt = dict(inputs.role_assignments.select(place_of(pl.col("scope")), text="scope").iter_rows())
    rows = (
        analysis.absences.waiting.join(analysis.tenant.assignments.select("a", "place", "state"), on="a")
        .group_by("place", "why")
        .agg(number=pl.len())
        .sort("place", "why")
    )
    for place, why, number in rows.iter_rows():
        what = f"{number} {'eligible ' if why == 'eligible' else ''}assignment{'' if number == 1 else 's'}"
        yield Advice(spelt[place], _QUESTIONS[why].format(what))


def _missing(inputs: Inputs, analysis: Analysis) -> Iterator[Advice]:
    """Yield for subscriptions without a proof what stands in its way, and how much it could decide at most."""
    known = analysis.existence.problems.drop_nulls("problem").sort("problem", "node")
    open_ones = _open_operations(analysis)
    names = dict(inputs.scopes.select(place_of(pl.col("scope")), text="scope").iter_rows())
    there = analysis.existence.present.select("node", "kind").unique()
    for (problem,), rows in known.group_by("problem", maintain_order=True):
        nodes = rows["node"].to_list()
        what = "a whole log" if problem == "days_missing" else "an inventory"
        for node in nodes[:_NAMED]:
            places = analysis.absences.areas.filter(pl.col("node") == node)["place"].unique()
            here = open_ones.filter(pl.col("place").is_in(places.implode())).join(
                there.filter(pl.col("node") == node), on="kind", how="anti"
            )
            number, kinds = here["operation"].n_unique(), here["kind"].n_unique()
            if number:
                text = f"would decide up to {number} operations of {kinds} types, which no log decides"
                yield Advice(names.get(node, node), f"{what} of it {text}: {PROBLEMS[str(problem)]}")
        if len(nodes) > _NAMED:
            text = f"{what} of {len(nodes) - _NAMED} more subscriptions would decide operations, too"
            yield Advice("inventory", f"{text}: {PROBLEMS[str(problem)]}")


def _open_operations(analysis: Analysis) -> pl.DataFrame:
    """Return `(place, operation, kind)` of what assignments above resources grant, undecided by logs and listings."""
    judged = analysis.profile_operations.filter(
        pl.col("verdict").is_in([Verdict.UNOBSERVABLE.value, Verdict.OUT_OF_COVERAGE.value])
    )
    names = pl.DataFrame({"operation": judged["operation"].unique()})
    folded_names = folded(names["operation"])
    typed = names.with_columns(kind=decided_type(folded_names), name=folded_names).drop_nulls("kind")
    reads = (pl.col("plane") == "control") & only_reads(pl.col("name"))
    decided = judged.join(typed, on="operation").filter(~reads).select("profile_id", "operation", "kind")
    held = analysis.tenant.assignments.filter((pl.col("state") == "active") & (pl.col("level") != "resource")).select(
        "role_assignment_id", "state", "place"
    )
    of = analysis.profiles.join(held, on=["role_assignment_id", "state"]).select("place", "profile_id").unique()
    return of.join(decided, on="profile_id").select("place", "operation", "kind").unique()


class AbsenceProofs:
    """The proofs of absence behind the operations that proposals remove, read once by scope."""

    def __init__(self, analysis: Analysis) -> None:
        self._days = analysis.existence.window.days
        listings = analysis.existence.subscriptions.select("node", "kind", "reader_id", "read_on", "days")
        providers = analysis.existence.unregistered.select("node", "namespace", "reader_id", "read_on")
        self._listings = listings.rows_by_key("node", named=True, include_key=True)
        self._providers = providers.rows_by_key("node", named=True, include_key=True)
        areas = analysis.absences.areas.drop_nulls("node").group_by("place").agg(pl.col("node").unique().sort())
        self._nodes: dict[str, list[str]] = dict(areas.iter_rows())

    def of(self, place: Folded, profile: Profile, gone: int, index: OperationIndex) -> list[dict[str, Any]]:
        """Return one entry a reason: the types with the number of their operations, and what proves it.

        Args:
            place: The scope of the assignment.
            profile: The verdicts on its unused operations.
            gone: The operations that go.
            index: The operations.
        """
        found = []
        spelling = inventory_types()
        for reason in BY_EXISTENCE:
            mask = profile.reasons.get((Verdict.UNUSED, reason), 0) & gone
            if not mask:
                continue
            kinds = Counter("/".join(name.split("/")[:2]) for _, name in index.folded_members(mask))
            entry = {
                "reason": reason.value,
                "meaning": sentence(reason),
                "operations": mask.bit_count(),
                "resource_types": dict(sorted((spelling[kind], number) for kind, number in kinds.items())),
            }
            providers = {kind.split("/", 1)[0] for kind in kinds}
            found.append(entry | self._proof(place, reason, providers))
        return found

    def _proof(self, place: str, reason: Unused, providers: set[str]) -> dict[str, Any]:
        nodes = self._nodes.get(place, [])
        if not nodes:
            return {"proof": "the assignment is at a resource of another type"}
        listings = [row for node in nodes for row in self._listings.get(node, ())]
        if reason is Unused.PROVIDER_NOT_REGISTERED:
            rows = [row for node in nodes for row in self._providers.get(node, ()) if row["namespace"] in providers]
            read = _read_by([row | {"kind": "providers"} for row in rows])
        else:
            read = _read_by(listings)
        return {
            "subscriptions": len(nodes),
            "listings": read,
            "log_days": min(row["days"] for row in listings),
            "window_days": self._days,
        }


def _read_by(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one entry a kind of listing and reader: in how many subscriptions it was read, and when."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["kind"], row["reader_id"] or ""), []).append(row)
    return [
        {
            "kind": kind,
            "reader_id": reader,
            "subscriptions": len({row["node"] for row in those}),
            "read_from": min(row["read_on"] for row in those),
            "read_to": max(row["read_on"] for row in those),
        }
        for (kind, reader), those in sorted(found.items())
    ]


class Adviser:
    """Computes what would be enough in the place of assignments that stay by design, with cached answers.

    Args:
        roles: The roles, by folded id.
        weigh: The weight of a set of operations.
        uses: By assignment, its use by the folded scope at which it has to be granted.
    """

    def __init__(
        self, roles: Mapping[Folded, KnownRole], weigh: Callable[[int], int], uses: Mapping[Key, Mapping[Folded, Use]]
    ) -> None:
        self._known, self._uses = roles, uses
        smaller = [
            role
            for role in roles.values()
            if role.is_builtin and role.role_name and role.granted and not (role.is_conditional or role.is_for_service)
        ]
        # The first that fits is the one with the least weight.
        self._roles = sorted(smaller, key=lambda role: (weigh(role.granted), role.role_definition_id))
        self._found: dict[tuple[Folded, int], KnownRole | None] = {}

    def evidence(self, draft: Draft) -> Mapping[str, Any]:
        """Return `by_design`, the word of the reason, and `enough`, the advice; nothing for other drafts."""
        word = word_of(draft.reason)
        if draft.kind.changes or word not in BY_DESIGN:
            return {}
        smaller = self._smaller_role(draft) if BY_DESIGN[word].by_use else None
        named = f"; `{smaller.role_name}` grants all that a log shows it used" if smaller is not None else ""
        return {"by_design": word, "enough": BY_DESIGN[word].enough + named}

    def _smaller_role(self, draft: Draft) -> KnownRole | None:
        """Return the least built-in role within today's role that grants all that was used.

        None where nothing was used, where the catalogue lacks a used operation, or where today's role is the least.
        """
        subject = draft.subject
        uses = self._uses.get(subject.key, {}).values()
        used = union(use.operations for use in uses)
        if not used or any(use.unknown for use in uses):
            return None
        key = (subject.role_definition_id, used)
        if key not in self._found:
            today = self._known.get(subject.role_definition_id)
            granted = today.granted if today is not None else 0
            fits = (role for role in self._roles if not (used & ~role.certain or role.granted & ~granted))
            self._found[key] = next((role for role in fits if role.granted != granted), None)
        return self._found[key]


def describe_enough(evidence: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the clause of a reason that says what would be enough, if the assignment stays by design."""
    return (f"enough would be {evidence['enough']}",) if "enough" in evidence else ()
