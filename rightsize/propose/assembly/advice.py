"""Write the advice of a plan: group reviews, quarantined uses, what rests on existence, and unknown names in options.

Only people can act on it. A plan never changes a group, and it cannot guess the meaning of an unknown name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import polars as pl

from rightsize.analyze.columns import folded, place_of
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.reasons import Choice, Verdict
from rightsize.analyze.verdicts.existence import PROBLEMS
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.analyze.window import DEFAULT_DAYS, Window
from rightsize.model.plan import Advice, Proposal
from rightsize.propose.core.exclusions import advise_exclusions, names_scope
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.needs.reasons import keep_reason
from rightsize.rbac.text import fold
from rightsize.rules.resource_types import decided_type

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
    reads = (pl.col("plane") == "control") & pl.col("name").str.ends_with("/read")
    decided = judged.join(typed, on="operation").filter(~reads).select("profile_id", "operation", "kind")
    held = analysis.tenant.assignments.filter((pl.col("state") == "active") & (pl.col("level") != "resource")).select(
        "role_assignment_id", "state", "place"
    )
    of = analysis.profiles.join(held, on=["role_assignment_id", "state"]).select("place", "profile_id").unique()
    return of.join(decided, on="profile_id").select("place", "operation", "kind").unique()
