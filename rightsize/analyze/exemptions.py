"""Read exemptions: findings that an owner accepts for a reason until a last day, after which they count again."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from rightsize.analyze.control_findings import ControlFinding, Named
from rightsize.model.entries import Form, day_of, known_fields, read_entries, text_of
from rightsize.model.errors import InputError
from rightsize.rbac.text import fold

_KEYS = frozenset({"control", "resource", "principal", "reason", "owner", "expires"})
_HINT = (
    "an entry is `[[exempt]]` with control (a name, or `*`), resource or principal (an id), reason, owner and expires "
    "(a day)"
)


@dataclass(frozen=True, slots=True, order=True)
class Exemption:
    """One entry.

    Attributes:
        control: Name of a control; `*` for all of them.
        resource: Id of what may fail, or None for whatever the control judges.
        principal: Id of the principal whose findings are meant, its assignments included; or None.
        reason: Why.
        owner: Who answers for it.
        expires: The last day on which it holds.
    """

    control: str
    resource: str
    principal: str
    reason: str
    owner: str
    expires: dt.date

    def covers(self, finding: ControlFinding, named: Named | None) -> bool:
        """Return whether it covers a finding, ended or not."""
        if self.control not in ("*", finding.control):
            return False
        if self.resource:
            return fold(finding.resource) == fold(self.resource)
        if self.principal:
            holder = finding.resource if finding.subject == "principal" else named.principal_id if named else None
            return holder is not None and fold(holder) == fold(self.principal)
        return True

    def __str__(self) -> str:
        """Return one line for people."""
        whose = self.resource or self.principal or "everything"
        return f"`{self.control}` for `{whose}` until {self.expires}: {self.reason} ({self.owner})"


def read_exemptions(content: bytes, form: Form, name: str) -> tuple[Exemption, ...]:
    """Read the entries of a file, sorted, each once; TOML has tables `[[exempt]]`, JSON and CSV the same keys.

    Raises:
        InputError: The file does not have its form, or an entry is invalid; the message names the entry.
    """
    entries = read_entries(content, form, name, key="exempt", hint=_HINT)
    return tuple(
        sorted({read_exemption(entry, f"entry {number} of `{name}`") for number, entry in enumerate(entries, 1)})
    )


def read_exemption(entry: object, where: str) -> Exemption:
    """Return the exemption of an entry, or raise InputError."""
    fields = known_fields(entry, _KEYS, where, _HINT)
    control, reason, owner = (text_of(fields, key, where, _HINT) for key in ("control", "reason", "owner"))
    chosen = {key: text_of(fields, key, where, _HINT) for key in ("resource", "principal") if key in fields}
    if len(chosen) > 1:
        raise InputError(f"{where} names a resource and a principal, and only one is allowed", hint=_HINT)
    if control == "*" and not chosen:
        raise InputError(f"{where} would exempt everything from every control", hint=_HINT)
    return Exemption(
        control,
        chosen.get("resource", ""),
        chosen.get("principal", ""),
        reason,
        owner,
        day_of(fields.get("expires"), where, _HINT),
    )
