"""Headers of the user's stay with the host that the user named, wherever it sends on."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import usidx

pytest.importorskip("aiohttp")
pytest.importorskip("fsspec")

SECRET = {"X-Api-Key": "open-sesame", "Authorization": "Bearer open-sesame", "Cookie": "session=open-sesame"}


class Host(ThreadingHTTPServer):
    """Serves one file in parts, or sends on; it notes the headers of each request."""

    daemon_threads = True

    def __init__(self, content: bytes, target: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.target, self.asked = content, target, list[dict[str, str]]()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/scan.h5"

    @property
    def told(self) -> str:
        return str(self.asked)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Host

    def log_message(self, *unused: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        host, is_old = self.server, "moved" not in self.path
        host.asked.append(dict(self.headers))
        if host.target and (is_old or not host.target.startswith("/")):
            self.send_response(302)
            self.send_header("Location", host.target)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        start, stop = (int(found[1]), min(int(found[2]) + 1, len(host.content))) if found else (0, len(host.content))
        self.send_response(206 if found else 200)
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(host.content)}")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(host.content[start:stop])


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    scan, _ = usidx.simulate.band_excitation((3, 2), 20, seed=0)
    usidx.write(abs(scan).rename("Amplitude"), tmp_path / "scan.h5", progress=False)
    return (tmp_path / "scan.h5").read_bytes()


@pytest.mark.parametrize("options", [{"headers": SECRET}, {"client_kwargs": {"headers": SECRET}}])
@pytest.mark.parametrize("chain", ["", "simplecache::"])
def test_another_host_is_told_no_secret(content: bytes, options: dict[str, Any], chain: str) -> None:
    with Host(content) as other, Host(b"", other.url) as named:
        given = {"http": options} if chain else options
        found = usidx.open_main(chain + named.url, storage_options=given).compute()
        assert np.isfinite(found).all()
        assert "open-sesame" in named.told
        assert other.asked
        assert "open-sesame" not in other.told
        named.shutdown()
        other.shutdown()


def test_the_same_host_is_told_again(content: bytes) -> None:
    with Host(content, "/moved.h5") as named:
        usidx.open_main(named.url, storage_options={"headers": SECRET}).compute()
        assert all("open-sesame" in asked.get("X-Api-Key", "") for asked in named.asked)
        named.shutdown()
