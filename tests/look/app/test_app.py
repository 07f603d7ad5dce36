"""The app in a browser, as a person uses it."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

import usidx
from tests.look.app.conftest import PATIENCE, App
from tests.look.app.page import FIGURE, drag, find_point, read_line, wait_until_shown
from usidx.look.app import jobs
from usidx.look.explorer.reading.work import Cancelled, Task

RAW = "/Measurement_000/Channel_000/Raw_Data"


def test_a_scan_is_looked_at(app: App) -> None:
    """Click, band, region, line; the address says what is looked at, and brings it back."""
    raw = usidx.open_main(app.folder / "scan.h5", RAW).load()
    watched = app.open()
    wait_until_shown(watched, "usidx-map", "Frequency")
    wait_until_shown(watched, "usidx-curves", "Y 3.33 µm")

    # Of two quick clicks neither is lost.
    for place in [find_point(watched, "usidx-map", *at) for at in ((3.3, 3.3), (1.1, 2.2))]:
        watched.page.mouse.click(*place)
    wait_until_shown(watched, "usidx-curves", "Y 2.22 µm, X 1.11 µm")
    assert read_line(watched) == pytest.approx(1e3 * abs(raw[4, 2].values), rel=1e-5)

    drag(watched, "usidx-curves", (310.0, 1.0), (330.0, 1.0))
    wait_until_shown(watched, "usidx-map", "Frequency 310")
    watched.wait_for("location.search.includes('map=mean') && location.search.includes('Y%3A4')")

    watched.page.get_by_role("button", name="Box", exact=True).click()
    drag(watched, "usidx-map", (0.9, 0.9), (3.0, 3.0))
    wait_until_shown(watched, "usidx-curves", "Mean of 16 places")
    inside = abs(raw.isel(Y=slice(2, 6), X=slice(2, 6))).values.reshape(16, -1)
    assert read_line(watched) == pytest.approx(1e3 * inside.mean(axis=0), rel=1e-5)

    watched.page.get_by_role("button", name="Line", exact=True).click()
    drag(watched, "usidx-map", (0.0, 0.0), (3.0, 4.0))
    wait_until_shown(watched, "usidx-curves", "Profile")
    again = watched.page.url
    assert watched.complaints == []
    watched.page.goto(again)
    wait_until_shown(watched, "usidx-map", "Frequency 310")
    wait_until_shown(watched, "usidx-curves", "Y 2.22 µm, X 1.11 µm")
    assert watched.complaints == []
    watched.page.close()


def test_an_analysis_is_run_and_written(app: App, tmp_path: Path) -> None:
    watched = app.open(file="scan.h5", at=RAW)
    wait_until_shown(watched, "usidx-curves", "Y 3.33 µm")
    watched.page.get_by_label("Analysis").select_option("NMF")
    watched.page.get_by_label("Components").fill("2")
    watched.page.get_by_label("Components").press("Tab")
    watched.page.get_by_role("button", name="Run", exact=True).click()
    watched.page.get_by_text("Write into the file").wait_for()
    script = watched.page.locator("pre.script").inner_text()
    assert "result = usidx.compute(abs(data).usid.nmf(n=2))" in script
    with watched.page.expect_download() as taken:
        watched.page.get_by_text("Save as recipe").click()
    taken.value.save_as(tmp_path / "taken.toml")
    assert 'verb = "nmf"' in (tmp_path / "taken.toml").read_text(encoding="utf-8")
    watched.page.get_by_text("Write into the file").click()
    watched.page.get_by_text("Written to").wait_for()
    written = [g for g in usidx.list_results(app.folder / "scan.h5") if "Decomposition" in g]
    assert usidx.open_result(app.folder / "scan.h5", written[-1]).sizes["component"] == 2
    expected = abs(usidx.open_main(app.folder / "scan.h5", RAW)).usid.nmf(2).components.values
    scope: dict[str, Any] = {}
    exec(script.replace("result.usid.write()", ""), scope)  # the very lines that the page shows
    assert scope["result"].components.values == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert watched.complaints == []
    watched.page.close()


def test_results_are_found_and_shown(app: App) -> None:
    watched = app.open(file="scan.h5")
    wait_until_shown(watched, "usidx-map", "Frequency")
    watched.page.get_by_placeholder("Search").fill("sho")
    assert watched.page.locator("button.entry:visible").count() == 1
    watched.page.locator("button.entry:visible").click()
    watched.page.get_by_role("heading", name="SHO_Fit").wait_for()
    wait_until_shown(watched, "usidx-map", "")
    wait_until_shown(watched, "usidx-curves", "Y 3.33 µm")
    fitted = usidx.open_result(app.folder / "scan.h5", "SHO_Fit_000")
    curve = abs(fitted.isel(Y=6, X=5).usid.evaluate()).values
    assert read_line(watched)[::13] == pytest.approx(1e3 * curve, rel=1e-4)  # twelve places between two samples
    assert watched.complaints == []
    watched.page.close()


def test_a_detector_on_a_pattern_makes_a_map(app: App) -> None:
    watched = app.open(file="patterns.h5")
    wait_until_shown(watched, "usidx-pattern", "Y ")
    watched.page.mouse.click(*find_point(watched, "usidx-pattern", 0.5, 0.5))
    wait_until_shown(watched, "usidx-map", "detector of 10 cells")
    read = f"Array.from({FIGURE}('usidx-map').renderers.at(0).data_source.get('image')[0])"
    watched.wait_for(f"{read}[0] > 1000")  # one cell of the pattern has a hundred counts
    data = usidx.open_main(app.folder / "patterns.h5").load()
    y, x = (data[d].values for d in data.dims[2:])
    inside = (x[None] - 0.5) ** 2 + (y[:, None] - 0.5) ** 2 < 100
    expected = (data.values.astype(float) * inside).sum(axis=(2, 3))
    assert watched.page.evaluate(read) == pytest.approx(expected.ravel(), rel=1e-5)
    assert watched.complaints == []
    watched.page.close()


def test_what_goes_wrong_is_said(app: App) -> None:
    """A file elsewhere is refused, one that is taken away is missed, and the address without its token is closed."""
    lost = app.folder / "lost.h5"
    usidx.example_file(lost)
    watched = app.open(file="lost.h5")
    wait_until_shown(watched, "usidx-map", "Frequency")
    lost.unlink()
    watched.page.get_by_text("is not there any more").wait_for()
    watched.page.get_by_placeholder("Path, then Enter").fill("/etc/passwd")
    watched.page.get_by_placeholder("Path, then Enter").press("Enter")
    watched.page.get_by_text("does not lie below").wait_for()
    assert watched.complaints == []
    answer = watched.page.context.browser.new_page().goto(app.address.split("?")[0], timeout=PATIENCE)
    assert answer is not None
    assert answer.status == 403
    watched.page.close()


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let an analysis take for ever; the event is set when it is ended."""
    ended = threading.Event()

    def work(task: Task, *_args: Any, **_options: Any) -> Any:
        while not task.is_cancelled:
            task.tell(0.5, "iteration 7")
            time.sleep(0.05)
        ended.set()
        raise Cancelled

    monkeypatch.setattr(jobs, "compute_outcome", work)
    return ended


def test_a_closed_tab_ends_its_analysis(app: App, endless: threading.Event) -> None:
    watched = app.open(file="scan.h5", at=RAW)
    wait_until_shown(watched, "usidx-curves", "Y 3.33 µm")
    watched.page.get_by_role("button", name="Run", exact=True).click()
    watched.page.get_by_text("iteration 7").wait_for()
    watched.page.close()
    assert endless.wait(PATIENCE / 1000)
    after = app.open(file="scan.h5", at=RAW)
    wait_until_shown(after, "usidx-curves", "Y 3.33 µm")
    assert watched.complaints + after.complaints == []
    after.page.close()


def test_an_analysis_is_cancelled(app: App, endless: threading.Event) -> None:
    watched = app.open(file="scan.h5", at=RAW)
    wait_until_shown(watched, "usidx-curves", "Y 3.33 µm")
    watched.page.get_by_role("button", name="Run", exact=True).click()
    watched.page.get_by_text("iteration 7").wait_for()
    watched.page.get_by_role("button", name="Cancel").click()
    assert endless.wait(PATIENCE / 1000)
    watched.page.get_by_text("iteration 7").wait_for(state="detached")
    assert watched.complaints == []
    watched.page.close()
