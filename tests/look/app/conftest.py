"""One server and one browser for all tests of the app."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

import usidx

#: Milliseconds in which anything happens, however busy the machine is.
PATIENCE = 60_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class Watched:
    """A page of the browser, and what it complained about."""

    page: Any
    complaints: list[str] = field(default_factory=list)

    def wait_for(self, condition: str) -> Any:
        """Wait until an expression of the page's script is true; return what it is."""
        return self.page.wait_for_function(condition, timeout=PATIENCE).json_value()


@dataclass
class App:
    """The app that is served, and how pages of it are opened."""

    address: str
    folder: Path
    browser: Any

    def open(self, **query: str) -> Watched:
        """Open a page, and listen to what goes wrong in it."""
        page = self.browser.new_page(viewport={"width": 1300, "height": 1400})  # all of it is in the picture
        page.set_default_timeout(PATIENCE)
        watched = Watched(page)
        note, host = watched.complaints.append, self.address.split("?")[0]
        page.on("console", lambda m: note(f"console: {m.text}") if is_complaint(m) else None)
        page.on("pageerror", lambda err: note(f"error: {err}"))
        page.on("response", lambda r: note(f"{r.status}: {r.url}") if r.status >= 400 else None)
        page.on(
            "request", lambda r: None if r.url.startswith((host, "data:", "blob:")) else note(f"elsewhere: {r.url}")
        )
        page.goto(f"{self.address}&{urlencode(query)}" if query else self.address)
        return watched


def is_complaint(message: Any) -> bool:
    """Say whether a line on the console is about something wrong, and no advice on how bokeh could draw faster."""
    return message.type in ("error", "warning") and not message.text.startswith("Canvas2D: Multiple readback")


def find_browser() -> str:
    """Return the program of a browser that playwright can drive; skip where there is none."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("there is no Chromium on this machine")
    return found


def write_files(folder: Path) -> None:
    """Write what the tests look at: a scan with a fit, components and clusters, patterns, and atoms in their image."""
    path = usidx.example_file(folder / "scan.h5")
    raw = usidx.open_main(path)
    usidx.write(raw.usid.svd(3))
    usidx.write(raw.usid.sho_fit())
    usidx.write(abs(raw).usid.cluster("kmeans", 3))
    usidx.write(usidx.simulate.diffraction((6, 8), (24, 24))[0], folder / "patterns.h5")
    usidx.write(usidx.simulate.atoms((48, 48), scatter=0.01)[0], folder / "atoms.h5")
    usidx.write(usidx.image.find_atoms(usidx.open_main(folder / "atoms.h5")))


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """Serve files, and start a browser."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    pytest.importorskip("bokeh", reason="bokeh is not installed")
    program = find_browser()
    from usidx.look.app.serve import make_server

    folder = tmp_path_factory.mktemp("app")
    write_files(folder)
    ready: dict[str, Any] = {}
    is_up = threading.Event()

    def serve() -> None:
        ready["server"] = make_server([folder / f"{name}.h5" for name in ("scan", "patterns", "atoms")])
        is_up.set()
        ready["server"].run()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert is_up.wait(PATIENCE / 1000)
    with sync_api.sync_playwright() as playwright:
        flags = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=program, args=[*flags, "--disable-gpu"])
        yield App(ready["server"].address, folder, browser)
        browser.close()
    ready["server"].stop()
    thread.join(PATIENCE / 1000)
