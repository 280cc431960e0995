"""Write what changes Graph permissions and federated credentials: pages, requests and scripts.

Write a page, a request body and scripts for each application whose Graph permissions change.

Every command names only ids, quoted for its shell. New permissions are granted before old ones are removed. What agents
get in the place of other permissions has to be seen in a token first, since no listing shows what an agent inherits.
Source: Microsoft Learn, Graph v1.0 reference of appRoleAssignment and oAuth2PermissionGrant; application resource type.

Write a page, the requests and scripts for each application or identity whose federated credentials change.

The scripts make new credentials before they delete old ones; those of the way back make the old ones again, exactly as
they were, before they delete the new ones.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rightsize.analyze.reasons import sentence
from rightsize.model.plan import PlanePart, Proposal
from rightsize.render.escape import for_markdown
from rightsize.render.request_scripts import powershell_script, shell_script
from rightsize.render.rows import plain, write_markdown
from rightsize.render.sentences import describe_chance

_BASE = "https://graph.microsoft.com/v1.0"
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OWN_REASONS = {
    "excluded": "left alone, because an exclusion names it",
    "first_party": "an application of Microsoft is left alone",
    "unresolved_principal": "no listing names this application",
    "unlisted_agent": "only agents that no listing has inherit it, and their age is not known",
    "young": "it was created after the window began, or within `--grace-days`",
    "narrower": "a narrower permission allows every observed request",
    "redundant": "other permissions, which stay, allow every observed request",
    "duplicate": "the tenant-wide grant of the application has it",
    "risky": "the chance that its removal breaks something exceeds `--max-break`",
}


def graph_files(part: PlanePart, app_ids: Mapping[str, str], apis: Mapping[str, str]) -> dict[str, str]:
    """Return the files of the part by name: a page, a body and two scripts for each application that changes.

    Args:
        part: The part of the plan.
        app_ids: Application ids by object id of the service principal.
        apis: Object ids of the service principals of APIs by application id.
    """
    by_client: dict[str, list[Proposal]] = {}
    for proposal in part.proposals:
        by_client.setdefault(proposal.principal_ids[0], []).append(proposal)
    files: dict[str, str] = {}
    for client, proposals in sorted(by_client.items()):
        if all(proposal.kind.keeps for proposal in proposals):
            continue
        slug = slug_of(client)
        steps = _graph_steps(client, proposals, apis)
        body = _graph_body(client, proposals, steps, app_ids)
        files[f"graph/{slug}.md"] = "\n".join(_graph_page(client, proposals, part)).rstrip() + "\n"
        files[f"graph/{slug}.json"] = json.dumps(plain(body), ensure_ascii=True, indent=2) + "\n"
        files[f"graph/{slug}.sh"] = shell_script(steps)
        files[f"graph/{slug}.ps1"] = powershell_script(steps)
    return files


def slug_of(id_: str) -> str:
    """Return the beginning of the names of the files of an application or identity: its GUID, else a hash of its id."""
    return id_ if _GUID.fullmatch(id_) else hashlib.sha256(id_.encode()).hexdigest()[:16]


def _graph_steps(client: str, proposals: Sequence[Proposal], apis: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the requests in order: new grants, then reduced delegated grants, then removals.

    For an agent or the principal of a blueprint, those that take something away name the permissions that a token has
    to show before, if it gets any.
    """
    new: dict[str, dict[str, Any]] = {}
    wider, smaller, gone = [], [], []
    of_agents = any(one.evidence.get("inherited_by") or one.evidence.get("agent_of") for one in proposals)
    changed = [one for one in proposals if one.kind.changes]
    comes = sorted({come["permission"] for one in changed for come in one.evidence["comes"]}) if of_agents else []
    for proposal in changed:
        evidence = proposal.evidence
        grant = proposal.replaces[0]
        if evidence.get("inheritance"):
            gone += _narrowed(evidence)
        elif evidence["access"] == "application":
            for one in evidence["comes"]:
                api = apis.get(evidence["api_app_id"], evidence["api_app_id"])
                body = {"principalId": client, "resourceId": api, "appRoleId": one["id"]}
                url = f"{_BASE}/servicePrincipals/{client}/appRoleAssignments"
                new[one["id"]] = {"method": "POST", "url": url, "body": body}
            url = f"{_BASE}/servicePrincipals/{client}/appRoleAssignments/{grant}"
            gone.append({"method": "DELETE", "url": url, "body": None})
        elif proposal.assignments:
            kept = [one["permission"] for one in evidence["permissions"] if one["decision"] == "keep"]
            scope = " ".join(sorted({*kept, *(one["permission"] for one in evidence["comes"])}))
            url = f"{_BASE}/oauth2PermissionGrants/{grant}"
            if comes and evidence["comes"]:
                both = " ".join(sorted({*scope.split(), *(one["permission"] for one in evidence["permissions"])}))
                wider.append({"method": "PATCH", "url": url, "body": {"scope": both}})
            smaller.append({"method": "PATCH", "url": url, "body": {"scope": scope}})
        else:
            gone.append({"method": "DELETE", "url": f"{_BASE}/oauth2PermissionGrants/{grant}", "body": None})
    seen = {"after_token_shows": comes} if comes else {}
    return [*(new[id_] for id_ in sorted(new)), *wider, *(one | seen for one in (*smaller, *gone))]


