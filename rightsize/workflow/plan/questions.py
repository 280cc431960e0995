"""Ask owners about access that no log judges: where it is wide, permanent and privileged, or has no living owner.

A plan asks this where absence of use decides nothing. Each question is advice: it changes nothing by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import polars as pl

from rightsize.analyze.inputs import Inputs, folded
from rightsize.analyze.principals import able_principals, emergency_accounts
from rightsize.analyze.window import ShortLog
from rightsize.model.errors import InputError
from rightsize.model.plan import Advice, Plan, Proposal
from rightsize.model.progress import counted
from rightsize.model.text import fold
from rightsize.rbac.assignments import ACCESS_ADMINISTRATORS
from rightsize.rbac.scopes import parse_scope
from rightsize.render.sentences import describe_grant
from rightsize.rules.operations import first_party_tenants
from rightsize.workflow.data.next_command import LOGS, ROLES

_WIDE = {"root": "the root, above every subscription", "management_group": "a management group"}
_CAN_ACTIVATE = ("User", "Group")
_SUBSCRIPTION = r"^/subscriptions/([^/]+)"


def ask_owners(plan: Plan, inputs: Inputs, findings: pl.DataFrame, owners: pl.DataFrame) -> tuple[Advice, ...]:
    """Return one question for each assignment that stays and gives reason for one, the widest first.

    Args:
        plan: The plan.
        inputs: The tables.
        findings: As the table `findings`: `standing_privilege` says which assignments are permanent and privileged.
        owners: As the table `object_owners`.
    """
    privileged = {fold(id_) for id_ in findings.filter(pl.col("control") == "standing_privilege")["subject"]}
    dead = _without_owner(inputs, owners)
    emergency = {*folded(emergency_accounts(inputs))}  # these are to be permanent
    types = dict(
        inputs.role_assignments.drop_nulls("principal_type")
        .select(folded(pl.col("principal_id")), "principal_type")
        .iter_rows()
    )
    asked = []
    for one in plan.proposals:
        holder = fold(one.principal_ids[0])
        if one.kind.changes or holder in emergency:
            continue
        level = _level(one.evidence["scope"])
        is_open = fold(one.replaces[0]) in privileged or fold(one.evidence["role"]) in ACCESS_ADMINISTRATORS
        reasons = [
            *([f"it is at {_WIDE[level]}"] if level in _WIDE else []),
            *([dead[holder]] if holder in dead else []),
            *(_on_privilege(types.get(holder)) if is_open and _is_active(one) else []),
        ]
        if reasons:
            asked.append((list(_WIDE).index(level) if level in _WIDE else len(_WIDE), -len(reasons), one, reasons))
    ordered = sorted(asked, key=lambda row: (row[0], row[1], row[2].id))
    return (*(_question(one, reasons, plan.names) for _, _, one, reasons in ordered), *_unlisted_owners(inputs, owners))


def say_short(short: ShortLog, inputs: Inputs, names: Mapping[str, str]) -> tuple[str, ...]:
    """Return what the short log is, what follows, and which log to export first, with the command."""
    said = [*short.lines]
    if inputs.role_definitions.is_empty():
        said.append(f"without role definitions no assignment is known to cover another: `{ROLES}`")
    if short.days:
        return (*said, f"if Azure still keeps the days before {short.first_day}, this loads them: `{LOGS}`")
    held = folded(inputs.role_assignments["scope"]).str.extract(_SUBSCRIPTION).drop_nulls().alias("place")
    first = ""
    if not held.is_empty():
        place, number = held.value_counts().sort("count", "place", descending=[True, False]).row(0)
        name = names.get(f"/subscriptions/{place}", place)
        first = f", first that of subscription `{name}`, which has {counted(number, 'assignment')}"
    return (*said, f"what would tell: the Activity Log of 90 days{first}: `{LOGS}`")


def _question(one: Proposal, reasons: Collection[str], names: Mapping[str, str]) -> Advice:
    role = one.evidence["role"]
    grant = describe_grant(names.get(role, role), one.evidence["scope"], one.plane, names)
    return Advice(one.principal_ids[0], f"is {grant} still needed? {'; '.join(reasons)}")


def _on_privilege(principal_type: str | None) -> Iterator[str]:
    could = "could it be eligible?" if principal_type in _CAN_ACTIVATE else "a workload cannot activate it"
    yield f"it can give anybody rights, permanently: {could}"


def _is_active(one: Proposal) -> bool:
    return bool(one.evidence.get("state", "active") == "active")


def _level(scope: str) -> str:
    try:
        return parse_scope(scope).kind
    except InputError:
        return ""


def _without_owner(inputs: Inputs, owners: pl.DataFrame) -> dict[str, str]:
    """Return by folded id why a holder has nobody who answers for it: it may not sign in, or nobody owns it.

    A listing without owners says nothing, and so does an application of another tenant.
    """
    people = inputs.principals.with_columns(id=folded(pl.col("principal_id")))
    barred = people.filter(~pl.col("account_enabled").fill_null(True) & pl.col("deleted_on").is_null())
    found = dict.fromkeys(barred["id"], "its holder is disabled and cannot sign in")
    if owners.is_empty():
        return found
    living = owners.filter(folded(pl.col("owner_id")).is_in(able_principals(inputs.principals).implode()))
    foreign = pl.col("owner_tenant_id").is_in(first_party_tenants()).fill_null(False)
    apps = people.filter((pl.col("principal_type") == "ServicePrincipal") & ~foreign)
    alone = apps.filter(~_is_owned_in(living)).select(
        "id",
        why=pl.when(_is_owned_in(owners))
        .then(pl.lit("its owners are disabled or gone"))
        .otherwise(pl.lit("no loaded listing names an owner of it")),
    )
    return dict(alone.iter_rows()) | found


def _is_owned_in(owners: pl.DataFrame) -> pl.Expr:
    """Return whether a principal, by its folded `id` or `app_id`, has a row in a listing of owners."""
    objects, apps = folded(owners["object_id"]), folded(owners["app_id"].drop_nulls())
    owned = pl.concat([objects, apps]).drop_nulls().implode()
    return pl.col("id").is_in(owned) | folded(pl.col("app_id")).is_in(owned).fill_null(False)


def _unlisted_owners(inputs: Inputs, owners: pl.DataFrame) -> Iterator[Advice]:
    held = inputs.role_assignments.filter(pl.col("principal_type") == "ServicePrincipal")["principal_id"].n_unique()
    if owners.is_empty() and held:
        command = "rightsize fetch-script --source application_owners --source service_principal_owners"
        text = f"no owner of an application is loaded, so which of {counted(held, 'service principal')} have no living "
        yield Advice("owners", f"{text}owner is not known: `{command} > get.sh` writes a script that gets them")
