"""Write `ISSUE.md`: what a patch could not do in code, where it would be done, and what to do there by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rightsize.iac.patch.grants import Change, Refused, Wanted
from rightsize.render.deploy.contents import API
from rightsize.render.escape import for_bicep, for_markdown, for_shell, for_terraform


@dataclass(frozen=True, slots=True)
class Open:
    """What is left to people.

    Attributes:
        refused: By owner, the changes that code makes and no edit is offered for.
        missing: The changes that no code was found for.
        deletes: The assignments that code no longer makes, but that no deployment deletes: their ids in Azure.
        notes: What to know before the patches are applied.
    """

    refused: Mapping[str, Sequence[Refused]]
    missing: Sequence[Change]
    deletes: Sequence[str]
    notes: Sequence[str]


def issue_page(found: Open) -> str:
    """Return the page as Markdown."""
    return "\n".join(_page(found)).rstrip("\n") + "\n"


def _page(found: Open) -> Iterator[str]:
    yield "# Access to change by hand\n"
    yield "The patches beside this page change what can be proved. The rest is here, with the reason.\n"
    if found.notes:
        yield "## Before the patches\n"
        yield from (f"- {for_markdown(note)}" for note in found.notes)
        yield ""
    for owner in sorted(found.refused):
        yield f"## For {for_markdown(owner)}\n"
        for one in found.refused[owner]:
            yield from _refused(one)
    if found.deletes:
        yield "## Assignments that a deployment leaves behind\n"
        yield "Bicep deletes nothing that left a file. Once `remove.patch` is deployed, delete them:\n"
        yield "```"
        yield from (f"az role assignment delete --ids {for_shell(one)}" for one in found.deletes)
        yield "```\n"
    if found.missing:
        yield "## No code was found\n"
        yield "No state, no output and no `guid()` says which code makes them. If code does, give its state.\n"
        yield from (f"- {for_markdown(one.said)} ({one.old})" for one in found.missing)


def _refused(one: Refused) -> Iterator[str]:
    yield f"### {for_markdown(f'{one.path}:{one.line}')}\n"
    yield f"{for_markdown(one.change.said)}.\n"
    yield f"Not edited: {for_markdown(one.why)}.\n"
    is_bicep = one.path.endswith((".bicep", ".bicepparam", ".json"))
    if one.change.wanted:
        yield "Add first, with the holder and the place as today where no other is named:\n"
        yield "```bicep" if is_bicep else "```terraform"
        for wanted in one.change.wanted:
            yield from _bicep(wanted) if is_bicep else _terraform(wanted)
        yield "```\n"
    if one.change.vault:
        vault = for_markdown(one.change.vault.rpartition("/")[2])
        yield f"Once all holders of {vault} have their roles, let roles decide in its code.\n"
    elif one.change.wanted:
        yield f"Once they are there, take out today's assignment `{one.change.old}`.\n"
    else:
        yield f"Take out today's assignment `{one.change.old}`.\n"


def _terraform(wanted: Wanted) -> Iterator[str]:
    kind = "azurerm_role_assignment" if wanted.grant.state == "active" else "azurerm_pim_eligible_role_assignment"
    yield f'resource "{kind}" "{wanted.word}" {{'
    yield f'  scope              = "{for_terraform(wanted.scope)}"'
    yield f'  role_definition_id = "{for_terraform(wanted.role_path)}"'
    yield f'  principal_id       = "{for_terraform(wanted.grant.principal_id)}"'
    yield "}"


def _bicep(wanted: Wanted) -> Iterator[str]:
    kind = "roleAssignments" if wanted.grant.state == "active" else "roleEligibilityScheduleRequests"
    yield f"resource {wanted.word} 'Microsoft.Authorization/{kind}@{API}' = {{"
    parts = (wanted.scope, wanted.grant.principal_id, wanted.role_path)
    yield f"  name: guid({', '.join(map(for_bicep, parts))})"
    yield "  properties: {"
    yield f"    roleDefinitionId: {for_bicep(wanted.role_path)}"
    yield f"    principalId: {for_bicep(wanted.grant.principal_id)}"
    yield "  }"
    yield "}"