def _narrowed(evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the request that narrows what agents inherit; none where no listing has the object id of the blueprint.

    Source: Microsoft Learn, "Configure inheritable permissions for agent identity blueprints".
    """
    said = evidence["inheritance"]
    if not said["blueprint_object_id"]:
        return []
    word = "Roles" if evidence["access"] == "application" else "Scopes"
    pattern: dict[str, Any] = {"@odata.type": f"#microsoft.graph.no{word}", "kind": "none"}
    if said["listed"]:
        pattern = {"@odata.type": f"#microsoft.graph.enumerated{word}", "kind": "enumerated", "scopes": said["listed"]}
    place = f"{_BASE}/applications/microsoft.graph.agentIdentityBlueprint/{said['blueprint_object_id']}"
    url = f"{place}/inheritablePermissions/{evidence['api_app_id']}"
    return [{"method": "PATCH", "url": url, "body": {f"inheritable{word}": pattern}}]


def _graph_body(
    client: str, proposals: Sequence[Proposal], steps: Sequence[Mapping[str, Any]], app_ids: Mapping[str, str]
) -> dict[str, Any]:
    """Return the permissions that the application should declare afterwards, and the requests for that change."""
    asked: dict[str, dict[tuple[str, str], None]] = {}
    for proposal in proposals:
        evidence = proposal.evidence
        kind = "Role" if evidence["access"] == "application" else "Scope"
        kept = [one["id"] for one in evidence["permissions"] if one["decision"] == "keep"]
        for id_ in [*kept, *(one["id"] for one in evidence.get("comes", ()))]:
            if evidence["api_app_id"] and id_ and _GUID.fullmatch(id_):
                asked.setdefault(evidence["api_app_id"], {})[id_, kind] = None
    return {
        "appId": app_ids.get(client),
        "requiredResourceAccess": [
            {
                "resourceAppId": api,
                "resourceAccess": [{"id": id_, "type": kind} for id_, kind in sorted(permissions)],
            }
            for api, permissions in sorted(asked.items())
        ],
        "requests": [dict(step) for step in steps],
    }


def _graph_page(client: str, proposals: Sequence[Proposal], part: PlanePart) -> Iterator[str]:
    window = part.window
    yield f"# {for_markdown(part.names.get(client, client))}"
    yield ""
    yield f"- Service principal: {for_markdown(client)}"
    yield f"- Observation window: {window['first_day']} to {window['last_day']}, {window['days']} days"
    worst = max(proposals, key=lambda one: one.break_probability_30d)
    yield f"- May break within 30 days: {describe_chance(worst.break_probability_30d, worst.evidence)}"
    holds = all(one.proof.used_subset and one.proof.granted_superset for one in proposals)
    yield f"- Proof: {'every explained request stays allowed, and no new access is granted' if holds else 'fails'}"
    yield ""
    yield from _agents(proposals, part.names)
    yield "## Decision on each permission"
    yield ""
    rows = [
        _graph_row(proposal, one)
        for proposal in sorted(proposals, key=lambda one: (one.evidence["access"], one.id))
        for one in proposal.evidence["permissions"]
    ]
    yield write_markdown(rows, ("permission", "access", "decision", "instead", "level", "because"))
    yield "## Requests that use each permission"
    yield ""
    requests = [
        {
            "permission": one["permission"],
            "request": request["operation"],
            "calls": request["events"],
            "last seen": request["last_seen"],
        }
        for proposal in proposals
        for one in proposal.evidence["permissions"]
        for request in one.get("requests", ())
    ]
    yield write_markdown(requests, ("permission", "request", "calls", "last seen"))
    unknown = sorted(
        {
            (one["operation"], one["reason"])
            for proposal in proposals
            for one in proposal.evidence.get("unexplained", ())
        }
    )
    if unknown:
        yield "## Unexplained operations"
        yield ""
        told = [{"request": operation, "because": sentence(reason)} for operation, reason in unknown]
        yield write_markdown(told, ("request", "because"))
    yield from _notes(proposals)


def _agents(proposals: Sequence[Proposal], names: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines about agents that inherit from it, what they will inherit, and the order of the steps."""
    heirs = sorted({agent for one in proposals for agent in one.evidence.get("inherited_by") or ()})
    if heirs:
        yield "## Agents that inherit from it"
        yield ""
        used = [(one["permission"], one.get("agents", ())) for proposal in proposals
                for one in proposal.evidence["permissions"]]  # fmt: skip
        for agent in heirs:
            found = sorted({permission for permission, agents in used if agent in agents})
            yield f"- {for_markdown(names.get(agent, agent))}: " + (
                f"requests of it need {for_markdown(', '.join(found))}" if found else "no request of it needs any of it"
            )
        yield ""
    for one in proposals:
        if one.evidence.get("inheritance"):
            yield from _inheritance(one)
    comes = {come["permission"] for one in proposals if one.kind.changes for come in one.evidence["comes"]}
    if comes and (heirs or any(one.evidence.get("agent_of") for one in proposals)):
        yield "## Order"
        yield ""
        yield (
            "Grant first. Then get a new token as each agent, and look for the new permissions in `roles` or `scp`: no "
            "listing shows what an agent inherits. Remove only then. The scripts stop before they remove anything, "
            "until `TOKEN_SEEN` is `yes`."
        )
        yield ""


def _inheritance(one: Proposal) -> Iterator[str]:
    said, what = one.evidence["inheritance"], f"{one.evidence['access']} permissions of {one.evidence['api']}"
    today = "all" if said["before"] == "allAllowed" else "a list of"
    yield f"## Inheritance of {for_markdown(what)}"
    yield ""
    after = f"only {', '.join(said['listed'])}" if said["listed"] else "none"
    yield f"Today its agents inherit {today} {for_markdown(what)}. Afterwards they inherit {for_markdown(after)}:"
    yield f"{one.reason}."
    yield ""
    gone = ", ".join(said["no_longer_inherited"])
    yield f"- No longer inherited: {for_markdown(gone) or 'what the principal is granted later'}"
    yield "- A narrower pattern asks for a new consent where an agent needs what it no longer inherits. The chance of"
    yield "  that is not estimated."
    if said["listed"]:
        yield (
            "- **Unconfirmed**: Microsoft's concept page knows only all and none, the reference of Graph also lists. "
            "Try it on a blueprint whose agents may fail."
        )
        yield f"- A blueprint may name 10 APIs; this one names {said['apis']}."
    if not said["blueprint_object_id"]:
        yield "- No listing has the object id of the blueprint's application, so no command is written."
    yield ""


def _graph_row(proposal: Proposal, one: Mapping[str, Any]) -> dict[str, Any]:
    user = proposal.evidence["user_id"]
    return {
        "permission": one["permission"],
        "access": proposal.evidence["access"] + (f" of user {user}" if user else ""),
        "decision": one["decision"],
        "instead": ", ".join(one.get("instead", ())),
        "level": one.get("level", ""),
        "because": _OWN_REASONS.get(one["reason"], sentence(one["reason"])),
    }


def _notes(proposals: Sequence[Proposal]) -> Iterator[str]:
    permissions = [one for proposal in proposals for one in proposal.evidence["permissions"]]
    missing = {f"{one['permission']}: {note}" for one in permissions for note in one.get("without_it", ())}
    yield from _listed("What stops working without a permission", missing)
    narrower = {
        f"{one['permission']}: {other['instead']} is enough for {other['only']}"
        for one in permissions
        for other in one.get("alternatives", ())
    }
    yield from _listed("Narrower permissions for selected resources", narrower)


def _listed(title: str, notes: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a section with a sorted list; none for an empty list."""
    lines = [f"- {for_markdown(note)}" for note in sorted(notes)]
    yield from (f"## {title}", "", *lines, "") if lines else ()


_WAIT: Mapping[str, Any] = {"wait_seconds": 600}
"""The wait until a new credential is known everywhere; Microsoft Learn on workload identity federation says minutes."""


def trust_files(part: PlanePart) -> dict[str, str]:
    """Return the files of the part by name: a page, the requests and four scripts for each object that changes."""
    by_object: dict[str, list[Proposal]] = {}
    for proposal in part.proposals:
        by_object.setdefault(proposal.evidence["trust"]["object_id"], []).append(proposal)
    files: dict[str, str] = {}
    for object_id, proposals in sorted(by_object.items()):
        if all(one.kind.keeps for one in proposals):
            continue
        slug = slug_of(object_id)
        there, back = trust_steps(proposals)
        files[f"trust/{slug}.md"] = "\n".join(_trust_page(object_id, proposals, part)).rstrip() + "\n"
        body = {"object_id": object_id, "requests": there, "rollback": back}
        files[f"trust/{slug}.json"] = json.dumps(plain(body), ensure_ascii=True, indent=2) + "\n"
        for name, steps in ((slug, there), (f"{slug}-rollback", back)):
            files[f"trust/{name}.sh"] = shell_script(steps)
            files[f"trust/{name}.ps1"] = powershell_script(steps)
    return files


def trust_steps(proposals: Sequence[Proposal]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the requests of the changes in order, and those of the way back.

    What nobody uses goes first, since it makes room; then the new ones come; after a wait they are read back, and the
    ones that they replace go.
    """
    changed = [one for one in proposals if one.kind.changes]
    unused = [one.evidence["trust"] for one in changed if one.kind.removes]
    wide = [one.evidence["trust"] for one in changed if not one.kind.removes]
    makes = [made for said in wide for made in said["makes"]]
    settled = [_WAIT, *({**made["undo"], "method": "GET"} for made in makes)] if makes else []
    there = [said["deletes"] for said in unused] + [made["request"] for made in makes]
    there += settled + [said["deletes"] for said in wide]
    back = [said["restores"] for said in (*wide, *unused)]
    back += [_WAIT, *({**said["deletes"], "method": "GET"} for said in wide)] if makes else []
    return there, back + [made["undo"] for made in makes]


def _trust_page(object_id: str, proposals: Sequence[Proposal], part: PlanePart) -> Iterator[str]:
    window, said = part.window, proposals[0].evidence["trust"]
    holder = "Application" if said["holder"] == "application" else "User-assigned identity"
    yield f"# Federated credentials of {for_markdown(part.names.get(proposals[0].principal_ids[0], object_id))}"
    yield ""
    yield f"- {holder}: {for_markdown(object_id)}"
    yield f"- Signs in as: {for_markdown(proposals[0].principal_ids[0])}"
    yield f"- Observation window: {window['first_day']} to {window['last_day']}, {window['days']} days"
    worst = max(proposals, key=lambda one: one.break_probability_30d)
    yield f"- May break within 30 days: {describe_chance(worst.break_probability_30d, worst.evidence)}"
    yield "- Proof: every subject that is known to have signed in still does, and no further token is trusted"
    yield "- Way back: the scripts ending in `-rollback` make every deleted credential again as it was; its id is new"
    yield ""
    yield "## Decision on each credential"
    yield ""
    rows = [_trust_row(one) for one in sorted(proposals, key=lambda one: one.evidence["trust"]["name"])]
    yield write_markdown(rows)
    seen = [
        {
            "credential": one.evidence["trust"]["name"],
            "subject": subject["subject"],
            "days": subject["days"],
            "last seen": subject["last_seen"],
            "runs": ", ".join(subject["runs"]),
        }
        for one in proposals
        for subject in one.evidence["trust"]["observed"]
    ]
    if seen:
        yield "## Subjects that signed in, by the logs of their runs"
        yield ""
        yield write_markdown(seen)
    risks = sorted({(one.evidence["trust"]["means"], one.evidence["trust"]["why"]) for one in proposals})
    lines = [f"- {for_markdown(means)}: {for_markdown(why)}" for means, why in risks if why]
    if lines:
        yield from ("## What is risky", "", *lines)


def _trust_row(one: Proposal) -> Mapping[str, Any]:
    said = one.evidence["trust"]
    use = said["use"] or said["earlier"] or {}
    comes = one.evidence.get("comes") or ()
    return {
        "credential": said["name"],
        "trusts": f"{said['platform']}: {said['means']}",
        "risk": said["risk"],
        "decision": f"narrow to {', '.join(comes)}" if comes else "remove" if one.kind.removes else "keep",
        "sign-ins": use.get("sign_ins", 0),
        "last seen": use.get("last_seen", ""),
        "because": one.reason,
    }
