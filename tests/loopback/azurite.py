"""Run Azurite, the emulator of storage accounts, as a process beside the loopback service."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

PACKAGES = Path(__file__).resolve().parents[2] / ".ci" / "node" / "node_modules"
ACCOUNT = "exportedlogs"


@dataclass(frozen=True, slots=True)
class Azurite:
    """A running emulator with one account.

    Attributes:
        url: Its address, whose paths are accounts.
        key: The account's key, of this run only; with it a test fills containers, and nothing else has it.
    """

    url: str
    key: str

    def container(self, name: str) -> ContainerClient:
        """Return a container to be filled, made where there is none."""
        credential = {"account_name": ACCOUNT, "account_key": self.key}
        client = ContainerClient(f"{self.url}/{ACCOUNT}", name, credential, retry_total=0)
        if not client.exists():
            client.create_container()
        return client


@contextmanager
def run_azurite(certificate: Path, key_file: Path) -> Iterator[Azurite]:
    """Start the emulator, which takes any token of the loopback service; skip the test where it is absent."""
    node, main = shutil.which("node"), PACKAGES / "azurite" / "dist" / "src" / "blob" / "main.js"
    if node is None or not main.is_file():
        pytest.skip("needs node, and `npm install --prefix .ci/node azurite`")
    key = base64.b64encode(os.urandom(32)).decode()
    options = ["--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--disableTelemetry", "--oauth", "basic"]
    address = ["--blobHost", "127.0.0.1", "--blobPort", "0", "--cert", str(certificate), "--key", str(key_file)]
    environment = {**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"}
    with subprocess.Popen(
        [node, str(main), *options, *address], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            said = []
            # The lines end where the process does.
            for line in process.stdout:
                said.append(line.decode(errors="replace"))
                if found := re.search(r"listens on (https://\S+)", said[-1]):
                    yield Azurite(found[1], key)
                    break
            else:
                pytest.fail(f"Azurite did not start: {''.join(said)}")
        finally:
            process.kill()
