"""Compute the findings of an analysis besides verdicts: one row for each control and subject, with a sentence.

Data actions on a vault with access policies, or on a cluster without Azure RBAC, have no effect until the setting
changes. Then they take effect at once, perhaps years after anybody thought of them. Keys and local accounts bypass
roles altogether.

Find eligible assignments that nobody activates or that are easy to activate, and seldom used permanent access.
"""

from __future__ import annotations

import polars as pl

from rightsize.analyze.counting import unexplained_operations
from rightsize.analyze.duplicates import find_duplicates
from rightsize.analyze.inputs import Inputs, containing, folded, place_of, schema_of
from rightsize.analyze.principals import classify_holders, is_named_for_emergencies
from rightsize.analyze.reasons import Unused, Verdict, sentence
from rightsize.analyze.tenant import Tenant, granted_by_patterns
from rightsize.analyze.verdicts.coverage import covered_sign_in_kinds, described_principals
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.analyze.verdicts.resource_logs import (
    ANONYMOUS,
    AZURE_ROLES,
    KEYS,
    REPOSITORY_ROLES,
    known_resources,
    log_rules,
    resource_of,
    rules_of,
    setting_facts,
    with_answer,
)
from rightsize.analyze.verdicts.usage import duration, standing_hours, use_by_day
from rightsize.analyze.window import Window
from rightsize.model.text import fold
from rightsize.rules.operations import privilege_patterns

SELDOM_HOURS = 8.0
"""Permanent access used fewer hours a month than this, one working day, could be eligible."""
_COLUMNS = tuple(schema_of("findings"))
_PEOPLE = ("User", "Group")
_CALL = ("principal_id", "principal_name", "name", "place", "plane", "evidence")


