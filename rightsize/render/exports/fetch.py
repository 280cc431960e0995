"""Fetch a tenant's exports with `az rest`, page by page, and write the manifest that says what is whole.

`rightsize fetch-script` puts this text into a script, with its parts `az.py`, `folder.py` and `units.py` before it and
the list of requests behind it. It runs on the Python of `az`, which may be older than that of rightsize, and needs
nothing else.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rightsize.render.exports.az import Az, FailedError, RefusedError, SignedOutError, StoppedError, shown
from rightsize.render.exports.folder import UTC, Folder, Plan, Unit, instant

AT_ONCE = 4
OK, USAGE, NOT_SIGNED_IN, OTHER_FOLDER, INCOMPLETE, INTERRUPTED = 0, 2, 4, 5, 7, 130
# Listings that are read long after the logs end prove nothing about the days of the logs.
A_RUN = dt.timedelta(days=1)


class Fetch:
    """Fetches units into the folder, several at once."""

    def __init__(self, az: Az, folder: Folder) -> None:
        self.az = az
        self.folder = folder
        self._lock = threading.Lock()

    def fetch(self, unit: Unit) -> bool:
        """Fetch one unit and write what came of it; return whether another run may bring more.

        Raises:
            StoppedError: The run has to end; nothing is written of the unit.
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
            except (RefusedError, FailedError, SignedOutError) as failure:
                error, may_come = str(failure), not isinstance(failure, RefusedError)
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
            content = self.az.rest(unit.service, method, url, body, unit.headers)
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
            StoppedError, KeyboardInterrupt: The run has to end.
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


def _conclude(folder: Folder, again: int, signed_out: Iterable[str]) -> int:
    missing = [entry for _, entry in sorted(folder.entries.items()) if not entry["complete"]]
    for entry in missing[:20]:
        say(f"  {entry['path']}: {entry['error']}")
    if len(missing) > 20:
        say(f"  and {len(missing) - 20} more: see manifest.json")
    say(f"{len(folder.entries) - len(missing)} of {len(folder.entries)} files are complete")
    if again:
        say("run the same command again for what failed")
    for text in sorted(set(signed_out)):
        say(f"error: {text}")
        return NOT_SIGNED_IN
    return INCOMPLETE if again else OK


def main(asked: dict[str, Any], words: Iterable[str], now: dt.datetime | None = None) -> int:
    """Fetch everything that is asked for into a folder, beginning `now`; return the exit code."""
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
    begun = now or dt.datetime.now(UTC).replace(microsecond=0)
    try:
        until = given.until or begun
        which = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        head = {**az.sign_in(), "started": instant(begun), "until": instant(until), "asked": which}
        problem = folder.open(head)
        if not problem and given.until and folder.head["until"] != instant(until):
            problem = f"{shown(str(place))} was begun with --until {folder.head['until']}"
        if not problem and begun - _until(folder.head["started"]) > A_RUN:
            problem = f"{shown(str(place))} was begun on {folder.head['started']}, and listings age"
        if problem:
            say(f"error: {problem}: name another folder")
            return OTHER_FOLDER
        folder.write_manifest(None)
        again = fetch_all(az, folder, Plan(asked, folder, _until(folder.head["until"])))
        folder.write_manifest(dt.datetime.now(UTC))
        work.rmdir()
        return _conclude(folder, again, az.signed_out.values())
    except (SignedOutError, RefusedError, FailedError) as error:
        say(f"error: {error}")
        code = NOT_SIGNED_IN
    except (KeyboardInterrupt, StoppedError):
        say("interrupted: the same command continues")
        code = INTERRUPTED
    except (OSError, ValueError) as error:
        say(f"error: {shown(str(error))}")
        code = INCOMPLETE
    if folder.head:
        folder.write_manifest(None)
    return code
