"""Write a page, the requests and scripts for each application or identity whose federated credentials change.

The scripts make new credentials before they delete old ones; those of the way back make the old ones again, exactly as
they were, before they delete the new ones.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rightsize.model.plan import PlanePart, Proposal
from rightsize.render.chance import describe_chance
from rightsize.render.escape import for_markdown
from rightsize.render.request_scripts import powershell_script, shell_script
from rightsize.render.rows import plain, write_markdown

_WAIT: Mapping[str, Any] = {"wait_seconds": 600}
"""The wait until a new credential is known everywhere; Microsoft Learn on workload identity federation says minutes."""

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def trust_files(part: PlanePart) -> dict[str, str]:
    """Return the files of the part by name: a page, the requests and four scripts for each object that changes."""
    by_object: dict[str, list[Proposal]] = {}
    for proposal in part.proposals:
        by_object.setdefault(proposal.evidence["trust"]["object_id"], []).append(proposal)
    files: dict[str, str] = {}
    for object_id, proposals in sorted(by_object.items()):
        if all(one.kind.keeps for one in proposals):
            continue
        slug = object_id if _GUID.fullmatch(object_id) else hashlib.sha256(object_id.encode()).hexdigest()[:16]
        there, back = steps_of(proposals)
        files[f"trust/{slug}.md"] = "\n".join(_page(object_id, proposals, part)).rstrip() + "\n"
        body = {"object_id": object_id, "requests": there, "rollback": back}
        files[f"trust/{slug}.json"] = json.dumps(plain(body), ensure_ascii=True, indent=2) + "\n"
        for name, steps in ((slug, there), (f"{slug}-rollback", back)):
            files[f"trust/{name}.sh"] = shell_script(steps)
            files[f"trust/{name}.ps1"] = powershell_script(steps)
    return files


def steps_of(proposals: Sequence[Proposal]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
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


def _page(object_id: str, proposals: Sequence[Proposal], part: PlanePart) -> Iterator[str]:
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
    rows = [_row(one) for one in sorted(proposals, key=lambda one: one.evidence["trust"]["name"])]
    yield write_markdown(rows, ("credential", "trusts", "risk", "decision", "sign-ins", "last seen", "because"))
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
        yield write_markdown(seen, ("credential", "subject", "days", "last seen", "runs"))
    risks = sorted({(one.evidence["trust"]["means"], one.evidence["trust"]["why"]) for one in proposals})
    lines = [f"- {for_markdown(means)}: {for_markdown(why)}" for means, why in risks if why]
    if lines:
        yield from ("## What is risky", "", *lines)


def _row(one: Proposal) -> Mapping[str, Any]:
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
