"""Define a form of role definitions: how one role and a whole plan are written in it, and how its files are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from rightsize.iac.templates import Beside
from rightsize.model.nouns import RoleDefinition
from rightsize.render.deploy.contents import DeployContents


@dataclass(frozen=True, slots=True)
class RoleFormat:
    """A form of role definitions; the table of `files` makes it known to commands, plans and gates.

    Attributes:
        name: Its name on the command line, and the name of the folder of a plan in it.
        write_role: Returns a role as the text of a file; raises InputError where the form cannot hold the role.
        write_plan: Returns the files of a plan by name; None where no plan is written in it.
        readers: What reads its files and those beside, by the end of their names; forms in JSON are told by their
            content instead.
    """

    name: str
    write_role: Callable[[RoleDefinition], str]
    write_plan: Callable[[DeployContents], dict[str, str]] | None = None
    readers: Mapping[str, Callable[[str, Beside], Iterable[RoleDefinition]]] = field(default_factory=dict)


def json_text(document: object) -> str:
    """Return a document as the text of a file, without characters beyond ASCII."""
    return json.dumps(document, ensure_ascii=True, indent=2) + "\n"
