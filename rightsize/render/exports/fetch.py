"""Fetch a tenant's exports with `az rest`, page by page, and write the manifest that says what is whole.

`rightsize exports` puts this text into a script, with the list of requests behind it. It runs on the Python of `az`,
which may be older than that of rightsize, and needs nothing else. Each file appears whole, under its own name; the
journal `.journal.jsonl` names it afterwards, so an interrupted run continues where it stopped.
"""

from __future__ import annotations

import argparse
import base64
import datetime as dt
import hashlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

UTC = dt.timezone.utc  # noqa: UP017  the Python of az may be older than 3.11
AT_ONCE = 4
TRIES, FEW_TRIES = 8, 4
LONGEST_WAIT = 60.0
SECONDS_BETWEEN_MANIFESTS = 20.0
OK, USAGE, NOT_SIGNED_IN, OTHER_FOLDER, INCOMPLETE, INTERRUPTED = 0, 2, 4, 5, 7, 130
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
GROUP_SCOPE = re.compile(r"/providers/microsoft\.management/managementgroups/[\w().-]{1,90}", re.ASCII | re.IGNORECASE)
RESOURCE = re.compile(r"/subscriptions/[0-9a-f-]{36}/resourcegroups/[^/?#]+/providers/[^?#]+", re.IGNORECASE)
GRANTS = ("role_assignments", "role_eligibility_instances", "role_assignment_instances")
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
    """Nobody is signed in to az."""


class StoppedError(Exception):
    """The run ends."""


@dataclass(frozen=True)
class Unit:
    """One file: the answers to one request and its further pages."""

    path: str
    source: str
    kind: str
    service: str
    form: str
    url: str
    method: str
    body: str
    headers: tuple[str, ...]
    instead: str
    subscriptions: list[str] | str

    def query(self, url: str) -> str:
        """Return the question as `load` reads it: a query of Resource Graph, or the command with this URL."""
        if self.form == "query":
            return str(json.loads(self.body)["query"])
        words = ["az", "rest", "--method", self.method.lower(), "--url", url]
        words += ["--body", self.body] if self.body else []
        return " ".join(shlex.quote(word) for word in [*words, *(("--headers", *self.headers) if self.headers else ())])


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
        return {"tenant_id": account["tenantId"], "reader": {"id": reader, "name": account["user"]["name"]}}

    def address(self, service: str, url: str) -> str:
        """Return the whole URL of a path at a service."""
        return url if "://" in url else f"{self.hosts[service].rstrip('/')}{url}"

    def rest(self, unit: Unit, method: str, url: str, body: str) -> bytes:
        """Return the answer to one request.

        Raises:
            RefusedError, FailedError, SignedOutError, StoppedError: There is none.
        """
        words = ["rest", "--method", method.lower(), "--url", self.address(unit.service, url)]
        words += ["--body", body] if body else []
        words += ["--headers", *unit.headers] if unit.headers else []
        attempt = 0
        while True:
            self._wait(self._free_at.get(unit.service, 0.0))
            try:
                return self._answer(words)
            except FailedError as error:
                attempt += 1
                if attempt == (TRIES if error.is_throttled else FEW_TRIES):
                    raise
                free_at = time.monotonic() + min(LONGEST_WAIT, 2.0 ** (attempt - 1))
                if error.is_throttled:
                    self._free_at[unit.service] = free_at
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
        if SIGNED_OUT.search(text):
            return SignedOutError(shown(text))
        message = shown(text.partition("ERROR: ")[2] or text) or "az failed without a message"
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


