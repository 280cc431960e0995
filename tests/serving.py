"""Let a server of a test answer on loopback while a block runs."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

Server = TypeVar("Server", bound=socketserver.BaseServer)
# How often a server looks whether to stop; half a second, as Python has it, is what each test would wait for.
_SECONDS = 0.02


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Answer in a thread until the block ends; then close the server."""
    threading.Thread(target=server.serve_forever, args=(_SECONDS,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
