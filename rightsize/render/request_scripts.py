"""Write requests to Microsoft Graph and Resource Manager as scripts for Bash and PowerShell."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any


def shell_script(steps: Sequence[Mapping[str, Any]]) -> str:
    """Return a script for Bash that sends requests with `az rest`; each has `method`, `url`, `body`.

    A request to Resource Manager has `version` too; a step with `wait_seconds` alone waits. Every value is quoted.
    """
    lines = ["#!/usr/bin/env bash", "set -euo pipefail"]
    for step in steps:
        if "wait_seconds" in step:
            lines.append(f"sleep {int(step['wait_seconds'])}")
            continue
        words = ["az", "rest", "--method", step["method"].lower(), "--url", _address(step)]
        if step["body"] is not None:
            words += ["--headers", "Content-Type=application/json", "--body", json.dumps(step["body"], sort_keys=True)]
        lines.append(" ".join(shlex.quote(word) for word in words))
    return "\n".join(lines) + "\n"


def powershell_script(steps: Sequence[Mapping[str, Any]]) -> str:
    """Return the same as a script for PowerShell; requests to Resource Manager go through `Invoke-AzRestMethod`."""
    lines = ["$ErrorActionPreference = 'Stop'"]
    for step in steps:
        if "wait_seconds" in step:
            lines.append(f"Start-Sleep -Seconds {int(step['wait_seconds'])}")
            continue
        address, body = _single(_address(step)), json.dumps(step["body"], sort_keys=True)
        if step.get("version"):
            line = f"Invoke-AzRestMethod -Method {step['method']} -Uri {address}"
            line += f" -Payload {_single(body)}" if step["body"] is not None else ""
        else:
            line = f"Invoke-MgGraphRequest -Method {step['method']} -Uri {address}"
            line += f" -ContentType 'application/json' -Body {_single(body)}" if step["body"] is not None else ""
        lines.append(line)
    return "\n".join(lines) + "\n"


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
