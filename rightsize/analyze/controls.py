"""Define the results of controls on resources, and read the exemptions that owners accept for a time.

After the last day of an exemption its findings count again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from rightsize.model.decisions import Form, day_of, known_fields, read_entries, text_of
from rightsize.model.errors import InputError
from rightsize.model.text import fold

Severity = Literal["low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""From the least to the worst."""

ControlStatus = Literal["pass", "fail", "unknown"]
Subject = Literal["role_assignment", "principal", "role_definition", "role_management_policy", "scope", "tenant"]
SUBJECTS: tuple[Subject, ...] = get_args(Subject)


@dataclass(frozen=True, slots=True)
class Tag:
    """A requirement of a framework that a control checks; `source` names the framework with its version."""

    framework: str
    id: str
    title: str
    source: str


@dataclass(frozen=True, slots=True)
class ControlFinding:
    """One resource and one control.

    Attributes:
        control: Name of the control.
        severity: How bad a failure is.
        subject: What kind of thing `resource` is.
        resource: Its id, or its scope; `/` for the tenant.
        status: `fail` or `unknown`.
        reason: One sentence for people; names in it are not to be trusted.
        exempt_until: The last day of the exemption that covers it, as text, or None.
        exempt_because: Reason and owner of that exemption.
        known: Whether the baseline has it.
    """

    control: str
    severity: Severity
    subject: Subject
    resource: str
    status: ControlStatus
    reason: str
    exempt_until: str | None = None
    exempt_because: str | None = None
    known: bool = False

    @property
    def fingerprint(self) -> str:
        """Return a stable name: the same for this control and resource in every run, whatever the reason."""
        return fingerprint(self.control, self.resource)

    @property
    def counts(self) -> bool:
        """Return whether a gate counts it: it fails, no exemption covers it, and the baseline does not have it."""
        return self.status == "fail" and self.exempt_until is None and not self.known


def fingerprint(control: str, resource: str) -> str:
    """Return the name of a finding, 32 hexadecimal digits."""
    return hashlib.sha256(f"1\n{control}\n{fold(resource)}".encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Named:
    """The holder, role and scope of a resource that a finding names. Names are not to be trusted."""

    principal_id: str | None = None
    principal_name: str | None = None
    principal_type: str | None = None
    role_definition_id: str | None = None
    role_name: str | None = None
    scope: str | None = None
    unused: int | None = None


@dataclass(frozen=True, slots=True)
class ControlOutcome:
    """The result of one control: how many resources pass, and each that fails or is unknown."""

    name: str
    title: str
    description: str
    severity: Severity
    subject: Subject
    tags: tuple[Tag, ...]
    passed: int
    findings: tuple[ControlFinding, ...]

    @property
    def counting(self) -> tuple[ControlFinding, ...]:
        """Return the findings that a gate counts."""
        return tuple(finding for finding in self.findings if finding.counts)

    @property
    def unknown(self) -> int:
        """Return the number of resources for which nothing loaded shows whether they fail."""
        return sum(finding.status == "unknown" for finding in self.findings)

    @property
    def status(self) -> ControlStatus:
        """Return `fail` where a finding counts, `unknown` where none counts and something is not known, else `pass`."""
        if self.counting:
            return "fail"
        return "unknown" if self.unknown else "pass"


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The results of all controls for a store.

    Attributes:
        as_of: The day of the check, as ISO text; exemptions end by it.
        outcomes: One for each control, the worst first.
        named: The holder, role and scope of the resources that findings name.
    """

    as_of: str
    outcomes: tuple[ControlOutcome, ...]
    named: Mapping[str, Named]

    @property
    def findings(self) -> tuple[ControlFinding, ...]:
        """Return all findings, in the order of their controls."""
        return tuple(finding for outcome in self.outcomes for finding in outcome.findings)

    @property
    def counting(self) -> tuple[ControlFinding, ...]:
        """Return the findings that a gate counts."""
        return tuple(finding for finding in self.findings if finding.counts)


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