class Folder:
    """The folder of the exports: its files, its journal of whole units, and its manifest."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.entries: dict[str, dict[str, Any]] = {}
        self.head: dict[str, Any] = {}
        self._written = 0.0

    def open(self, head: dict[str, Any]) -> str:
        """Read the journal, or begin one; return why this folder cannot be continued, if it cannot."""
        journal = self.place / ".journal.jsonl"
        content = journal.read_bytes() if journal.exists() else b""
        # A killed run may leave half a line.
        lines = content.split(b"\n")[:-1]
        if not content.endswith(b"\n"):
            journal.write_bytes(b"".join(line + b"\n" for line in lines))
        if not lines:
            self.head = head
            self._note(head)
            return ""
        self.head = json.loads(lines[0])
        for line in lines[1:]:
            entry = json.loads(line)
            self.entries[entry["path"]] = entry
        same = all(self.head[name] == head[name] for name in ("tenant_id", "asked")) and (
            self.head["reader"]["id"] == head["reader"]["id"]
        )
        return "" if same else f"{shown(str(self.place))} was begun by another reader, or by another script"

    def has(self, unit: Unit) -> bool:
        """Return whether a unit was fetched to its end, and its file is still there."""
        entry, path = self.entries.get(unit.path), self.place / unit.path
        return bool(entry and entry["complete"] and path.is_file() and path.stat().st_size == entry["size"])

    def keep(self, unit: Unit, part: Path, url: str, rows: int, error: str | None) -> None:
        """Put the answers of a unit in their place; without any, leave no file."""
        path = self.place / unit.path
        size = part.stat().st_size
        if size:
            part.replace(path)
        else:
            part.unlink()
            path.unlink(missing_ok=True)
        entry = {
            "path": unit.path,
            "kind": unit.kind,
            "query": unit.query(url),
            "subscriptions": unit.subscriptions,
            "complete": error is None,
            "rows": rows,
            "error": error,
            "size": size,
        }
        self.entries[unit.path] = entry
        self._note(entry)

    def _note(self, entry: dict[str, Any]) -> None:
        with (self.place / ".journal.jsonl").open("ab") as journal:
            journal.write(json.dumps(entry).encode() + b"\n")

    def write_manifest(self, finished: dt.datetime | None, *, soon: bool = False) -> None:
        """Write the manifest anew; `soon` leaves it if it was written a moment ago."""
        if soon and time.monotonic() - self._written < SECONDS_BETWEEN_MANIFESTS:
            return
        self._written = time.monotonic()
        manifest = {
            "format": "rightsize-exports/1",
            "tenant_id": self.head["tenant_id"],
            "reader": self.head["reader"],
            "started": self.head["started"],
            "finished": None if finished is None else instant(finished),
            "files": [self.entries[path] for path in sorted(self.entries)],
        }
        part = self.place / ".manifest.part"
        part.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        part.replace(self.place / "manifest.json")

    def records(self, source: str) -> Iterator[dict[str, Any]]:
        """Yield the records that were fetched of a source, in the order of its files."""
        for path in sorted(self.entries):
            file = self.place / path
            if self.entries[path]["rows"] and path.startswith(f"{source}/") and file.is_file():
                for line in file.read_bytes().split(b"\n"):
                    document = json.loads(line) if line else {}
                    yield from (one for one in document.get("value") or () if isinstance(one, dict))


def instant(moment: dt.datetime) -> str:
    """Return a time as Azure's filters have it, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def folded(value: object) -> str:
    """Return a text in small letters; empty for anything else."""
    return value.lower() if isinstance(value, str) else ""


class Plan:
    """Makes the units of all requests from what is known so far."""

    def __init__(self, asked: dict[str, Any], folder: Folder, until: dt.datetime) -> None:
        self.asked = asked
        self.folder = folder
        self.until = until

    def units(self) -> Iterator[Unit]:
        """Yield every unit that is known to be needed, each path once."""
        seen = set()
        for request in self.asked["requests"]:
            for words, subscriptions in self._things(request):
                for first, last in self._slices(request):
                    unit = self._unit(request, {**words, "first": instant(first), "last": instant(last)}, subscriptions)
                    if unit.path not in seen:
                        seen.add(unit.path)
                        yield unit

    def _unit(self, request: dict[str, Any], words: dict[str, str], subscriptions: list[str] | str) -> Unit:
        def filled(name: str) -> str:
            text = str(request.get(name, ""))
            for word, value in words.items():
                text = text.replace(f"{{{word}}}", value)
            return text

        name = filled("name")
        if request.get("slice_days"):
            name += f"-{words['first'][:10]}"
        return Unit(
            f"{request['source']}/{name}.jsonl",
            request["source"],
            request["kind"],
            request["service"],
            request["form"],
            filled("url"),
            request.get("method", "GET"),
            filled("body"),
            tuple(request.get("headers", ())),
            filled("instead"),
            subscriptions,
        )

    def _things(self, request: dict[str, Any]) -> Iterator[tuple[dict[str, str], list[str] | str]]:
        each = request["each"]
        if each == "tenant":
            yield {}, "tenant"
        elif each == "subscription":
            yield from (({"subscription": one}, [one]) for one in self._subscriptions())
        elif each == "management_group":
            for scope in self._management_groups():
                yield {"scope": quote(scope, safe="/"), "id": _named(scope)}, "tenant"
        elif each == "group":
            yield from (({"id": one}, "tenant") for one in sorted(self._groups()))
        else:
            yield from self._records(request)

    def _subscriptions(self) -> list[str]:
        found = {folded(one.get("subscriptionId")) for one in self.folder.records("subscriptions")}
        return sorted(self.asked["subscriptions"] or filter(GUID.fullmatch, found))

    def _management_groups(self) -> list[str]:
        found = {folded(one.get("id")): str(one.get("id")) for one in self.folder.records("management_groups")}
        return [found[key] for key in sorted(found) if GROUP_SCOPE.fullmatch(key)]

    def _groups(self) -> set[str]:
        """Return the groups that hold access or may hold directory roles, and those within them that were found."""
        held = (one.get("properties") for source in GRANTS for one in self.folder.records(source))
        found = {
            folded(one.get("principalId"))
            for one in held
            if isinstance(one, dict) and folded(one.get("principalType")) == "group"
        }
        found |= {folded(one.get("id")) for one in self.folder.records("groups") if one.get("isAssignableToRole")}
        members = self.folder.records("group_members")
        found |= {folded(one.get("id")) for one in members if one.get("@odata.type") == "#microsoft.graph.group"}
        return set(filter(GUID.fullmatch, found))

    def _records(self, request: dict[str, Any]) -> Iterator[tuple[dict[str, str], list[str] | str]]:
        kind, key = request.get("type"), request.get("having")
        for record in self.folder.records(request["parent"]):
            identifier = str(record.get("id"))
            if (kind and folded(record.get("type")) != kind) or (key and not record.get(key)):
                continue
            if GUID.fullmatch(identifier.lower()):
                yield {"id": identifier.lower()}, "tenant"
            elif RESOURCE.fullmatch(identifier) and ".." not in identifier:
                words = {"resource": quote(identifier, safe="/()"), "id": _named(identifier)}
                yield words, [identifier.split("/")[2].lower()]

    def _slices(self, request: dict[str, Any]) -> Iterator[tuple[dt.datetime, dt.datetime]]:
        """Yield the slices of the window; the whole window if the request has none."""
        day = self.until.replace(hour=0, minute=0, second=0, microsecond=0)
        reach = request.get("reach_days") or self.asked["days"]
        first = day - dt.timedelta(days=min(self.asked["days"], reach))
        step = dt.timedelta(days=request.get("slice_days") or self.asked["days"] + 1)
        while first < self.until:
            last = min(first + step, self.until)
            yield first, last
            first = last


