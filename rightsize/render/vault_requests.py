"""Write a page, the requests and scripts for each key vault that can leave its access policies.

The roles come first; after a wait each assignment is read back; then the model is switched, by a PATCH that names
nothing else, so that the policies, the network rules and the `enabledFor…` switches stay. The way back switches the
model first, waits, and then deletes what was made. The policies are still there: Azure only ignores them meanwhile.
Before anything is made and before each switch the policies are read: where they are not those of the plan, it stops.
Source: Microsoft Learn, "Migrate from vault access policy to an Azure RBAC permission model"; REST reference of
Microsoft.KeyVault vaults (Update), 2026-02-01, and of role assignments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rightsize.model.plan import PlanePart, Proposal
from rightsize.model.text import fold
from rightsize.rbac.assignments import arm_principal_type, assignment_id, role_path
from rightsize.render.escape import for_markdown
from rightsize.render.plane_requests import slug_of
from rightsize.render.request_scripts import powershell_script, shell_script
from rightsize.render.rows import plain, write_markdown
from rightsize.render.sentences import describe_chance

VAULT_VERSION = "2026-02-01"
_ARM = "https://management.azure.com"
_ROLES_VERSION = "2022-04-01"
_WAIT: dict[str, Any] = {"wait_seconds": 600}
"""The wait until role assignments hold everywhere, up to ten minutes: Microsoft Learn, "Troubleshoot Azure RBAC"."""


def vault_files(part: PlanePart) -> dict[str, str]:
    """Return the files of the part by name: a page for each vault, and of one that waits for nothing its requests."""
    files: dict[str, str] = {}
    for vault, proposals in by_vault(part.proposals).items():
        name = f"vault/{file_name(vault)}"
        files[f"{name}.md"] = "\n".join(_page(vault, proposals, part)).rstrip() + "\n"
        if proposals[0].evidence["vault"]["waits"]:
            continue
        there, back = vault_steps(vault, proposals)
        body = {"vault": vault, "requests": there, "rollback": back}
        files[f"{name}.json"] = json.dumps(plain(body), ensure_ascii=True, indent=2) + "\n"
        for which, steps in ((name, there), (f"{name}-rollback", back)):
            files[f"{which}.sh"] = shell_script(steps)
            files[f"{which}.ps1"] = powershell_script(steps)
    return files


def file_name(vault: str) -> str:
    """Return the beginning of the names of a vault's files: its name, and a part of the hash of its id."""
    name = re.sub(r"[^a-z0-9-]", "", vault.rpartition("/")[2])[:24].strip("-")
    return f"{name or 'vault'}-{slug_of(vault)[:8]}"


def by_vault(proposals: Sequence[Proposal]) -> dict[str, list[Proposal]]:
    """Return the proposals of each vault, sorted."""
    found: dict[str, list[Proposal]] = {}
    for one in sorted(proposals, key=lambda one: (one.evidence["scope"], one.replaces)):
        found.setdefault(one.evidence["scope"], []).append(one)
    return found


