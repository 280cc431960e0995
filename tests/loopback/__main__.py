"""Serves a generated tenant by hand: `python -m tests.loopback`. Stop it with Ctrl-C; the README says how to use it."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import sys
import threading
from pathlib import Path

from rightsize.demo.generator import generate
from rightsize.demo.tenant import TenantSpec
from tests.loopback.faults import Faults, read_faults
from tests.loopback.server import Loopback, Options


def main(arguments: list[str]) -> None:
    """Listen until interrupted, after printing the variables that a client needs."""
    parser = argparse.ArgumentParser(prog="python -m tests.loopback", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 for any free one")
    parser.add_argument("--principals", type=int, default=60)
    parser.add_argument("--subscriptions", type=int, default=6)
    parser.add_argument("--events", type=int, help="about how many calls the logs hold")
    parser.add_argument("--days", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", help="a JSON file of rules, or every:N")
    parser.add_argument("--page-size", type=int, help="records a page, instead of each service's own size")
    parser.add_argument("--token-seconds", type=int, default=3600)
    parser.add_argument("--record-limit", type=int, default=500_000, help="records in an answer of Log Analytics")
    parser.add_argument("--writes", action="store_true", help="let role definitions and assignments be written")
    parser.add_argument("--certificate", type=Path, help="where to put a copy of the certificate")
    parser.add_argument("--storage", default="", help="where storage accounts are paths, such as Azurite's address")
    given = parser.parse_args(arguments)
    spec = TenantSpec(
        seed=given.seed,
        principals=given.principals,
        days=given.days,
        events=given.events,
        subscriptions=given.subscriptions,
    )
    options = Options(given.page_size, given.token_seconds, given.record_limit, given.writes, given.storage)
    faults = read_faults(given.faults) if given.faults else Faults()
    stopped = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stopped.set())
    with Loopback(generate(spec), faults, options).start(given.port) as loopback:
        if given.certificate:
            shutil.copyfile(loopback.certificate, given.certificate)
        for variable, value in loopback.environment().items():
            print(f"export {variable}={value}")
        print(f"export LOOPBACK_URL={loopback.url}")
        print(f"export LOOPBACK_CLOUD={loopback.cloud}")
        print(f"export LOOPBACK_WORKSPACE={loopback.content.workspace_id}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            stopped.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
