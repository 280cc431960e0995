"""`docs/permissions.md` has every permission that a source asks for, with its sources, role and licence."""

from __future__ import annotations

from pathlib import Path

from rightsize.collect.listing import Source
from rightsize.collect.sources import SOURCES
from tests.golden_files import stored

PAGE = Path(__file__).resolve().parents[2] / "docs" / "permissions.md"
HEAD = """# Permissions for collecting

After this page you can give a reader exactly what a collection needs. It is a reference, and its tables are generated
from the sources. [What is collected](sources.md) has the request of each source.

<!-- not run: needs a sign-in to Azure -->
```
$ rightsize status sources --role-out reader.json
…
```

- For Azure: assign Reader at the root management group, and the other roles below where you want what they read. Or
  create the custom role that `--role-out` writes: it has exactly the actions below
  ([how](collect.md#least-privilege-for-the-collection)).
- For Microsoft Graph: give an application the permissions below, with the consent of an administrator. A person needs a
  directory role beside the same delegated permission; the smallest one is named.
- A refusal stops nothing. `status sources` and `collect` name the missing right, and what rests on it stays undecided.
"""
PARTS = {
    "Azure Resource Manager": ("arm", "Asked at each subscription, and at management groups where they have it."),
    "Microsoft Graph": ("graph", "A missing licence is refused like a missing permission."),
    "Log Analytics": ("logs", "Only with `--workspace`. `Log Analytics Reader` at the workspace has all of them."),
    "Storage accounts": ("storage", "Only with `--container`. It is a data action."),
}


def write_permissions() -> str:
    """Return the page: one table a service, one row a permission."""
    lines = [HEAD]
    for title, (service, sentence) in PARTS.items():
        lines += [f"## {title}", "", sentence, "", "| permission | smallest role | needed for |", "| --- | --- | --- |"]
        lines += _rows([one for one in SOURCES if one.service == service])
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _rows(sources: list[Source]) -> list[str]:
    asked: dict[str, list[Source]] = {}
    for source in sources:
        for permission in (source.right.permission, *source.right.also):
            asked.setdefault(permission, []).append(source)
    return [_row(permission, asked[permission]) for permission in sorted(asked, key=str.casefold)]


def _row(permission: str, sources: list[Source]) -> str:
    # How many rows an hour has is asked of each table; it is the table's own line that counts.
    titles = dict.fromkeys(one.title for one in sources if not one.name.endswith("_counts"))
    shown = "all of its tables" if sources[0].service == "logs" and len(titles) > 6 else "; ".join(titles)
    licences = sorted({one.right.licence for one in sources} - {""})
    licence = f" (licence: {', '.join(licences)})" if licences else ""
    roles = sorted({one.right.role for one in sources})
    return f"| `{permission}` | {', '.join(roles)} | {shown}{licence} |"


def test_the_page_is_up_to_date() -> None:
    page = write_permissions()
    assert stored(PAGE, page) == page


def test_every_permission_stands_on_the_page() -> None:
    """Also those that a source needs beside its own."""
    page = PAGE.read_text(encoding="utf-8")
    asked = {name for one in SOURCES for name in (one.right.permission, *one.right.also)}
    assert len(asked) > 80
    assert {name for name in asked if f"| `{name}` |" not in page} == set()
