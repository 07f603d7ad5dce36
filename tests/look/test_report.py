"""A report is one file that needs nothing, and no name from a file can become mark-up."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from usidx.errors import ResultError
from usidx.look.comparison import build_truth_table
from usidx.look.plot import plot_map
from usidx.look.report import Block, Figure, History, Section, Table, make_pairs_table, write_report
from usidx.look.summary.steps import tell

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Collects tags and text, and checks that every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def picture() -> Any:
    return plot_map(xr.DataArray(np.eye(4), dims=("Y", "X"), name="Raw_Data"))


def test_a_report_holds_what_it_is_given(tmp_path: Path) -> None:
    blocks: list[Block] = [
        "A paragraph.",
        make_pairs_table({"Positions": 16}),
        Table([["a", 1, 2.5]], ["name", "n", "x"], caption="Numbers."),
    ]
    path = write_report(tmp_path / "new" / "scan.html", "Scan", [Section("First", blocks)], subtitle="below")
    page = page_of(path)
    for said in ("Scan", "below", "First", "A paragraph.", "Positions", "16", "Numbers.", "2.5"):
        assert said in page.text
    assert not (tmp_path / "new" / "scan_files").exists()


def test_pictures_are_inside_and_beside(tmp_path: Path) -> None:
    figures = [Figure(picture(), "The map of things."), Figure(picture(), "", name="../../Evil Name")]
    path = write_report(tmp_path / "scan.html", "Scan", [Section("Maps", figures)])
    sources = [str(attrs["src"]) for tag, attrs in page_of(path).tags if tag == "img"]
    assert len(sources) == 2
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    beside = sorted(p.name for p in (tmp_path / "scan_files").iterdir())
    assert beside == ["01-the-map-of-things.png", "02-evil-name.png"]
    assert (tmp_path / "scan_files" / beside[0]).read_bytes()[:4] == b"\x89PNG"
    assert "Figure 2." in page_of(path).text


def test_bytes_of_a_png_are_taken_as_they_are(tmp_path: Path) -> None:
    write_report(tmp_path / "a.html", "A", [Section("One", [Figure(picture(), "made")])])
    png = (tmp_path / "a_files" / "01-made.png").read_bytes()
    write_report(tmp_path / "b.html", "B", [Section("One", [Figure(png, "made")])])
    assert (tmp_path / "b_files" / "01-made.png").read_bytes() == png


def test_nothing_from_outside_is_loaded(tmp_path: Path) -> None:
    path = write_report(tmp_path / "scan.html", "Scan", [Section("Maps", [Figure(picture())])])
    text = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", path.read_text(encoding="utf-8"))
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text
    assert "default-src &#x27;none&#x27;" in text


def test_every_name_is_escaped(tmp_path: Path) -> None:
    step: dict[str, Any] = {
        "tool": EVIL,
        "version": EVIL,
        "parameters": {EVIL: EVIL},
        "input": {"name": EVIL, "dims": {EVIL: EVIL}},
    }
    blocks: list[Block] = [
        EVIL,
        make_pairs_table({EVIL: EVIL}, EVIL),
        Table([[EVIL, EVIL]], [EVIL, EVIL], EVIL),
        Figure(picture(), EVIL, EVIL),
        History([step, {"tool": "open", "file": EVIL, "dataset": EVIL}, {"tool": "x", "parameters": 3, "input": 4}]),
    ]
    page = page_of(write_report(tmp_path / "scan.html", EVIL, [Section(EVIL, blocks), Section("b")], subtitle=EVIL))
    assert "script" not in {tag for tag, _ in page.tags}
    assert [attrs.get("onerror") for tag, attrs in page.tags if tag == "img"] == [None]
    assert page.text.count("<script>") > 10


def test_a_history_reads_as_steps(tmp_path: Path) -> None:
    steps: list[dict[str, Any]] = [
        {"tool": "open", "file": "scan.h5", "dataset": "/M/Raw", "version": "1.0"},
        {
            "tool": "svd",
            "version": "1.0",
            "parameters": {"n": 4, "seed": None},
            "input": {"name": "Raw", "dims": {"Y": 2}},
        },
    ]
    page = page_of(write_report(tmp_path / "a.html", "A", [Section("How", [History(steps), History([])])]))
    assert "open('scan.h5', '/M/Raw')" in page.text
    assert "svd(n=4)usidx 1.0, of Raw" in page.text  # what was left to the verb is left out
    assert "usidx 1.0, of Raw (Y 2)" in page.text
    assert "No steps are recorded." in page.text


def test_a_step_of_anything_can_be_told() -> None:
    for step in (
        {},
        {"tool": None},
        {"tool": "a", "parameters": {"x": object()}},
        {"tool": "a", "input": {"dims": []}},
    ):
        assert str(tell(step))


def test_a_report_is_replaced(tmp_path: Path) -> None:
    write_report(tmp_path / "a.html", "First", [])
    assert "Second" in page_of(write_report(tmp_path / "a.html", "Second", [])).text


def test_a_fit_is_compared_with_the_truth() -> None:
    truth = xr.Dataset({"frequency": ("x", [100e3, 200e3, 300e3, 400e3])})
    truth.frequency.attrs.update(units="Hz", long_name="Resonance")
    fit = xr.Dataset({"frequency": ("x", [101e3, 202e3, 299e3, np.nan])})
    (row,) = build_truth_table(truth, fit).rows
    # Errors +1, +2, -1 kHz over truths 100, 200, 300 kHz; the 95th percentile interpolates between 1 and 2.
    assert row == ("Resonance", "200 kHz", "1 kHz", "1 kHz (0.5 %)", "1.9 kHz", "3", "1")


def test_phases_are_compared_the_short_way_round() -> None:
    truth = xr.Dataset({"phase": ("x", [3.1, -3.1], {"units": "rad"})})
    fit = xr.Dataset({"phase": ("x", [-3.1, 3.1])})
    short = 2 * np.pi - 6.2
    (row,) = build_truth_table(truth, fit).rows
    assert row[3] == f"{short:.3g} rad"


def test_a_fit_that_failed_everywhere_is_said_to() -> None:
    truth = xr.Dataset({"a": ("x", [1.0, 2.0])})
    assert build_truth_table(truth, truth * np.nan).rows == (("a", "-", "-", "-", "-", "0", "2"),)


def test_nothing_in_common() -> None:
    with pytest.raises(ResultError, match=r"no variable in common: \['b'\] and \['a'\]"):
        build_truth_table(xr.Dataset({"a": 1.0}), xr.Dataset({"b": 1.0}))
