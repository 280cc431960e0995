"""Write requests to Microsoft Graph and Resource Manager as scripts for Bash and PowerShell."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from rightsize.rules.vaults import PLURALS


def shell_script(steps: Sequence[Mapping[str, Any]]) -> str:
    """Return a script for Bash that sends requests with `az rest`; each has `method`, `url`, `body`.

    A request to Resource Manager has `version` too; a step with `wait_seconds` alone waits, and one with `policies`
    ends the script where the key vault has other access policies. Steps with `after_token_shows` run only where
    TOKEN_SEEN says that somebody saw these permissions in a token; before, the script ends with what to look for. Every
    value is quoted.
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
        lines += ["if ($env:TOKEN_SEEN -ne 'yes') {", *map(_sent, before), f"throw {asked}", "}"]
    return "\n".join([*lines, *map(_sent, after)]) + "\n"


def _sent(step: Mapping[str, Any]) -> str:
    """Return a step of PowerShell that ends the script where Azure refuses it."""
    return _checked(step) if step.get("version") and "policies" not in step else _of_cmdlets(step)


Part = tuple[str, Sequence[Mapping[str, Any]]]
"""A title without a line end, and steps that belong together: the first that fails ends its part, and no other part."""


def shell_script_of_parts(parts: Sequence[Part]) -> str:
    """Return a script for Bash that sends each part and goes on after one that failed.

    A step with `save_as` keeps the answer in that file, for the owner alone; one with `body_from` sends the content of
    a file. No other answer is shown, since new keys are among them.
    """
    lines = ["#!/usr/bin/env bash", "set -uo pipefail", "umask 077"]
    for title, steps in parts:
        chain = " \\\n  && ".join(f"{_of_az(step)}{'' if 'save_as' in step else ' --output none'}" for step in steps)
        lines += ["", f"# {title}", f"{chain} \\\n  || echo {shlex.quote(f'failed: {title}')} >&2"]
    return "\n".join(lines) + "\n"


def powershell_script_of_parts(parts: Sequence[Part]) -> str:
    """Return the same as a script for PowerShell."""
    lines = ["$ErrorActionPreference = 'Stop'"]
    for title, steps in parts:
        failed = f"}} catch {{ Write-Warning ({_single(f'failed: {title}: ')} + $_) }}"
        lines += ["", f"# {title}", "try {", *(f"  {_checked(step)}" for step in steps), failed]
    return "\n".join(lines) + "\n"


def _checked(step: Mapping[str, Any]) -> str:
    """Return a step of PowerShell that fails where Azure refuses it, and keeps the answer where it is asked to."""
    saved = _single(step["save_as"]) if "save_as" in step else ""
    if not step.get("version"):
        return _of_cmdlets(step) + (
            f" -OutputType Json | Set-Content -Encoding utf8 {saved}" if saved else " | Out-Null"
        )
    kept = f"; $answer.Content | Set-Content -Encoding utf8 {saved}" if saved else ""
    return f"$answer = {_of_cmdlets(step)}; if ($answer.StatusCode -ge 400) {{ throw $answer.Content }}{kept}"


def _halves(steps: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Return the steps to run at once and those that wait for a token; without the latter, no steps and all steps."""
    after = [step for step in steps if "after_token_shows" in step]
    return ([step for step in steps if "after_token_shows" not in step], after) if after else ([], list(steps))


def _look_for(step: Mapping[str, Any]) -> str:
    return f"get a new token as each agent and see that it has {', '.join(step['after_token_shows'])}"


_QUERY = (
    "[[[properties.tenantId || '']], properties.accessPolicies[].[tenantId || '', objectId, applicationId || '', "
    + ", ".join(f"join(' ', permissions.{name} || `[]`)" for name in PLURALS.values())
    + "]][]"
)
_LINES = (
    'NR == 1 { own = $1; next } $2 != "" && ($1 == own || own == "" || $1 == "") { split("'
    + " ".join(PLURALS)
    + '", kind, " "); for (k = 1; k <= 4; k++) { n = split($(k + 3), word, " "); '
    'for (i = 1; i <= n; i++) print $2 " " $3 " " kind[k] " " word[i] } }'
)
"""What `az` prints of the policies of a vault, and the program of awk that makes a line of each permission of it.

Policies of another tenant than the vault's allow nothing, and are left out.
"""
_CHANGED = "stop: the access policies of the vault are not those of the plan: make the plan again"


def _compared_by_bash(step: Mapping[str, Any]) -> str:
    words = ["az", "rest", "--method", "get", "--url", _address(step), "--query", _QUERY, "--output", "tsv"]
    read = f"{shlex.join(words)} | tr '[:upper:]' '[:lower:]' | awk -F '\t' {shlex.quote(_LINES)} | LC_ALL=C sort -u"
    known = shlex.quote("\n".join(sorted(step["policies"])))
    return f'held=$({read})\n[ "$held" = {known} ] || {{ echo {shlex.quote(_CHANGED)} >&2; exit 1; }}'


def _compared_by_powershell(step: Mapping[str, Any]) -> str:
    known = ", ".join(map(_single, sorted(step["policies"])))
    kinds = "; ".join(
        f'foreach ($word in $one.permissions.{name}) {{ "$who {kind} $word".ToLowerInvariant() }}'
        for kind, name in PLURALS.items()
    )
    read = f"$vault = ((Invoke-AzRestMethod -Method GET -Uri {_single(_address(step))}).Content | ConvertFrom-Json)"
    return "\n".join([
        f"{read}.properties",
        "$held = @(foreach ($one in $vault.accessPolicies) {",
        "  if (!$vault.tenantId -or !$one.tenantId -or $one.tenantId -eq $vault.tenantId) {",
        '    $who = "$($one.objectId) $($one.applicationId)"',
        f"    {kinds}",
        "  }",
        "} ) | Sort-Object -Unique",
        f"if (!$held -or (Compare-Object @({known}) @($held))) {{ throw {_single(_CHANGED)} }}",
    ])  # fmt: skip


def _of_az(step: Mapping[str, Any]) -> str:
    if "policies" in step:
        return _compared_by_bash(step)
    if "wait_seconds" in step:
        return f"sleep {int(step['wait_seconds'])}"
    words = ["az", "rest", "--method", step["method"].lower(), "--url", _address(step)]
    if step["body"] is not None or "body_from" in step:
        body = f"@{step['body_from']}" if "body_from" in step else json.dumps(step["body"], sort_keys=True)
        words += ["--headers", "Content-Type=application/json", "--body", body]
    kept = f" > {shlex.quote(step['save_as'])}" if "save_as" in step else ""
    return " ".join(shlex.quote(word) for word in words) + kept


def _of_cmdlets(step: Mapping[str, Any]) -> str:
    if "policies" in step:
        return _compared_by_powershell(step)
    if "wait_seconds" in step:
        return f"Start-Sleep -Seconds {int(step['wait_seconds'])}"
    address, body = _single(_address(step)), None
    if "body_from" in step:
        body = f"(Get-Content -Raw {_single(step['body_from'])})"
    elif step["body"] is not None:
        body = _single(json.dumps(step["body"], sort_keys=True))
    if step.get("version"):
        payload = f" -Payload {body}" if body is not None else ""
        return f"Invoke-AzRestMethod -Method {step['method']} -Uri {address}{payload}"
    more = f" -ContentType 'application/json' -Body {body}" if body is not None else ""
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
