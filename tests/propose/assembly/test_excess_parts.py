"""Excess is live, latent or by design, and the reason of a kept assignment says what cannot be decided."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from rightsize.analyze.verdicts.judge import analyse
from rightsize.analyze.window import choose_window
from rightsize.model.errors import InputError
from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import Plan
from rightsize.model.plan_totals import Change, ExcessTotals, total_excess, total_excess_of
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.drafts.reasons import (
    BY_DESIGN,
    CAUSES,
    REASONS,
    count_causes,
    describe_causes,
    what_would_tell,
    word_of,
)
from rightsize.propose.pipeline import make_plan
from rightsize.render.plan import plan_document, plan_files, plan_parts
from rightsize.render.sentences import excess_lines, whole_percents
from rightsize.render.summary import write_summary
from tests.propose.small_tenant import (
    BLOB_READER,
    CONTRIBUTOR,
    DATA,
    DAY0,
    DAYS,
    OWNER,
    READER,
    SUB,
    SUB2,
    VM,
    VM_CONTRIBUTOR,
    SmallTenant,
    guid,
    proposal_for,
)
from tests.propose.written_plans import Written, to_version_1

START = "Microsoft.Compute/virtualMachines/start/action"


def _plan_with(tenant: SmallTenant, absent: str, **options: Any) -> Plan:
    """Plan as if the analysis had proved that no resource of the provider `absent` exists where nothing was used."""
    inputs = tenant.inputs()
    analysis = analyse(inputs, choose_window(inputs, DAY0 + dt.timedelta(days=DAYS), DAYS))
    gone = pl.col("operation").str.to_lowercase().str.starts_with(f"{absent.lower()}/")
    judged = analysis.profile_operations.with_columns(
        verdict=pl.when(gone).then(pl.lit("unused")).otherwise("verdict"),
        reason=pl.when(gone).then(pl.lit("no_such_resource")).otherwise("reason"),
    )
    return make_plan(
        inputs, replace(analysis, profile_operations=judged), PlanOptions(**options), content_hash="0" * 64
    )


def _starter(role: str = CONTRIBUTOR) -> SmallTenant:
    tenant = SmallTenant()
    tenant.assign(101, tenant.principal(1), role, SUB)
    tenant.use(guid(1), START, VM)
    return tenant


@pytest.mark.nightly
def test_excess_on_types_that_do_not_exist_is_latent() -> None:
    """The two are parts of the excess of the proposal; without the proof all of it is live."""
    plan = _plan_with(_starter(), "Microsoft.Storage", reads="none")
    proposal = proposal_for(plan, guid(101))
    assert 0 < proposal.evidence["latent"]["before"] < proposal.excess_before
    assert proposal.evidence["latent"]["after"] == 0
    found = total_excess(plan.proposals)
    assert found.live.before + found.latent.before == pytest.approx(proposal.excess_before)
    assert found.live.after + found.latent.after == pytest.approx(proposal.excess_after)
    assert found.latent.removed == 1
    without = total_excess(_starter().plan(reads="none").proposals)
    assert without.latent == Change()
    assert without.live.before == pytest.approx(proposal.excess_before)


@pytest.mark.nightly
def test_latent_excess_that_stays_is_said() -> None:
    """Reads stay as they were granted, on types that do not exist, too; a kept assignment keeps all of its own."""
    proposal = proposal_for(_plan_with(_starter(), "Microsoft.Storage"), guid(101))
    assert 0 < proposal.evidence["latent"]["after"] < proposal.evidence["latent"]["before"]
    kept = proposal_for(_plan_with(_starter(), "Microsoft.Storage", exclude=(guid(1),)), guid(101))
    assert kept.evidence["latent"]["before"] == kept.evidence["latent"]["after"] > 0


@pytest.mark.nightly
def test_the_plan_writes_the_parts_beside_each_other() -> None:
    plan = _plan_with(_starter(), "Microsoft.Storage", reads="none")
    written = json.loads("".join(plan_parts(plan)))["excess"]
    assert written == plan_document(plan)["excess"] == total_excess(plan.proposals).as_json()
    assert written["live"]["before"] > written["live"]["after"]
    assert written["latent"]["removed"] == 1
    whole = Written(plan_files(plan)).read().document["proposals"]
    assert total_excess_of(whole) == total_excess(plan.proposals)
    assert "latent, on resource types that do not exist there" in write_summary(plan)
    assert "latent, on resource types that do not exist there" not in write_summary(_starter().plan())


@pytest.mark.slow
def test_what_stays_by_design_is_a_part_of_all_live_excess() -> None:
    """The excess of the excluded one and of the last owner stands beside what goes, with its count."""
    tenant = _starter()
    tenant.assign(102, tenant.principal(2), OWNER, SUB)
    tenant.assign(103, tenant.principal(3), CONTRIBUTOR, SUB)
    plan = tenant.plan(exclude=(guid(3),))
    found = total_excess(plan.proposals)
    assert found.reasons == {"last_owner": 1, "excluded": 1}
    kept = [proposal_for(plan, guid(number)) for number in (102, 103)]
    assert found.by_design == sum(one.excess_before for one in kept)
    assert found.live.before == proposal_for(plan, guid(101)).excess_before
    assert found.share_by_design == pytest.approx(found.by_design / (found.by_design + found.live.before))
    assert found.all_live.before == pytest.approx(found.live_by_design + found.live.before)
    parts = found.parts_of_live()
    assert sum(parts.values()) == pytest.approx(1.0)
    assert parts["by_design"] == found.live_by_design / found.all_live.before > 0
    said, bar, _ = excess_lines(found)
    assert "% stays by design (1 excluded, 1 last owner), " in said
    assert said in write_summary(plan)
    assert sum(map(bar.partition("  ")[0].count, "█▒░")) == 40


def test_whole_per_cents_sum_up() -> None:
    assert whole_percents({"removed": 0.445, "by_design": 0.335, "left": 0.22}) == {
        "removed": 45,
        "by_design": 33,
        "left": 22,
    }
    assert whole_percents({"removed": 1 / 3, "by_design": 1 / 3, "left": 1 / 3}) == {
        "removed": 34,
        "by_design": 33,
        "left": 33,
    }
    assert whole_percents({}) == {}


@pytest.mark.slow
def test_what_cannot_be_decided_stays_in_the_share() -> None:
    """More evidence would decide it: it is no design."""
    tenant = SmallTenant()
    tenant.covered = (SUB2,)
    tenant.assign(101, tenant.principal(1), CONTRIBUTOR, SUB)
    tenant.assign(102, tenant.principal(2), READER, SUB, created_on=dt.datetime(2026, 3, 1))
    found = total_excess(tenant.plan().proposals)
    assert found.reasons == {}
    assert found.live.after > 0
    assert next(excess_lines(found)) == "Of all live excess the plan removes 0 %, and 100 % is left"


def test_a_plan_of_nothing_has_no_excess() -> None:
    assert total_excess(()).as_json() == ExcessTotals().as_json()
    assert Change(0.0, 0.0).removed == 0.0


@pytest.mark.parametrize("word", BY_DESIGN)
def test_each_reason_has_a_sentence_and_advice(word: str) -> None:
    assert REASONS[word] == BY_DESIGN[word].sentence
    assert BY_DESIGN[word].enough
    assert word_of(f"{word.replace('_', ' ')}: {BY_DESIGN[word].sentence}") == word


@pytest.mark.nightly
def test_the_last_owner_hears_what_would_be_enough() -> None:
    """The least built-in role within today's that grants all use, and another owner."""
    tenant = SmallTenant()
    tenant.assign(101, tenant.principal(1), OWNER, SUB)
    tenant.use(guid(1), START, VM)
    proposal = proposal_for(tenant.plan(), guid(101))
    assert proposal.evidence["by_design"] == "last_owner"
    assert proposal.reason.endswith("`Virtual Machine Contributor` grants all that a log shows it used")
    assert "a second permanent Owner" in proposal.evidence["enough"]
    assert proposal.evidence["enough"] in proposal.reason


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["", "Microsoft.Compute/virtualMachines/hibernate/action"])
def test_no_role_is_named_without_known_use(operation: str) -> None:
    """Nothing was used, or the catalogue does not know what it was."""
    tenant = SmallTenant()
    tenant.assign(101, tenant.principal(1), OWNER, SUB)
    if operation:
        tenant.use(guid(1), operation, VM)
    assert "grants all" not in proposal_for(tenant.plan(), guid(101)).reason


