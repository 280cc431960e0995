"""Check reports made by hand: hostile names, exemptions, and unknown results."""

from __future__ import annotations

from dataclasses import replace

from rightsize.analyze.controls import CheckReport, ControlFinding, ControlOutcome, Named, Tag

HOSTILE = (
    "=cmd|'/C calc'!A0\r\n::error title=x::pwned %0A \x1b[2J <script>alert(1)</script> ]]> & \u202e|`${x}` \x00 \ufffe"
)
TAGS = (Tag("NIST", "AC-6(5)", "Least Privilege | Privileged Accounts", "NIST SP 800-53 Rev. 5"),)


def finding(resource: str = "a1", **more: object) -> ControlFinding:
    known = ControlFinding("standing-owner", "high", "role_assignment", resource, "fail", "Ann has Owner")
    return replace(known, **more)


def outcome(*findings: ControlFinding, name: str = "standing-owner", **more: object) -> ControlOutcome:
    known = ControlOutcome(name, "Nobody is owner", "Owner for good.", "high", "role_assignment", TAGS, 3, findings)
    return replace(known, **more)


def report(*outcomes: ControlOutcome) -> CheckReport:
    named = Named("p1", "Ann", "User", "r1", "Owner", "/subscriptions/s", 7)
    ids = {found.resource for one in outcomes for found in one.findings}
    return CheckReport("2026-10-01", outcomes, {id_: named for id_ in ids if id_ != "/"})


def mixed() -> CheckReport:
    """One of each: failing, excused, known, unknown, passing, and hostile."""
    return report(
        outcome(
            finding("a1"),
            finding("a2", exempt_until="2026-12-31", exempt_because="break glass (Mei)"),
            finding("a3", known=True),
            finding("a4", status="unknown", reason="no catalogue is loaded"),
            finding(f"/subscriptions/{HOSTILE}", reason=HOSTILE),
        ),
        outcome(name="root-assignments", severity="critical"),
        outcome(
            finding("/", control="activation-mfa", status="unknown", subject="tenant", reason="no policies are loaded"),
            name="activation-mfa",
            severity="low",
        ),
    )
