"""Write requests to Microsoft Graph and Resource Manager as scripts for Bash and PowerShell."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any


def shell_script(steps: Sequence[Mapping[str, Any]]) -> str:
    """Return a script for Bash that sends requests with `az rest`; each has `method`, `url`, `body`.

    A request to Resource Manager has `version` too; a step with `wait_seconds` alone waits. Steps with
    `after_token_shows` run only where TOKEN_SEEN says that somebody saw these permissions in a token; before, the
    script ends with what to look for. Every value is quoted.
    """
    before, after = _halves(steps)
    lines = ["#!/usr/bin/env bash", "set -euo pipefail"]
    if before:
        asked = f"stop: {_look_for(after[0])}, then run this again with TOKEN_SEEN=yes"
        stops = [f"echo {shlex.quote(asked)} >&2", "exit 1"]
        lines += ['if [ "${TOKEN_SEEN:-}" != yes ]; then', *map(_of_az, before), *stops, "fi"]
    return "\n".join([*lines, *map(_of_az, after)]) + "\n"


def powershell_script(steps: Sequence[Mapping[str, Any]]) -> str:
    """Return the same as a script for PowerShell; requests to Resource Manager go through `Invoke-AzRestMethod`."""
    before, after = _halves(steps)
    lines = ["$ErrorActionPreference = 'Stop'"]
    if before:
        asked = _single(f"stop: {_look_for(after[0])}, then set TOKEN_SEEN to yes and run this again")
        lines += ["if ($env:TOKEN_SEEN -ne 'yes') {", *map(_of_cmdlets, before), f"throw {asked}", "}"]
    return "\n".join([*lines, *map(_of_cmdlets, after)]) + "\n"


def _halves(steps: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Return the steps to run at once and those that wait for a token; without the latter, no steps and all steps."""
    after = [step for step in steps if "after_token_shows" in step]
    return ([step for step in steps if "after_token_shows" not in step], after) if after else ([], list(steps))


def _look_for(step: Mapping[str, Any]) -> str:
    return f"get a new token as each agent and see that it has {', '.join(step['after_token_shows'])}"


def _of_az(step: Mapping[str, Any]) -> str:
    if "wait_seconds" in step:
        return f"sleep {int(step['wait_seconds'])}"
    words = ["az", "rest", "--method", step["method"].lower(), "--url", _address(step)]
    if step["body"] is not None:
        words += ["--headers", "Content-Type=application/json", "--body", json.dumps(step["body"], sort_keys=True)]
    return " ".join(shlex.quote(word) for word in words)


def _of_cmdlets(step: Mapping[str, Any]) -> str:
    if "wait_seconds" in step:
        return f"Start-Sleep -Seconds {int(step['wait_seconds'])}"
    address, body = _single(_address(step)), json.dumps(step["body"], sort_keys=True)
    if step.get("version"):
        payload = f" -Payload {_single(body)}" if step["body"] is not None else ""
        return f"Invoke-AzRestMethod -Method {step['method']} -Uri {address}{payload}"
    more = f" -ContentType 'application/json' -Body {_single(body)}" if step["body"] is not None else ""
    return f"Invoke-MgGraphRequest -Method {step['method']} -Uri {address}{more}"


def _address(step: Mapping[str, Any]) -> str:
    """Return the whole URL of a request."""
    version = step.get("version")
    return _quoted_url(step["url"]) + (f"?api-version={version}" if version else "")


def _quoted_url(url: str) -> str:
    """Return a URL whose ids are quoted, so that no character of theirs ends it or a segment early."""
    return re.sub(r"[^A-Za-z0-9/:._~-]", lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), url)


def _single(text: str) -> str:
    """Return a PowerShell string that expands nothing; curly quotes are doubled, since they are quotes there, too."""
    return "'" + re.sub("['\u2018\u2019\u201a\u201b]", lambda found: found[0] * 2, text) + "'"