@pytest.mark.slow
def test_no_role_is_named_where_none_is_smaller() -> None:
    tenant = _starter(VM_CONTRIBUTOR)
    proposal = proposal_for(tenant.plan(exclude=(guid(1),)), guid(101))
    assert (
        proposal.reason
        == "excluded: it was excluded by name; enough would be what a plan without the exclusion proposes"
    )


@pytest.mark.slow
def test_a_kept_assignment_counts_what_cannot_be_decided_and_says_what_would_tell() -> None:
    tenant = SmallTenant()
    tenant.assign(101, tenant.principal(1), BLOB_READER, DATA)
    plan = tenant.plan(unobservable="keep")
    proposal = proposal_for(plan, guid(101))
    assert proposal.kind == "keep"
    assert "; no log can show 3 (" in proposal.reason
    assert "2 on endpoints of services, 1 data actions without" in proposal.reason
    assert ". To decide: " in proposal.reason
    told = what_would_tell(proposal.evidence["kept_unseen"])
    assert sorted({*told}) == sorted({plan.would_tell[word] for word in proposal.evidence["kept_unseen"]}) != []


@pytest.mark.slow
def test_a_kept_assignment_names_the_log_that_is_missing() -> None:
    tenant = SmallTenant()
    tenant.covered = (SUB2,)
    tenant.assign(101, tenant.principal(1), CONTRIBUTOR, SUB)
    proposal = proposal_for(tenant.plan(), guid(101))
    assert "are out of coverage (" in proposal.reason
    assert "at scopes without a log" in proposal.reason
    assert "the Activity Log of every subscription below" in proposal.reason


