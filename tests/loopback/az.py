"""Run the Azure CLI from its own virtual environment, signed in to the loopback service."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.loopback.login import CLIENT_ID, CLIENT_SECRET
from tests.loopback.server import Loopback

INSTALLED = Path(__file__).resolve().parents[2] / ".ci" / "az" / "bin" / "az"

Az = Callable[..., Any]


def az_environment(service: Loopback, folder: Path) -> dict[str, str]:
    """Return the variables with which `az` keeps to a folder and comes nowhere but here."""
    return {
        "AZURE_CONFIG_DIR": str(folder),
        "AZURE_CORE_INSTANCE_DISCOVERY": "false",
        "AZURE_CORE_LOGIN_EXPERIENCE_V2": "off",
        "AZURE_CORE_COLLECT_TELEMETRY": "false",
        "AZURE_CORE_ONLY_SHOW_ERRORS": "true",
        "REQUESTS_CA_BUNDLE": str(service.certificate),
        "PATH": f"{INSTALLED.parent}{os.pathsep}{os.environ['PATH']}",
    }


def sign_in_az(service: Loopback, folder: Path) -> Az:
    """Return `az` signed in; it gives what it prints as JSON. Skip the test where it is absent."""
    program = str(INSTALLED) if INSTALLED.exists() else shutil.which("az")
    if program is None:
        pytest.skip("needs `az`: python3 -m venv .ci/az && .ci/az/bin/pip install azure-cli")
    environment = {**os.environ, **az_environment(service, folder)}

    def run(*arguments: str) -> Any:
        command = [program, *arguments, "--output", "json"]
        done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    places = ["resource-manager", "active-directory", "active-directory-resource-id", "management", "gallery"]
    places += ["active-directory-graph-resource-id", "microsoft-graph-resource-id"]
    run(
        "cloud",
        "register",
        "-n",
        "loopback",
        *(part for name in places for part in (f"--endpoint-{name}", service.url)),
    )
    # Unless this succeeds, it would go on to the public cloud.
    run("cloud", "set", "-n", "loopback")
    tenant = service.tenant.tenant_id
    run("login", "--service-principal", "-u", CLIENT_ID, "-p", CLIENT_SECRET, "--tenant", tenant)
    return run
