"""Write a page of the names of all new roles in plan folders, for people to look at: `python -m …role_names DIR…`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rightsize.propose.verify.review import ReviewablePlan
from rightsize.rbac.text import fold
from rightsize.render.rows import write_markdown
from rightsize.workflow.plan_folder import read_plan_folder

_COLUMNS = ("name", "actions", "used", "most used")


def names_table(read: ReviewablePlan) -> str:
    """Return the new roles of a plan as a Markdown table, by name."""
    rows = []
    for id_, role in read.roles.items():
        summary = read.evidence[fold(id_)].get("summary") or {}
        used = summary.get("most_used") or ()
        actions = [text for block in role.permissions for text in (*block.actions, *block.data_actions)]
        rows.append(
            {
                "name": role.role_name,
                "actions": len(actions),
                "used": summary.get("used", 0),
                "most used": used[0]["action"] if used else f"none; holds {actions[0]}",
            }
        )
    rows.sort(key=lambda row: (fold(str(row["name"])), str(row["name"])))
    return write_markdown(rows, _COLUMNS)


def names_page(folders: Sequence[Path]) -> Iterator[str]:
    """Yield a section for each plan folder: its name and the table of its new roles."""
    for folder in folders:
        read = read_plan_folder(folder)
        yield f"### {folder.name}: {len(read.roles):,} new roles\n\n{names_table(read)}"


if __name__ == "__main__":
    sys.stdout.write("\n".join(names_page([Path(name) for name in sys.argv[1:]])))