def find_about_pim(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    """Return the rows of the table `findings` about eligible assignments, activations and seldom used access."""
    found = [find_seldom_used(seldom_at_work(inputs, analysis, SELDOM_HOURS), "standing_seldom_used", pl.lit(""))]
    if (analysis.tenant.assignments["state"] == "eligible").any():
        found += [
            _never_activated(analysis),
            _changed_nothing(analysis),
            find_without_reason(_of_eligibilities(analysis)),
            find_easy_activations(_with_policies(inputs, analysis), pl.lit("it"), pl.lit(True)),
        ]
    return pl.concat(found)


def said(
    frame: pl.DataFrame,
    control: str,
    severity: str | pl.Expr,
    reason: str | pl.Expr,
    subject: str = "role_assignment_id",
) -> pl.DataFrame:
    """Return the rows of the table `findings` that a control says of a column; a text is the reason of each row."""
    texts = {"control": control, "severity": severity, "reason": reason}
    if "principal_id" not in frame.columns:
        frame = frame.with_columns(principal_id=pl.lit(None, dtype=pl.String))
    return frame.with_columns(
        subject=subject, **{name: pl.lit(text) if isinstance(text, str) else text for name, text in texts.items()}
    ).select(_COLUMNS)


def activated_in(activations: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Return the activations that began in the window."""
    return activations.filter((pl.col("start_on") >= window.start) & (pl.col("start_on") < window.end))


def find_without_reason(activated: pl.DataFrame) -> pl.DataFrame:
    """Return findings on the eligible assignments of activations, `justified` or not, for which no reason was given."""
    counted = activated.group_by("role_assignment_id", "principal_id").agg(
        bare=(~pl.col("justified")).sum(), times=pl.len()
    )
    text = pl.format("{} of {} activations gave no reason", "bare", "times")
    return said(counted.filter(pl.col("bare") > 0), "activation_without_reason", "low", text)


def find_easy_activations(eligible: pl.DataFrame, role: pl.Expr, worth_waiting: pl.Expr) -> pl.DataFrame:
    """Return findings on eligible assignments whose activation needs no approval, and perhaps no reason either.

    Args:
        eligible: Assignments with `requires_approval` and `requires_justification` of their policy.
        role: What the sentence calls the role.
        worth_waiting: Whether a role is worth the wait for an approval.
    """
    rows = eligible.filter(~pl.col("requires_approval").fill_null(False))
    bare = ~pl.col("requires_justification").fill_null(False)
    silent = pl.format("activating {} needs neither a reason nor an approval", role)
    alone = pl.format("activating {} needs no approval", role)
    return pl.concat(
        [
            said(rows.filter(bare), "activation_asks_nothing", "medium", silent),
            said(rows.filter(~bare & worth_waiting), "activation_without_approval", "low", alone),
        ]
    )


def find_seldom_used(worked: pl.DataFrame, control: str, before: pl.Expr) -> pl.DataFrame:
    """Return findings on permanent assignments that are used a few hours a month: they could be eligible.

    Args:
        worked: The assignments, with the columns of `usage.standing_hours`.
        control: The control.
        before: What stands before the sentence.
    """
    lengths = {hours: duration(hours) for hours in worked["hours_needed"].unique()}
    text = pl.format(
        "{}used {} hours a month, on {} days: if it were eligible, an activation of {} would cover 95 of 100 days",
        before,
        pl.col("hours_a_month").round(1),
        "days",
        pl.col("hours_needed").replace_strict(lengths, default="", return_dtype=pl.String),
    )
    return said(worked, control, "low", text)


def is_permanent_of_people(inputs: Inputs) -> pl.Expr:
    """Return whether an assignment is active without an end, and its holder a person or a group."""
    people = described_principals(inputs).filter(pl.col("principal_type").is_in(list(_PEOPLE)))["principal_id"]
    is_permanent = (pl.col("state") == "active") & pl.col("end_on").is_null()
    return is_permanent & pl.col("principal_id").is_in(people.implode())


def _never_activated(analysis: Analysis) -> pl.DataFrame:
    asleep = analysis.verdicts.filter(pl.col("reason") == Unused.NEVER_ACTIVATED.value)
    rows = asleep.select("role_assignment_id", "principal_id").unique()
    return said(rows, "never_activated", "low", sentence(Unused.NEVER_ACTIVATED.value))


def _of_eligibilities(analysis: Analysis) -> pl.DataFrame:
    """Return the activations of the window, each with the holder and id of the eligible assignment behind it."""
    held = analysis.tenant.assignments.filter(pl.col("state") == "eligible").select(
        "a", "role_assignment_id", "principal_id", eligibility_id="id"
    )
    inside = activated_in(analysis.activations, analysis.window)
    return inside.drop("role_assignment_id", "principal_id").join(held, on="eligibility_id")


def _changed_nothing(analysis: Analysis) -> pl.DataFrame:
    """Return eligible assignments under whose activations no log shows a change; reads leave no trace."""
    covered = analysis.covered.implode()
    rows = (
        _of_eligibilities(analysis)
        .filter(pl.col("a").is_in(covered))
        .group_by("role_assignment_id", "principal_id")
        .agg(times=pl.len(), done=pl.col("operations").sum())
        .filter(pl.col("done") == 0)
    )
    text = pl.format("activated {} times, and no log shows a change by it: a read-only role may be enough", "times")
    return said(rows, "activated_only_to_read", "low", text)


def _with_policies(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    """Return the eligible assignments whose conditions for activating are known, with these."""
    table = inputs.role_management_policies.filter(pl.col("rules").is_not_null())
    policies = table.select(
        "requires_approval",
        "requires_justification",
        role=folded(table["role_definition_id"]),
        place=place_of(table["scope"]),
    ).drop_nulls(["role"])
    return analysis.tenant.assignments.filter(pl.col("state") == "eligible").join(policies, on=["role", "place"])


def seldom_at_work(inputs: Inputs, analysis: Analysis, below: float) -> pl.DataFrame:
    """Return the permanent assignments of people and groups that are used fewer hours a month than `below`.

    Columns: `a`, `role_assignment_id`, `state`, `principal_id`, and those of `usage.standing_hours`.
    """
    permanent = analysis.tenant.assignments.filter(is_permanent_of_people(inputs) & ~pl.col("twin")).select(
        "a", "role_assignment_id", "state", "principal_id"
    )
    calls = analysis.usage.lazy().select("u", *_CALL)
    credited = analysis.credited.lazy().join(permanent.lazy(), on="a", how="semi").join(calls, on="u")
    by_day = (
        use_by_day(inputs, analysis.window)
        .filter(pl.col("clean") > 0)
        .join(credited, on=list(_CALL), nulls_equal=True)
        .select("a", "day", "first_seen", "last_seen")
        .collect()
    )
    worked = standing_hours(by_day, analysis.window, "a").filter(pl.col("hours_a_month") < below)
    return permanent.join(worked, on="a").sort("a")


_BY_KEY = ("key", "sas")
_WHY_INERT = {
    "microsoft.keyvault/vaults": "which use access policies",
    "microsoft.containerservice/managedclusters": "which do not use Azure RBAC for Kubernetes",
    "microsoft.containerregistry/registries": "which decide for the registry and not by repository",
}


def find_about_resources(inputs: Inputs, window: Window) -> list[pl.DataFrame]:
    """Return frames with the columns of the table `findings`, about resources.

    Controls: `keys_allowed`, `keys_used` where it is not known whether they are allowed, `anonymous_allowed`, and
    `access_beside_roles`.
    """
    facts = setting_facts(inputs)
    return [
        _keys(inputs, window, facts),
        _of_resources(
            with_answer(facts, ANONYMOUS, "yes"),
            "anonymous_allowed",
            "medium",
            "anybody may be able to read it without signing in",
        ),
        _of_resources(
            facts.filter(
                (pl.col("fact") == AZURE_ROLES) & (pl.col("answer") == "no") & pl.col("kind").is_in(list(_WHY_INERT))
            )["resource"],
            "access_beside_roles",
            "low",
            "access policies or roles of its own decide who reads and writes its data, and not Azure roles",
        ),
    ]


def _of_resources(resources: pl.Series, control: str, severity: str, reason: str) -> pl.DataFrame:
    rows = pl.DataFrame({"subject": resources.unique().sort()}, schema={"subject": pl.String})
    return said(rows, control, severity, reason, "subject")


def find_inert_data_actions(inputs: Inputs, tenant: Tenant) -> pl.DataFrame:
    """Return assignments with data actions on a kind of resource where every such resource below ignores them."""
    facts = setting_facts(inputs)
    deaf = facts.filter(pl.col("fact").is_in([AZURE_ROLES, REPOSITORY_ROLES]) & (pl.col("answer") == "no"))
    kinds = log_rules().select("rule", "kind")
    data = tenant.grants.filter(pl.col("plane") == "data")
    granted = data.join(rules_of(data), on=["name", "plane"]).join(kinds, on="rule").select("role", "kind").unique()
    granted = granted.join(deaf, on="kind", how="semi")
    if granted.is_empty():
        return pl.DataFrame(schema=schema_of("findings"))
    places = tenant.assignments["place"].unique()
    resources = known_resources(inputs)
    inside = pl.DataFrame({"place": places}).with_columns(resource=resource_of("place")).drop_nulls("resource")
    below = containing(resources["resource"], places, tenant.tree).select(place="assigned", resource="place")
    around = pl.concat([inside, below]).unique().join(resources.select("resource", "kind"), on="resource")
    judged = around.with_columns(deaf=pl.col("resource").is_in(deaf["resource"].unique().implode()))
    silent = judged.group_by("place", "kind").agg(pl.col("deaf").all(), count=pl.len()).filter("deaf")
    described = silent.with_columns(why=pl.col("kind").replace_strict(_WHY_INERT, default=None, return_dtype=pl.String))
    found = tenant.assignments.join(granted, on="role").join(described.drop_nulls("why"), on=["place", "kind"])
    reasons = found.with_columns(
        text=pl.format(
            "its data actions have no effect at {} {}, {}, until that is changed: then they all take effect",
            "count",
            pl.col("kind"),
            "why",
        )
    )
    rows = reasons.group_by("role_assignment_id").agg(
        pl.col("principal_id").first(), reason=pl.col("text").unique().sort().str.join("; ")
    )
    return said(rows, "inert_data_actions", "low", pl.col("reason"))


def _keys(inputs: Inputs, window: Window, facts: pl.DataFrame) -> pl.DataFrame:
    """Return the resources where keys or local accounts bypass roles, with how often these were used."""
    used = (
        inputs.request_access.filter(window.holds("day") & pl.col("access").is_in(_BY_KEY))
        .group_by(subject="resource")
        .agg(requests=pl.col("events").sum(), days=pl.col("day").n_unique())
    )
    allowed = with_answer(facts, KEYS, "yes")
    rows = pl.DataFrame({"subject": allowed.unique()}, schema={"subject": pl.String}).join(
        used, on="subject", how="left"
    )
    seen = pl.format("{} requests used them on {} days", "requests", "days")
    by_keys = pl.when(pl.col("requests").is_null()).then(pl.lit("no log shows a request with them")).otherwise(seen)
    bypass = pl.format("keys or local accounts bypass every role here, and {}", by_keys)
    settled = facts.filter(pl.col("fact") == KEYS)["resource"].unique()
    others = used.filter(~pl.col("subject").is_in(settled.implode()))
    text = pl.format("requests by key bypass every role here: {} on {} days", "requests", "days")
    return pl.concat(
        [
            said(rows, "keys_allowed", "medium", bypass, "subject"),
            said(others, "keys_used", "medium", text, "subject"),
        ]
    )


# Writes of roles, assignments and policies. Contributor has none: it may cancel requests and exempt from policies.
_GIVES_RIGHTS = r"^microsoft\.authorization/(.*/write|elevateaccess/action)$"
_WIDE = ("subscription", "management_group", "root")


def find(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    """Return the rows of the table `findings`, sorted by control and subject."""
    return pl.concat([_find_about_holders(inputs, analysis), *find_about_resources(inputs, analysis.window)]).sort(
        "control", "subject"
    )


def _find_about_holders(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    """Return the findings that are about principals and their assignments."""
    found = [
        _orphans(inputs, analysis),
        _duplicates(analysis),
        _never_signed_in(inputs, analysis),
        _unexplained(analysis),
        _standing_privilege(analysis),
        _emergency_access(inputs),
        _inert(inputs, analysis),
        find_about_pim(inputs, analysis),
        find_inert_data_actions(inputs, analysis.tenant),
    ]
    return (
        pl.concat(found)
        # An id may stand in several states; the finding is about the assignment.
        .unique(["control", "subject"], keep="first", maintain_order=True)
        .sort("control", "subject")
    )


def _orphans(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    judged = analysis.tenant.assignments["role_assignment_id"]
    holders = classify_holders(inputs, judged)
    orphans = holders.filter(pl.col("holder") == "orphan")
    deleted = folded(inputs.principals.filter(pl.col("deleted_on").is_not_null())["principal_id"])
    reason = (
        pl.when(pl.col("principal_id").is_in(deleted.implode()))
        .then(pl.lit("its holder is among the deleted items, from which it can come back"))
        .otherwise(pl.lit("no loaded listing has its holder, and nothing proves it deleted"))
    )
    unresolved = holders.filter(pl.col("holder") == "unresolved")
    return pl.concat(
        [
            said(orphans, "orphaned_assignment", "medium", "its principal no longer exists"),
            said(unresolved, "unresolved_principal", "low", reason),
        ]
    )


def _duplicates(analysis: Analysis) -> pl.DataFrame:
    holders = analysis.tenant.assignments.select("role_assignment_id", "state", "principal_id")
    found = find_duplicates(analysis.tenant).join(holders, on=["role_assignment_id", "state"])
    text = pl.format("assignment {} grants all of it", "contained_by")
    return said(found, "duplicate_assignment", "low", text).sort("subject")


def _never_signed_in(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    covered = covered_sign_in_kinds(inputs, analysis.window)
    seen = inputs.sign_ins.filter(analysis.window.holds("day") & (pl.col("succeeded").fill_null(0) > 0))
    acted = analysis.usage.filter(pl.col("events") > 0)["principal_id"]
    awake = pl.concat([folded(seen["principal_id"]), acted]).drop_nulls().unique()
    speaks = pl.col("kinds").list.set_difference(covered).list.len() == 0
    reached = analysis.tenant.membership.join(
        analysis.tenant.assignments.select("principal_id"), left_on="holder", right_on="principal_id", how="semi"
    )["principal_id"].unique()
    quiet = described_principals(inputs).filter(
        speaks.fill_null(False)
        & ~pl.col("principal_id").is_in(awake.implode())
        & pl.col("principal_id").is_in(reached.implode())
    )
    text = f"no sign-in from {analysis.window.first_day} to {analysis.window.last_day}, though every day is covered"
    return said(quiet, "no_sign_in", "medium", text, "principal_id")


def _unexplained(analysis: Analysis) -> pl.DataFrame:
    rows = analysis.verdicts.filter(pl.col("verdict") == Verdict.UNEXPLAINED.value).drop_nulls("principal_id")
    words = rows["reason"].unique().to_list()
    reasons = rows.with_columns(
        reasons=pl.col("reason").replace_strict({word: sentence(word) for word in words}, default="")
    )
    found = reasons.group_by("principal_id").agg(
        count=unexplained_operations(), reasons=pl.col("reasons").unique().sort().str.join("; ")
    )
    text = pl.format("unexplained operations: {} ({})", "count", "reasons")
    return said(found, "unexplained_use", "medium", text, "principal_id").sort("subject")


def _standing_privilege(analysis: Analysis) -> pl.DataFrame:
    """Return permanent active assignments that can give anybody rights, by writing roles, assignments or policies.

    Other operations of the class `privilege` (federated credentials, access policies) are in every Contributor, and
    would bury these.
    """
    tenant = analysis.tenant
    catalogued = tenant.operations.filter((pl.col("risk") == "privilege") & (pl.col("plane") == "control"))["name"]
    # Where no catalogue lists the operations of a pattern, its write stands for them.
    probes = [f"{fold(p)[:-1]}write" if p.endswith("/*") else fold(p) for p in privilege_patterns()]
    names = pl.concat([catalogued, pl.Series(probes, dtype=pl.String)]).unique()
    names = names.filter(names.str.contains(_GIVES_RIGHTS))
    wanted = pl.DataFrame({"name": names}).with_columns(plane=pl.lit("control"))
    unconditional = tenant.patterns.filter(pl.col("condition").is_null())
    roles = granted_by_patterns(unconditional, wanted)["role"].unique()
    permanent = tenant.assignments.filter(
        (pl.col("state") == "active")
        & ~pl.col("twin")
        & pl.col("end_on").is_null()
        & pl.col("condition").is_null()
        & pl.col("role").is_in(roles.implode())
    )
    severity = pl.when(pl.col("level").is_in(_WIDE)).then(pl.lit("high")).otherwise(pl.lit("medium"))
    text = "it can give anybody rights, permanently, without activation or condition"
    return said(permanent, "standing_privilege", severity, text)


def _emergency_access(inputs: Inputs) -> pl.DataFrame:
    is_user = (pl.col("principal_type") == "User").fill_null(False)
    named = inputs.principals.filter(is_user & is_named_for_emergencies())
    text = "it is named like an emergency access account: leave it alone"
    return said(named, "emergency_access_account", "low", text, "principal_id").sort("subject")


def _inert(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    """Return assignments that give nobody anything today: empty roles, empty groups, disabled holders, past ends."""
    tenant = analysis.tenant
    allowing = tenant.patterns.filter(pl.col("kind").is_in(["action", "data_action"]))["role"].unique()
    complete = inputs.listings.filter(
        pl.col("complete").fill_null(False) & pl.col("listing").is_in(["members", "transitiveMembers"])
    )
    with_members = tenant.may_reach.filter(pl.col("principal_id") != pl.col("holder"))["holder"].unique()
    listed = folded(complete["of"]).unique()
    empty_groups = listed.filter(~listed.is_in(with_members.implode()))
    disabled = inputs.principals.filter(~pl.col("account_enabled").fill_null(True))["principal_id"]
    cases = (
        (pl.col("role_known") & ~pl.col("role").is_in(allowing.implode()), "its role grants nothing"),
        (pl.col("principal_id").is_in(empty_groups.implode()), "its group has no members"),
        (pl.col("principal_id").is_in(folded(disabled).implode()), "its holder is not allowed to sign in"),
        ((pl.col("end_on") < analysis.window.end).fill_null(False), "it ended before the end of the window"),
    )
    reason = pl.coalesce(pl.when(holds).then(pl.lit(text)) for holds, text in cases)
    found = tenant.assignments.with_columns(reason=reason).filter(pl.col("reason").is_not_null())
    return said(found, "inert_assignment", "low", pl.col("reason"))
