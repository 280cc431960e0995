"""Run the service: one TLS listener for everything, a second one that must get no requests, and the request log."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import tempfile
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from rightsize.demo.generator import generate
from rightsize.demo.tenant import SampleTenant, TenantSpec
from tests.loopback.arm import Arm
from tests.loopback.certificates import ADDRESSES, write_certificate
from tests.loopback.content import Content
from tests.loopback.faults import BROKEN, Faults, struck, unauthorized
from tests.loopback.graph import Graph
from tests.loopback.login import CLIENT_ID, CLIENT_SECRET, Login
from tests.loopback.monitor import Monitor
from tests.loopback.wire import Answer, RefusalError, Request, arm_error, graph_error, read_request

GRAPH_MAP = "/published/permissions.json"
"""Where the map of Graph's permissions is published; nobody signs in for it."""
_PERMISSIONS = {
    name: {
        "schemes": {"Application": {"privilegeLevel": level, "requiresAdminConsent": True}},
        "pathSets": [{"schemeKeys": ["Application"], "methods": ["GET"], "paths": {path: "least=Application"}}],
    }
    for name, level, path in (
        ("User.Read.All", 3, "/users"),
        ("Group.Read.All", 3, "/groups"),
        ("Application.Read.All", 3, "/applications"),
        ("AuditLog.Read.All", 3, "/auditlogs/signins"),
    )
}
_MONITOR_PREFIXES = ("/v1/workspaces/", "/v1/subscriptions/", "/v1/$batch", "/v2/rest/query", "/lake/kql/")


@dataclass(frozen=True, slots=True)
class Entry:
    """One request as it was met.

    Attributes:
        token: Whether it carried a token, good or bad.
        fault: The kind of the fault that struck it, or empty.
        foreign: Whether it came to the listener that no client has a reason to call.
        body: What it carried.
    """

    number: int
    method: str
    path: str
    target: str
    status: int
    token: bool
    fault: str = ""
    foreign: bool = False
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Options:
    """How the service behaves, beside what its tenant holds.

    Attributes:
        page_size: Records a page, or None for the sizes that the services have.
        token_seconds: How long a token is good for.
        record_limit: Records that an answer of Log Analytics has at most.
        writes: Whether role definitions and assignments may be written and deleted.
        storage: Where storage accounts are, for the description of the cloud: an address whose paths they are.
    """

    page_size: int | None = None
    token_seconds: int = 3600
    record_limit: int = 500_000
    writes: bool = False
    storage: str = ""