def vault_steps(vault: str, proposals: Sequence[Proposal]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the requests that switch a vault, in order, and those of the way back."""
    roles = {role["name"]: role for one in proposals for role in one.evidence["vault"]["new_roles"]}
    makes, made = [], []
    for id_, role in sorted(roles.items()):
        url = (
            f"{_ARM}{role['properties']['assignableScopes'][0]}/providers/Microsoft.Authorization/roleDefinitions/{id_}"
        )
        makes.append({"method": "PUT", "url": url, "version": _ROLES_VERSION, "body": role})
    for one in proposals:
        kind = arm_principal_type(one.evidence["vault"]["holder_type"] or "")
        for given in one.assignments:
            url = f"{_ARM}{given.scope}/providers/Microsoft.Authorization/roleAssignments/"
            url += assignment_id(given.scope, given.role, given.principal_id, None)
            said = {"roleDefinitionId": role_path(given.scope, given.role), "principalId": given.principal_id}
            said |= {"principalType": kind} if kind else {}
            made.append({"method": "PUT", "url": url, "version": _ROLES_VERSION, "body": {"properties": said}})
    same: dict[str, Any] = {"policies": _held(proposals), "url": f"{_ARM}{vault}", "version": VAULT_VERSION}
    reads = [{**one, "method": "GET", "body": None} for one in made]
    roles_first = [same, *makes, *made, _WAIT, *reads] if made else []
    there = [*roles_first, same, _model(vault, by_roles=True), _shown(vault)]
    gone = [{**one, "method": "DELETE", "body": None} for one in made]
    back = [same, _model(vault, by_roles=False), _shown(vault), *([_WAIT, *gone] if made else [])]
    return there, back


def _held(proposals: Sequence[Proposal]) -> list[str]:
    """Return the policies that a plan knows, a line for each permission: holder, application or nothing, permission."""
    return sorted(
        fold(f"{one.principal_ids[0]} {one.evidence['vault']['app_id'] or ''} {permission}")
        for one in proposals
        for permission in one.evidence["vault"]["permissions"]
    )


def _model(vault: str, *, by_roles: bool) -> dict[str, Any]:
    body = {"properties": {"enableRbacAuthorization": by_roles}}
    return {"method": "PATCH", "url": f"{_ARM}{vault}", "version": VAULT_VERSION, "body": body}


def _shown(vault: str) -> dict[str, Any]:
    return {"method": "GET", "url": f"{_ARM}{vault}", "version": VAULT_VERSION, "body": None}


def _page(vault: str, proposals: Sequence[Proposal], part: PlanePart) -> Iterator[str]:
    said, window = proposals[0].evidence["vault"], part.window
    yield f"# Key vault {for_markdown(vault.rpartition('/')[2])}: from access policies to roles"
    yield ""
    yield f"- Vault: {for_markdown(vault)}"
    yield f"- Observation window: {window['first_day']} to {window['last_day']}, {window['days']} days"
    worst = max(proposals, key=lambda one: one.break_probability_30d)
    yield f"- May break within 30 days: {describe_chance(worst.break_probability_30d, worst.evidence)}"
    yield "- Proof: what was used stays at each scope of its use, and only reads of metadata are new"
    if said["waits"]:
        yield f"- It waits: somebody has to decide on {', '.join(said['waits'])} first, so there is no script"
    else:
        yield "- Way back: the script ending in `-rollback`; the policies stay on the vault while roles decide"
        yield "- Watch: requests that the vault refuses (`httpStatusCode_d == 403` in its AuditEvent log)"
    for flag in said["flags"]:
        yield f"- `{flag}` is on and stays on: what it lets through needs no policy and no role"
    if said["foreign_policies"]:
        yield f"- {said['foreign_policies']:,} policies of another tenant allow nothing, and get nothing"
    yield ""
    yield "## Holders"
    yield ""
    rows = [row for one in proposals for row in _rows(one, part)]
    yield write_markdown(rows, ("holder", "access policy", "decision", "roles", "at", "because"))
    added = sorted({text for one in proposals for text in one.evidence["vault"]["adds"]})
    control = sorted({text for one in proposals for text in one.evidence["vault"]["adds_control"]})
    lines = [f"- {for_markdown(text)}: a read of metadata" for text in added]
    lines += [f"- {for_markdown(text)}: an action of Resource Manager that a built-in role has" for text in control]
    yield from ("## What the roles have beyond the policies", "", *lines, "") if lines else ()
    woken = [row | {"principal": part.names.get(row["principal_id"], row["principal_id"])} for row in said["wakes"]]
    if woken:
        yield from ("## What the switch wakes up", "", "These roles do nothing in this vault until it is switched.", "")
        yield write_markdown(woken, ("principal", "role", "scope", "state", "operations"))
    if said["writers"]:
        yield from ("## Who writes this vault", "")
        yield from (
            f"- {for_markdown(part.names.get(one, one))}: change its code to roles first" for one in said["writers"]
        )


def _rows(one: Proposal, part: PlanePart) -> Iterator[Mapping[str, Any]]:
    said = one.evidence["vault"]
    who = part.names.get(one.principal_ids[0], one.principal_ids[0])
    first = {
        "holder": f"{who} through {said['app_id']}" if said["app_id"] else who,
        "access policy": one.evidence["role"].removeprefix("access policy: "),
        "decision": "ask" if one.kind.keeps else "remove" if one.kind.removes else "roles",
        "because": one.reason,
    }
    for scope, roles in said["roles"].items() or {"": []}.items():
        place = scope.removeprefix(one.evidence["scope"]).lstrip("/") or ("the vault" if scope else "")
        yield first | {"roles": ", ".join(roles), "at": place}
