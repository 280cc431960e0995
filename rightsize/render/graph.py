"""Write a page, a request body and scripts for each application whose Graph permissions change.

Every command names only ids, quoted for its shell. New permissions are granted before old ones are removed. What agents
get in the place of other permissions has to be seen in a token first, since no listing shows what an agent inherits.
Source: Microsoft Learn, Graph v1.0 reference of appRoleAssignment and oAuth2PermissionGrant; application resource type.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rightsize.analyze.reasons import sentence
from rightsize.model.plan import PlanePart, Proposal
from rightsize.render.chance import describe_chance
from rightsize.render.escape import for_markdown
from rightsize.render.request_scripts import powershell_script, shell_script
from rightsize.render.rows import plain, write_markdown

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
        slug = client if _GUID.fullmatch(client) else hashlib.sha256(client.encode()).hexdigest()[:16]
        steps = _steps(client, proposals, apis)
        body = _body(client, proposals, steps, app_ids)
        files[f"graph/{slug}.md"] = "\n".join(_page(client, proposals, part)).rstrip() + "\n"
        files[f"graph/{slug}.json"] = json.dumps(plain(body), ensure_ascii=True, indent=2) + "\n"
        files[f"graph/{slug}.sh"] = shell_script(steps)
        files[f"graph/{slug}.ps1"] = powershell_script(steps)
    return files


def _steps(client: str, proposals: Sequence[Proposal], apis: Mapping[str, str]) -> list[dict[str, Any]]:
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


def _body(
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


def _page(client: str, proposals: Sequence[Proposal], part: PlanePart) -> Iterator[str]:
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
        _row(proposal, one)
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


def _row(proposal: Proposal, one: Mapping[str, Any]) -> dict[str, Any]:
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
