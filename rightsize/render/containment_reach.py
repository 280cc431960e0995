"""Write the sections of a containment page about reads that no log shows, and about what an attacker still reaches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rightsize.model.progress import counted
from rightsize.render.escape import for_markdown

STEPS = {
    "today": "today",
    "after": "after the plan",
    "while_tokens_last": "after plan and requests, while old tokens last",
    "and_options": "after plan and requests",
}
_COUNTS = {
    "identities": "principals",
    "resources": "resources with code",
    "secrets": "stores of secrets or data",
    "cells": "layers of defence, each in a subscription",
    "takes_tenant": "takes the whole tenant",
}
_SHOWN = 10
_TOKENS = (
    "The requests block its sign-in. A token that was given before stays valid for up to about an hour and a half. "
    "Services with continuous access evaluation refuse it sooner: for a person within about 15 minutes at Exchange, "
    "SharePoint, Teams and Microsoft Graph, for an application at Microsoft Graph only. What still leads on after that "
    "needs no sign-in of it."
)
_NOT_BLOCKED = (
    "No request blocks the sign-in of a managed identity. Whoever runs code on a resource that has it gets tokens, and "
    "a cached token can live for 24 hours. Remove it from its resources"
)


def reach_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the section about what an attacker reaches before and after, and what leads on without a sign-in.

    Args:
        document: The containment as plain values.
    """
    yield from ("", "## What an attacker reaches from it", "")
    yield "| | " + " | ".join(_COUNTS.values()) + " |"
    yield "|---|" + "---|" * len(_COUNTS)
    for name, counts in document["reach"].items():
        yield f"| {STEPS[name]} | " + " | ".join(_count(counts[word]) for word in _COUNTS) + " |"
    after = document["without_sign_in"]
    if not after["blocked"]:
        where = f": {_names(after['attached'])}" if after["attached"] else ""
        yield from ("", f"{_NOT_BLOCKED}{where}.")
    else:
        yield from ("", _TOKENS, "")
        yield from _leads(after["leads_on"], suspect=document["suspect_calls"] > 0)
    if after["enabled_by"]:
        names = _names([one["name"] for one in after["enabled_by"]])
        yield from ("", f"These can change its account (enable it, reset its password or add a credential): {names}.")
    if after["enables_itself"]:
        yield from ("", "**What it may have left leads back to its own account.** Take that away first.")


def _leads(leads: Sequence[Mapping[str, Any]], *, suspect: bool) -> Iterator[str]:
    calls = "suspect calls" if suspect else "calls (none is suspect, so all of them count)"
    if not leads:
        yield f"By the rules of escalation none of its {calls} left what leads on without its sign-in; it owns nothing."
        return
    yield f"By its {calls} and by what it owns, it may have left something that leads on:"
    yield ""
    for one in leads[:_SHOWN]:
        yield f"- {for_markdown(one['name'])}: {for_markdown(one['why'])}"
    if len(leads) > _SHOWN:
        yield f"- and {len(leads) - _SHOWN} more, in `containment.json`"


def reads_lines(reads: Mapping[str, Any]) -> Iterator[str]:
    """Yield the section about reads that no log shows; nothing where the plan keeps no operation that needs any.

    Args:
        reads: `unlogged_reads` of the document.
    """
    if not reads["operations"]:
        return
    yield from ("", "## Reads that no log shows", "")
    if reads["kept"]:
        yield f"The plan keeps {reads_text(reads)}. An attacker who still has its access can read there."
    else:
        yield f"{reads_warning(reads)} `rightsize contain --keep-reads` keeps {reads_text(reads)}."


def reads_warning(reads: Mapping[str, Any]) -> str:
    """Return why the principal may fail without the reads."""
    if reads["deploys"]:
        return "It deploys, and the plan keeps no read that no log shows: its deployments may fail."
    return "The plan keeps no read that no log shows, so tools that read before they act may fail."


def reads_text(reads: Mapping[str, Any]) -> str:
    """Return the reads that are or would be kept, with their price."""
    where = f"{reads['operations']} read operations at {counted(reads['scopes'], 'scope')}"
    if reads["resources"] is not None:
        where += f", with which {counted(reads['resources'], 'listed resource')} can be read"
    if reads["sensitive"]:
        where += f"; {reads['sensitive']} of them show inputs and outputs of deployments"
    return f"{where}; none shows keys, secrets or scripts"


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(for_markdown(name) for name in names[:_SHOWN]) + more


def _count(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
