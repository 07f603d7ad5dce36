"""The explorer in a page: clicked, its slider dragged, told by keys."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from queue import Queue
from typing import Any

import pytest

from tests.look.app.conftest import PATIENCE, App, Watched
from tests.look.app.page import find_point, read_line, read_map, wait_until_shown
from usidx.simulate import band_excitation

SCAN, _ = band_excitation((6, 8), 10)


@pytest.fixture
def served(app: App) -> Iterator[Any]:
    """Serve an explorer of a lazy scan by panel, and open its page."""
    panel = pytest.importorskip("panel", reason="panel is not installed")
    ready: Queue[Any] = Queue()

    def serve() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        server = panel.io.server.get_server(lambda: SCAN.chunk().usid.explore(), port=0, show=False, start=False)
        server.start()
        ready.put(server)
        server.io_loop.start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    server = ready.get(timeout=PATIENCE / 1000)
    page = app.browser.new_page(viewport={"width": 1300, "height": 1400})
    page.set_default_timeout(PATIENCE)
    watched = Watched(page)
    page.on("pageerror", lambda err: watched.complaints.append(str(err)))
    page.goto(f"http://localhost:{server.port}/")
    yield watched
    page.close()
    server.io_loop.add_callback(server.io_loop.stop)
    thread.join(PATIENCE / 1000)


def test_an_explorer_is_clicked_and_its_slider_dragged(served: Watched) -> None:
    wait_until_shown(served, "usidx-curves", "Y 2.14 µm, X 2.86 µm")
    served.page.mouse.click(*find_point(served, "usidx-map", 0.0, 0.7))
    wait_until_shown(served, "usidx-curves", "Y 0.714 µm, X 0 µm")
    assert read_line(served) == pytest.approx(1e3 * abs(SCAN[1, 0].values), rel=1e-5)

    served.page.keyboard.press("ArrowUp")
    wait_until_shown(served, "usidx-curves", "Y 1.43 µm, X 0 µm")

    handle = served.page.locator(".noUi-handle").first.bounding_box()
    assert handle is not None
    served.page.mouse.move(handle["x"] + 5, handle["y"] + 5)
    served.page.mouse.down()
    served.page.mouse.move(handle["x"] + 400, handle["y"] + 5, steps=4)
    served.page.mouse.up()
    wait_until_shown(served, "usidx-map", "Frequency 340 kHz")
    found, expected = read_map(served), 1e6 * abs(SCAN[:, :, 9].values)  # the largest is less than a millivolt
    assert found == pytest.approx(expected, rel=1e-5)
    assert served.complaints == []
