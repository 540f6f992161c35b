"""Serves a page's files to one browser on this machine, and takes the page's answer.

On 127.0.0.1, at a port that the system chooses, below a path that cannot be guessed; what is not named is
not served.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MAX_ANSWER_BYTES = 256 * 2**20
_IDLE_S = 120  # a silent connection is closed
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".css": "text/css; charset=utf-8",
    ".wasm": "application/wasm",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
ISOLATED: Mapping[str, str] = {  # without them a page has neither threads nor a fine clock
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class PageServer:
    """What the page said so far. ``changed`` is notified of every beat, of the answer, and of its death."""

    def __init__(self, files: Mapping[str, Path | bytes]) -> None:
        self.files = dict(files)
        self.secret = secrets.token_urlsafe(16)
        self.changed = threading.Condition()
        self.answer: dict[str, object] | None = None
        self.died = False
        self.beat = time.monotonic()
        self._http = _Http(("127.0.0.1", 0), self)

    def url(self, page: str) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/{self.secret}/{page}"

    @contextlib.contextmanager
    def running(self) -> Iterator[PageServer]:
        """Serves during the block."""
        thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()
            thread.join()

    def tell(self, name: str, content: bytes) -> bool:
        """What the page posted; False: it may not."""
        with self.changed:
            if name == "answer":
                try:
                    said = json.loads(content)
                except ValueError:
                    said = None
                self.answer = said if isinstance(said, dict) else {"error": "the page's answer is no JSON"}
            elif name != "beat":
                return False
            self.beat = time.monotonic()
            self.changed.notify_all()
        return True

    def lost(self) -> None:
        """The connection that the page holds for as long as it lives has ended."""
        with self.changed:
            self.died = True
            self.changed.notify_all()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that is killed breaks its connections: whoever waits for it says so."""

    def __init__(self, address: tuple[str, int], page: PageServer) -> None:
        self.page = page
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S
    server: _Http

    def do_GET(self) -> None:
        name = self._name()
        if name == "alive":
            return self._stay()
        file = self.server.page.files.get(name) if name is not None else None
        if file is None:
            return self._reply(404, b"", "text/plain")
        content = file if isinstance(file, bytes) else file.read_bytes()
        assert name is not None
        self._reply(200, content, _TYPES.get(Path(name).suffix, "application/octet-stream"))

    def do_POST(self) -> None:
        name = self._name()
        length = self.headers.get("Content-Length", "")
        if name is None or not length.isdecimal() or int(length) > MAX_ANSWER_BYTES:
            self.close_connection = True
            return self._reply(404, b"", "text/plain")
        known = self.server.page.tell(name, self.rfile.read(int(length)))
        self._reply(200 if known else 404, b"", "text/plain")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged: the secret would be in it."""

    def _name(self) -> str | None:
        """What is asked for, by somebody who knows the secret and means this host."""
        host = f"127.0.0.1:{self.server.server_port}"
        before, _, name = self.path.lstrip("/").partition("/")
        known = secrets.compare_digest(before.encode(), self.server.page.secret.encode())
        return name if known and self.headers.get("Host") == host else None

    def _reply(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        for header, value in ISOLATED.items():
            self.send_header(header, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(content)

    def _stay(self) -> None:
        """Holds the connection until the other side ends it."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        self.connection.settimeout(None)
        with contextlib.suppress(OSError):
            self.connection.recv(1)
        self.server.page.lost()
