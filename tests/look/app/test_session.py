"""A page begins its work when Bokeh is ready for it."""

from __future__ import annotations

from pathlib import Path

import pytest

import usidx
from usidx.look.app.offers import Offers
from usidx.look.app.reading.shelf import Shelf
from usidx.look.explorer.address import Address
from usidx.look.explorer.reading.subject import Subject
from usidx.simulate import band_excitation

pytest.importorskip("bokeh", reason="bokeh is not installed")


def test_nothing_is_read_before_bokeh_has_the_session(tmp_path: Path) -> None:
    """Bokeh fails to make a session where a thread asks for a callback meanwhile, and the page stays empty."""
    from bokeh.document import Document
    from bokeh.server.callbacks import NextTickCallback

    from usidx.look.app.session import Session

    page = Document()
    session = Session(page, Shelf([usidx.example_file(tmp_path / "scan.h5")]), Offers(), "", Address())
    session.begin()
    assert session.desk.running == []
    (begin,) = (c for c in page.session_callbacks if isinstance(c, NextTickCallback))
    begin.callback()
    assert session.desk.is_busy("open")
    session.close()


def test_nothing_is_read_before_bokeh_has_the_page_of_an_explorer() -> None:
    pytest.importorskip("panel", reason="panel is not installed")
    from bokeh.document import Document
    from bokeh.server.callbacks import NextTickCallback

    from usidx.look.explorer.pane import Showing

    page, scan = Document(), band_excitation((3, 4), 5)[0]
    subject = Subject("main", scan.to_dataset(name="scan"), "scan", {"scan": scan})
    showing = Showing({"scan": lambda: subject}, Address(), page)
    assert showing.desk.running == []
    (begin,) = (c for c in page.session_callbacks if isinstance(c, NextTickCallback))
    begin.callback()
    assert showing.desk.is_busy("map")
    showing.close()
