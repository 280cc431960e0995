"""Write the list of the assignments that older code still makes, and that a plan replaces or removes."""

from __future__ import annotations

from rightsize.render.deploy.contents import DeployContents, Replaced
from rightsize.render.escape import for_markdown

TAKE_OUT = "take-out.md"


def take_out_page(contents: DeployContents, how: str) -> str:
    """Return the list as Markdown; `how` says how to find them in code, and what to do there."""
    lines = [
        "# Take these assignments out of your code",
        "",
        f"The plan replaces or removes them, and no file here deletes one. {how}",
        "",
    ]
    if any(one.waits for one in contents.replaced):
        lines += [
            "Where `waits` stands, an eligible or time-bound assignment has to exist first: `rightsize rollout` makes "
            "it, and no file here does.",
            "",
        ]
    lines += ["| role | at | holder | ID | |", "| --- | --- | --- | --- | --- |"]
    lines += [_row(one, contents) for one in contents.replaced]
    return "\n".join(lines) + "\n"


def _row(one: Replaced, contents: DeployContents) -> str:
    # A list of eligible assignments has the schedule's GUID, which is no part of an id below the scope.
    path = f"{one.scope.rstrip('/')}/providers/Microsoft.Authorization/roleAssignments/{one.id}"
    notes = [*(["waits"] if one.waits else []), *([] if one.state == "active" else [one.state])]
    cells = (
        contents.called(one.role) or one.role,
        contents.place(one.scope),
        contents.called(one.principal_id) or one.principal_id,
        path if one.state == "active" else one.id,
        ", ".join(notes),
    )
    return f"| {' | '.join(map(for_markdown, cells))} |"