class Loopback:
    """A tenant's services on this machine's loopback, from `start` to `stop`."""

    def __init__(
        self, tenant: SampleTenant | None = None, faults: Faults | None = None, options: Options | None = None
    ) -> None:
        self.tenant = tenant or generate(TenantSpec())
        self.faults = faults or Faults()
        self.options = options or Options()
        self.login = Login(self.tenant.tenant_id, self.options.token_seconds)
        self.requests: list[Entry] = []
        self.graph_map: dict[str, object] = {"permissions": dict(_PERMISSIONS)}
        self._lock = threading.Lock()
        self._listeners: list[ThreadingHTTPServer] = []
        self._folder = tempfile.TemporaryDirectory(prefix="loopback-")
        self.folder = Path(self._folder.name)

    def start(self, port: int = 0) -> Loopback:
        """Prepare the tenant's content and listen; returns itself."""
        self.certificate, key = write_certificate(self.folder)
        self.content = Content(self.tenant, self.folder)
        self.monitor = Monitor(self.content, self.options.record_limit)
        self._arm = Arm(self.content, self.monitor, self.options.page_size, writes=self.options.writes)
        self.graph = Graph(self.content, self.options.page_size)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        for address in ADDRESSES:
            listener = _Listener((address, port), _Handler, self, context, foreign=address != ADDRESSES[0])
            port = listener.server_address[1]
            self._listeners.append(listener)
            threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"https://{ADDRESSES[0]}:{port}"
        self.foreign_url = f"https://{ADDRESSES[1]}:{port}"
        self.cloud = self.folder / "cloud.json"
        self.cloud.write_text(json.dumps(self._describe(), indent=2), encoding="utf-8")
        return self

    def stop(self) -> None:
        """Stop listening and take away what was written."""
        for listener in self._listeners:
            listener.shutdown()
            listener.server_close()
        self._listeners.clear()
        if hasattr(self, "content"):
            self.content.close()
        self._folder.cleanup()

    def __enter__(self) -> Loopback:
        return self if self._listeners else self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def forget(self) -> None:
        """Empty the log of requests and take all faults away."""
        with self._lock:
            self.requests.clear()
        self.faults.clear()

    def _describe(self) -> dict[str, object]:
        """Return the cloud as `collect --cloud FILE` reads it."""
        names = ("authority", "arm", "arm_audience", "graph", "graph_audience", "logs", "logs_audience")
        storage = self.options.storage or self.url
        lake = {"lake": self.url, "lake_audience": self.url}
        urls = dict.fromkeys(names, self.url)
        return {"name": "loopback", **urls, **lake, "storage": storage, "instance_discovery": False}

    def context(self) -> ssl.SSLContext:
        """Return a client's context that trusts this service and nothing else."""
        return ssl.create_default_context(cafile=str(self.certificate))

    def environment(self) -> dict[str, str]:
        """Return the variables with which azure-identity, requests and httpx come here and trust what they find."""
        return {
            "AZURE_TENANT_ID": self.tenant.tenant_id,
            "AZURE_CLIENT_ID": CLIENT_ID,
            "AZURE_CLIENT_SECRET": CLIENT_SECRET,
            "AZURE_AUTHORITY_HOST": self.url,
            "SSL_CERT_FILE": str(self.certificate),
            "REQUESTS_CA_BUNDLE": str(self.certificate),
        }

    def handle(self, request: Request, *, foreign: bool) -> Answer | str:
        """Answer a request, or return the BROKEN kind of how the connection ends."""
        sign_in = self.login.handles(request)
        fault = None if foreign else self.faults.next_for(request, sign_in=sign_in)
        answer: Answer | str
        if foreign:
            answer = arm_error(404, "NotHere", "This host is nobody's.")
        elif fault is not None and fault.kind in BROKEN:
            answer = fault.kind
        elif fault is not None:
            answer = struck(fault, request, self.login, lambda: self._answer(request), self.foreign_url)
        else:
            answer = self._answer(request)
        status = answer.status if isinstance(answer, Answer) else 0
        with self._lock:
            entry = Entry(
                len(self.requests) + 1,
                request.method,
                request.path,
                request.target,
                status,
                "authorization" in request.headers,
                fault.kind if fault else "",
                foreign,
                request.body,
            )
            self.requests.append(entry)
        return answer

    def _answer(self, request: Request) -> Answer:
        try:
            if self.login.handles(request):
                return self.login.answer(request)
            if request.path == GRAPH_MAP:
                return self._published(request)
            if not self.login.is_good(request):
                return unauthorized(request, self.login)
            if request.path.startswith(("/v1.0", "/beta")):
                return self.graph.answer(request)
            if request.path.startswith(_MONITOR_PREFIXES):
                return self.monitor.answer(request)
            return self._arm.answer(request)
        except RefusalError as refusal:
            return refusal.answer
        except Exception as error:
            made = graph_error if request.path.startswith(("/v1.0", "/beta")) else arm_error
            return made(599, "LoopbackDefect", f"{type(error).__name__}: {error}")

    def _published(self, request: Request) -> Answer:
        """Answer with a file that is published for everybody, or say that it is the one that the client has."""
        content = json.dumps(self.graph_map).encode()
        tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        is_known = request.headers.get("if-none-match") == tag
        return Answer(304 if is_known else 200, b"" if is_known else content, {"ETag": tag})


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[BaseHTTPRequestHandler],
        service: Loopback,
        context: ssl.SSLContext,
        *,
        foreign: bool,
    ) -> None:
        self.service, self.context, self.foreign = service, context, foreign
        super().__init__(address, handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; its handshake is done by the thread that serves it."""
        plain, address = super().get_request()
        return self.context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away are part of what is tested."""


class _Handler(BaseHTTPRequestHandler):
    server: _Listener
    protocol_version = "HTTP/1.1"
    # Without it each answer waits for the acknowledgement of its head.
    disable_nagle_algorithm = True
    wbufsize = -1

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        headers = {name.lower(): value for name, value in self.headers.items()}
        base = f"https://{headers.get('host', '')}"
        request = read_request(self.command, base, self.path, headers, body)
        answer = self.server.service.handle(request, foreign=self.server.foreign)
        if answer == "drop":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        cut = answer == "cut"
        if isinstance(answer, str):
            answer = Answer(200, b'{"value":[' + b" " * 64)
        content = answer.content()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(content) + (4096 if cut else 0)))
        self.send_header("x-ms-ratelimit-remaining-subscription-reads", "249")
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()
        if cut:
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815  the names that http.server calls

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing; the service keeps its own log."""
