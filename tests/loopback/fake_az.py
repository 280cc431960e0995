"""Answer as `az` does, from the loopback service: `az rest`, `az account` and `az cloud`, and the Python of `az`.

It prints what az prints: errors as `ERROR: REASON(DOCUMENT)` with exit code 1 (azure-cli-core, `send_raw_request`). It
runs as a program beside other programs, or within a test, where a call takes milliseconds instead of a second.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """\
#!{python} -B
import sys
sys.path.insert(0, {root!r})
from tests.loopback.fake_az import FakeAz
sys.exit(FakeAz(**{facts!r}).main(sys.argv[1:]))
"""


@dataclass
class FakeAz:
    """An `az` that is signed in to the service at a URL.

    A file `signed-out` in its folder signs it out, for the requests that have the text of the file; a file `interrupt`
    lets its next request press Ctrl-C.
    """

    url: str
    tenant: str
    certificate: str
    client: str
    secret: str
    folder: str
    token: str = ""

    def run(self, command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        """Answer as `subprocess.run` would; the first word is `az`."""
        code, out, err = self.answer(list(command[1:]))
        return subprocess.CompletedProcess(command, code, out.encode(), err.encode())

    def main(self, words: list[str]) -> int:
        """Answer on the streams of the process."""
        code, out, err = self.answer(words)
        sys.stdout.write(out)
        sys.stderr.write(err)
        return code

    def answer(self, words: list[str]) -> tuple[int, str, str]:
        """Return exit code, output and errors."""
        with Path(self.folder, "az.log").open("a") as log:
            log.write(json.dumps(words) + "\n")
        if words == ["--version"]:
            return 0, f"azure-cli 2.91.0\n\nPython location '{sys.executable}'\nConfig directory '/nowhere'\n", ""
        out = Path(self.folder, "signed-out")
        if out.exists() and out.read_text() in " ".join(words):
            return 1, "", "ERROR: Please run 'az login' to setup account.\n"
        if words[:2] == ["account", "show"]:
            user = {"name": self.client, "type": "servicePrincipal"}
            return 0, json.dumps({"id": "0", "tenantId": self.tenant, "user": user}), ""
        if words[:2] == ["account", "get-access-token"]:
            return 0, json.dumps({"accessToken": self._token(), "tokenType": "Bearer"}), ""
        if words[:2] == ["cloud", "show"]:
            names = ("resourceManager", "microsoftGraphResourceId", "activeDirectoryResourceId")
            return 0, json.dumps({"name": "loopback", "endpoints": dict.fromkeys(names, self.url)}), ""
        if Path(self.folder, "interrupt").exists():
            Path(self.folder, "interrupt").unlink()
            os.kill(os.getppid(), signal.SIGINT)
        return self._rest(words)

    def _rest(self, words: list[str]) -> tuple[int, str, str]:
        values = {word: words[at + 1] for at, word in enumerate(words[:-1]) if word.startswith("--")}
        body = values.get("--body")
        headers = {"Authorization": f"Bearer {self._token()}", "Content-Type": "application/json"}
        headers |= dict(text.split("=", 1) for text in [values.get("--headers", "")] if text)
        request = urllib.request.Request(  # noqa: S310  of the loopback service
            values["--url"], body.encode() if body else None, headers, method=values["--method"].upper()
        )
        try:
            with urllib.request.urlopen(request, context=self._trust()) as answer:  # noqa: S310
                Path(values["--output-file"]).write_bytes(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return 1, "", f"ERROR: {error.reason}({error.read().decode()})\n"
        except (OSError, http.client.HTTPException) as error:
            return 1, "", f"ERROR: ('Connection aborted.', {error!r})\n"
        return 0, "", ""

    def _token(self) -> str:
        if not self.token:
            form = {"grant_type": "client_credentials", "client_id": self.client, "client_secret": self.secret}
            url = f"{self.url}/{self.tenant}/oauth2/v2.0/token"
            body = urllib.parse.urlencode(form).encode()
            with urllib.request.urlopen(url, body, context=self._trust()) as answer:  # noqa: S310
                self.token = json.load(answer)["access_token"]
        return self.token

    def _trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.certificate)


def fake_az(service: Any, folder: Path) -> FakeAz:
    """Return an `az` for a service; `az.log` in the folder has a line for each call."""
    from tests.loopback.login import CLIENT_ID, CLIENT_SECRET  # noqa: PLC0415  the program needs none of it

    return FakeAz(
        service.url, service.tenant.tenant_id, str(service.certificate), CLIENT_ID, CLIENT_SECRET, str(folder)
    )


def install_fake_az(az: FakeAz) -> dict[str, str]:
    """Write the program `az` into its folder; return the environment in which it is found."""
    az._token()
    program = Path(az.folder, "az")
    program.write_text(PROGRAM.format(python=sys.executable, root=str(ROOT), facts=asdict(az)), encoding="utf-8")
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{az.folder}{os.pathsep}{os.environ['PATH']}"}