@pytest.mark.nightly
def test_a_kept_assignment_of_which_all_was_used_has_nothing_to_tell() -> None:
    tenant = SmallTenant()
    tenant.roles[guid(77)] = ("Starter", [PermissionBlock(actions=(START,))])
    tenant.assign(101, tenant.principal(1), guid(77), VM)
    tenant.use(guid(1), START, VM)
    plan = tenant.plan()
    assert proposal_for(plan, guid(101)).reason == "cannot narrow: 1 of 1 operations was used"
    assert plan.would_tell == {}


def test_causes_are_counted_by_verdict_and_cut() -> None:
    reasons = {
        ("unobservable", "arm_read"): 0b0111,
        ("unobservable", "linked_check"): 0b1000,
        ("unused", "covered"): 0b10000,
        ("unobservable", "gone"): 0,
    }
    counts = count_causes(reasons, 0b11101, "unobservable")  # type: ignore[arg-type]
    assert counts == {"arm_read": 2, "linked_check": 1}
    assert describe_causes(dict.fromkeys(("arm_read", "own_roles", "quarantined", "no_resource"), 2)).endswith(
        "2 others"
    )
    assert describe_causes({"a_new_word": 1}) == "1 a new word"
    assert what_would_tell({"a_new_word": 1}) == []
    assert all(cause.name for cause in CAUSES.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    "evidence",
    [
        {"by_design": 1},
        {"by_design": "last owner](http://x)"},
        {"by_design": ""},
        {"latent": {"before": "1", "after": 0}},
        {"latent": [1, 2]},
        {"latent": {"before": 1}},
    ],
)
def test_hostile_parts_are_refused(evidence: dict[str, Any]) -> None:
    """A plan of version 1 has them in its proposals; in tables their types are fixed."""
    tenant = _starter()
    written = Written(plan_files(tenant.plan()))
    tables = written.read().tables

    def change(document: dict[str, Any]) -> None:
        to_version_1(document, tables)
        document["proposals"][0]["evidence"].update(evidence)

    written = written.edit(change)
    with pytest.raises(InputError, match="the evidence of proposal 1"):
        written.read()
