"""A web server for tests: it serves parts of files, counts what it is asked for, and lies when told to."""

import re
import threading
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["RangeServer"]


class RangeServer:
    """A server on a port of its own, with files in memory; a context manager.

    Attributes
    ----------
    files : dict
        Content by path.
    requests : list of (str, str, int, int)
        Method, path, first byte and the one behind the last of each.
    behaviour : callable or None
        Given (handler, content, start, stop), answers a request for a part in its own way.
    status : int
        What everything is answered with, 0 for what is asked for.
    failing : int
        So many questions for what is not a part fail.
    login : str
        What the header Authorization must be, where it is not empty.
    has_marks : bool
        Whether ETag and Last-Modified are sent.
    says_sizes : bool
        Whether Content-Length is sent.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, int, int]] = []
        self.behaviour: Callable[[Any, bytes, int, int], None] | None = None
        self.has_marks = self.says_sizes = True
        self.status, self.failing, self.login = 0, 0, ""
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> "RangeServer":
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Listen no more."""
        if self.released.is_set():
            return
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, path: str) -> str:
        """Return the address of a file."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{path}"

    @property
    def parts(self) -> list[tuple[int, int]]:
        """The parts that were asked for."""
        return [(start, stop) for method, _, start, stop in self.requests if method == "GET"]

    @property
    def nbytes(self) -> int:
        """How many bytes the parts have."""
        return sum(stop - start for start, stop in self.parts)

    def _handler(server) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *unused: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.answer()

            def do_GET(self) -> None:
                with suppress(ConnectionError):
                    self.answer()

            def answer(self) -> None:
                if server.login not in {"", self.headers.get("Authorization")}:
                    self.start(401, 0)
                    return
                content = server.files.get(self.path.partition("?")[0].lstrip("/"))
                if server.failing and not (self.command == "GET" and "Range" in self.headers):
                    server.failing -= 1
                    self.start(503, 0)
                    return
                if content is None or server.status:
                    self.start(server.status or 404, 0)
                    return
                wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
                start, stop = (int(wanted[1]), min(int(wanted[2]) + 1, len(content))) if wanted else (0, len(content))
                server.requests.append((self.command, self.path, start, stop))
                if self.command == "GET" and server.behaviour is not None:
                    server.behaviour(self, content, start, stop)
                elif wanted and start >= len(content):
                    self.start(416, 0)
                else:
                    self.part(content, start, stop, 206 if wanted else 200)

            def part(self, content: bytes, start: int, stop: int, status: int = 206, **headers: str) -> None:
                """Answer as an honest server does."""
                if status == 206:
                    headers.setdefault("Content_Range", f"bytes {start}-{stop - 1}/{len(content)}")
                self.start(status, stop - start, content, **headers)
                if self.command == "GET":
                    self.wfile.write(content[start:stop])

            def start(self, status: int, length: int | None, content: bytes = b"", **headers: str) -> None:
                self.send_response(status)
                if server.has_marks and content and "ETag" not in headers:
                    self.send_header("ETag", f'"{sha256(content).hexdigest()[:16]}"')
                    self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
                self.close_connection |= length is None or not server.says_sizes
                if length is not None and server.says_sizes:
                    self.send_header("Content-Length", str(length))
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()

        return Handler