def _named(text: str) -> str:
    """Return a name for a file that only this text has, whatever is in it."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.rsplit("/", 1)[-1].lower()).strip("-")[:40]
    return f"{plain}-{hashlib.sha256(text.lower().encode()).hexdigest()[:12]}"


class Fetch:
    """Fetches units into the folder, several at once."""

    def __init__(self, az: Az, folder: Folder) -> None:
        self.az = az
        self.folder = folder
        self._lock = threading.Lock()

    def fetch(self, unit: Unit) -> bool:
        """Fetch one unit and write what came of it; return whether another run may bring more.

        Raises:
            SignedOutError, StoppedError: The run has to end; nothing is written of the unit.
        """
        number, name = tempfile.mkstemp(dir=self.az.work)
        url, rows, error, may_come = unit.url, 0, None, False
        with os.fdopen(number, "wb") as part:
            try:
                try:
                    rows = self._pages(unit, url, part)
                except RefusedError:
                    if not unit.instead or part.tell():
                        raise
                    url = unit.instead
                    rows = self._pages(unit, url, part)
                if not part.tell():
                    part.write(b"[]\n")
            except (RefusedError, FailedError) as failure:
                error, may_come = str(failure), isinstance(failure, FailedError)
                part.flush()
                rows = _count(unit.form, Path(name))
        with self._lock:
            (self.folder.place / unit.path).parent.mkdir(exist_ok=True)
            self.folder.keep(unit, Path(name), url, rows, error)
            self.folder.write_manifest(None, soon=True)
        return may_come

    def _pages(self, unit: Unit, url: str, part: Any) -> int:
        """Write every page of an answer; return the number of records."""
        rows, seen, method, body = 0, {url}, unit.method, unit.body
        while True:
            content = self.az.rest(unit, method, url, body)
            document = json.loads(content)
            records = document.get("data" if unit.form == "query" else "value")
            if not isinstance(records, list):
                raise FailedError("the answer has no list of records")
            if unit.form == "records":
                part.writelines(json.dumps(record).encode() + b"\n" for record in records)
            else:
                # Newlines in JSON are only between its parts.
                part.write(content.translate(None, b"\r\n") + b"\n")
            rows += len(records)
            token, link = document.get("$skipToken"), document.get("nextLink") or document.get("@odata.nextLink")
            following = str((token if unit.form == "query" else link) or "")
            if not following:
                if unit.form == "query" and rows != document.get("totalRecords", rows):
                    raise FailedError(f"the answer has {rows} of {document['totalRecords']} resources")
                return rows
            if following in seen:
                raise FailedError("the pages go round in a circle")
            seen.add(following)
            if unit.form == "query":
                asked = json.loads(unit.body)
                body = json.dumps({**asked, "options": {**asked.get("options", {}), "$skipToken": following}})
            else:
                url, method, body = self._next(unit, following), "GET", ""

    def _next(self, unit: Unit, link: str) -> str:
        """Return a next link; never one to another host, which might be given a token."""
        here, there = urlsplit(self.az.address(unit.service, "/")), urlsplit(link)
        if (here.scheme, here.netloc.lower()) != (there.scheme, there.netloc.lower()):
            raise FailedError(f"the next page is at another host: {shown(there.netloc)}")
        return link

    def run(self, units: Sequence[Unit]) -> int:
        """Fetch units; return the number of those of which another run may bring more.

        Raises:
            SignedOutError, StoppedError, KeyboardInterrupt: The run has to end.
        """
        pool = ThreadPoolExecutor(AT_ONCE)
        waiting = {pool.submit(self.fetch, unit): unit for unit in units}
        left: dict[str, int] = {}
        for unit in units:
            left[unit.source] = left.get(unit.source, 0) + 1
        again = 0
        try:
            for done in as_completed(waiting):
                again += done.result()
                source = waiting[done].source
                left[source] -= 1
                if not left[source]:
                    say(self.summary(source))
        except BaseException:
            self.az.stopping.set()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        return again

    def summary(self, source: str) -> str:
        """Return a line about the files of a source."""
        with self._lock:
            entries = [entry for path, entry in self.folder.entries.items() if path.startswith(f"{source}/")]
        whole = sum(entry["complete"] for entry in entries)
        return f"{source}: {whole} of {len(entries)} complete, {sum(entry['rows'] for entry in entries):,} records"


def _count(form: str, path: Path) -> int:
    lines = [line for line in path.read_bytes().split(b"\n") if line]
    if form == "records":
        return len(lines)
    return sum(len(json.loads(line).get("data" if form == "query" else "value")) for line in lines)


def say(text: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def fetch_all(az: Az, folder: Folder, plan: Plan) -> int:
    """Fetch what is not there yet, round by round: each round may show what the next one has to ask about."""
    fetch, again, done = Fetch(az, folder), 0, set()
    while units := [unit for unit in plan.units() if unit.path not in done]:
        done |= {unit.path for unit in units}
        again += fetch.run([unit for unit in units if not folder.has(unit)])
    return again


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def _until(text: str) -> dt.datetime:
    found = dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _conclude(folder: Folder, again: int) -> int:
    missing = [entry for _, entry in sorted(folder.entries.items()) if not entry["complete"]]
    for entry in missing[:20]:
        say(f"  {entry['path']}: {entry['error']}")
    if len(missing) > 20:
        say(f"  and {len(missing) - 20} more: see manifest.json")
    say(f"{len(folder.entries) - len(missing)} of {len(folder.entries)} files are complete")
    if again:
        say("run the same command again for what failed")
    return INCOMPLETE if again else OK


def main(asked: dict[str, Any], words: Iterable[str]) -> int:
    """Fetch everything that is asked for into a folder; return the exit code."""
    parser = argparse.ArgumentParser(prog="exports", description="Fetch what `rightsize load` reads of a tenant.")
    parser.add_argument("folder", nargs="?", default="exports", help="the folder to write; the default is exports")
    parser.add_argument("--until", type=_until, metavar="TIME", help="the end of the logs; the default is now, in UTC")
    given = parser.parse_args(list(words))
    os.umask(0o077)
    place = Path(given.folder)
    work = place / ".work"
    work.mkdir(parents=True, exist_ok=True)
    for rest in work.iterdir():
        rest.unlink()
    az, folder = Az(work), Folder(place)
    signal.signal(signal.SIGTERM, _stop)
    now = dt.datetime.now(UTC).replace(microsecond=0)
    try:
        until = given.until or now
        which = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        head = {**az.sign_in(), "started": instant(now), "until": instant(until), "asked": which}
        problem = folder.open(head)
        if not problem and given.until and folder.head["until"] != instant(until):
            problem = f"{shown(str(place))} was begun with --until {folder.head['until']}"
        if problem:
            say(f"error: {problem}: name another folder")
            return OTHER_FOLDER
        folder.write_manifest(None)
        again = fetch_all(az, folder, Plan(asked, folder, _until(folder.head["until"])))
        folder.write_manifest(dt.datetime.now(UTC))
        return _conclude(folder, again)
    except (SignedOutError, RefusedError, FailedError) as error:
        say(f"error: {error}")
        code = NOT_SIGNED_IN
    except (KeyboardInterrupt, StoppedError):
        say("interrupted: the same command continues")
        code = INTERRUPTED
    except OSError as error:
        say(f"error: {shown(str(error))}")
        code = INCOMPLETE
    if folder.head:
        folder.write_manifest(None)
    return code
