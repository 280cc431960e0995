"""Run `az`, and tell its errors apart: what is refused, what may succeed later, and a lost sign-in.

A part of the program that scripts run, see `fetch.py`.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

TRIES, FEW_TRIES = 8, 4
LONGEST_WAIT = 60.0
# What az prints of an HTTP error: its reason, and the document in parentheses.
HTTP_ERROR = re.compile(r"ERROR: ([A-Z][A-Za-z -]*)\((.*)\)\s*\Z", re.DOTALL)
REFUSALS = frozenset({"Bad Request", "Forbidden", "Not Found", "Method Not Allowed", "Conflict", "Gone"})
THROTTLED = frozenset({"Too Many Requests", "Service Unavailable"})
SIGNED_OUT = re.compile(r"az login|AADSTS\d|Interactive authentication is needed")
# Texts that look like tokens or keys never reach the manifest.
SECRETS = re.compile(r"eyJ[\w-]{8,}(\.[\w-]*)*|(?i:bearer )\S+|(?i:(sig|code|password|client_secret)=)[^&\s]+")


class RefusedError(Exception):
    """The service refuses the request, and will again."""


class FailedError(Exception):
    """The request failed; a later run may succeed."""

    def __init__(self, message: str, *, is_throttled: bool = False) -> None:
        super().__init__(message)
        self.is_throttled = is_throttled


class SignedOutError(Exception):
    """az has no sign-in for a service; the run sends no more requests to that service."""


class StoppedError(Exception):
    """The run ends."""


def shown(text: str) -> str:
    """Return a text for a terminal and the manifest: one line without secrets, at most 400 characters."""
    plain = "".join(letter if letter.isprintable() else " " for letter in SECRETS.sub("***", text))
    return " ".join(plain.split())[:400]


class Az:
    """Runs `az`; a throttled service is left alone for a while by every thread."""

    def __init__(self, work: Path) -> None:
        # Windows would read a URL again if it went through az.cmd.
        itself = [sys.executable, "-IBm", "azure.cli"]
        self.command = itself if os.name == "nt" and find_spec("azure") else ["az"]
        self.work = work
        self.hosts: dict[str, str] = {}
        self.stopping = threading.Event()
        self.signed_out: dict[str, str] = {}
        self._free_at: dict[str, float] = {}

    def sign_in(self) -> dict[str, Any]:
        """Return the account that az uses: `tenant_id`, and the reader's `id` and `name`.

        The object id of a service principal or managed identity stands only in its token, which goes no further.
        """
        account = json.loads(self._run("account", "show"))
        clouds = json.loads(self._run("cloud", "show"))["endpoints"]
        self.hosts = {"arm": clouds["resourceManager"], "graph": clouds["microsoftGraphResourceId"]}
        answer = json.loads(self._run("account", "get-access-token", "--resource", clouds["activeDirectoryResourceId"]))
        claims = answer["accessToken"].split(".")[1]
        reader = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))).get("oid")
        if not reader:
            raise SignedOutError("the sign-in of az names no object id, so nobody can vouch for what it reads")
        return {"tenant_id": account["tenantId"], "reader": {"id": reader, "name": account["user"]["name"]}}

    def address(self, service: str, url: str) -> str:
        """Return the whole URL of a path at a service."""
        return url if "://" in url else f"{self.hosts[service].rstrip('/')}{url}"

    def rest(self, service: str, method: str, url: str, body: str, headers: Sequence[str] = ()) -> bytes:
        """Return the answer to one request.

        Raises:
            RefusedError, FailedError, SignedOutError, StoppedError: There is none.
        """
        words = ["rest", "--method", method.lower(), "--url", self.address(service, url)]
        words += ["--body", body] if body else []
        words += ["--headers", *headers] if headers else []
        attempt = 0
        while True:
            self._wait(self._free_at.get(service, 0.0))
            if service in self.signed_out:
                raise SignedOutError(self.signed_out[service])
            try:
                return self._answer(words)
            except SignedOutError as error:
                self.signed_out[service] = str(error)
                raise
            except FailedError as error:
                attempt += 1
                if attempt == (TRIES if error.is_throttled else FEW_TRIES):
                    raise
                free_at = time.monotonic() + min(LONGEST_WAIT, 2.0 ** (attempt - 1))
                if error.is_throttled:
                    self._free_at[service] = free_at
                self._wait(free_at)

    def _answer(self, words: Sequence[str]) -> bytes:
        number, name = tempfile.mkstemp(dir=self.work)
        os.close(number)
        file = Path(name)
        try:
            self._run(*words, "--output-file", name)
            content = file.read_bytes().strip().removeprefix(b"\xef\xbb\xbf")
            if not isinstance(json.loads(content), dict):
                raise FailedError("the answer is not a JSON object")
            return content
        except ValueError:
            raise FailedError("the answer is cut, or is not JSON") from None
        finally:
            file.unlink()

    def _wait(self, moment: float) -> None:
        if self.stopping.wait(max(moment - time.monotonic(), 0.0)):
            raise StoppedError

    def _run(self, *words: str) -> str:
        command = [*self.command, *words, "--only-show-errors", "--output", "json"]
        environment = {**os.environ, "AZURE_CORE_NO_COLOR": "true"}
        done = subprocess.run(  # noqa: S603  the words are ours
            command, check=False, env=environment, stdin=subprocess.DEVNULL, capture_output=True
        )
        if done.returncode == 0:
            return done.stdout.decode("utf-8", "replace")
        if self.stopping.is_set():
            raise StoppedError
        raise _error_of(done.stderr.decode("utf-8", "replace"))


def _error_of(text: str) -> Exception:
    found = HTTP_ERROR.search(text)
    if found is None:
        message = shown(text.partition("ERROR: ")[2] or text) or "az failed without a message"
        if SIGNED_OUT.search(text):
            return SignedOutError(message)
        if "not found. Check the spelling" in text:
            return RefusedError(f"{message} (az account list --refresh may help)")
        return FailedError(message)
    reason, said = found.groups()
    try:
        error = json.loads(said)["error"]
        said = f"{error.get('code')}: {error.get('message')}"
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    message = shown(f"{reason}: {said}")
    return RefusedError(message) if reason in REFUSALS else FailedError(message, is_throttled=reason in THROTTLED)
