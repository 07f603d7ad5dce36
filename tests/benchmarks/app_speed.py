"""The browser app on a large file: how soon it answers, shows a map, and follows a click; and its memory.

    python tests/benchmarks/app_speed.py [--gigabytes 10] [--clicks 9] [--folder DIRECTORY]

Two files, one contiguous and one compressed by gzip in chunks of a megabyte. The first is sparse and takes no room on
the disk, the second nearly as much as it holds. The page is driven in a headless Chromium by playwright. What is
measured is printed as it is found, and nothing is waited for longer than a minute.

"first map" is the first picture: of a compressed file a map of a few rows, which grows. Clicks are timed while it does.
"""

from __future__ import annotations

import argparse
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np

_SIDE = 512
# At most; of memory four blocks of 8 MB beside what the program itself takes.
_LIMITS = {"answers": 3.0, "first map": 2.0, "click to spectrum": 0.15, "memory, MB": 282.0}
_PATIENCE = 60_000
_FIGURE = """(name => [...Bokeh.documents[0]._all_models.values()]
  .find(m => m.name === name && Bokeh.index.find_one(m) != null))"""
# The map is drawn, and nothing is on its way to be.
_SHOWN = f"""window.Bokeh?.documents[0]?.is_idle
  && {_FIGURE}('usidx-map')?.renderers.length && {_FIGURE}('usidx-map').title.text"""
_WHOLE = f"!{_FIGURE}('usidx-map').title.text.includes('coarse')"
# Sets a clock at the click, and stops it when the new numbers are drawn.
_CLOCK = f"""() => {{
  window.drawn = null
  const lines = {_FIGURE}('usidx-curves').renderers.find(r => r.name === 'usidx-lines').data_source
  const changed = lines.properties.data.change
  const stop = () => {{
    changed.disconnect(stop)
    requestAnimationFrame(() => {{ window.drawn = performance.now() - window.clicked }})
  }}
  changed.connect(stop)
  document.addEventListener('pointerup', () => {{ window.clicked = performance.now() }}, {{capture: true, once: true}})
}}"""
_PLACE = f"""([x, y]) => {{
  const view = Bokeh.index.find_one({_FIGURE}('usidx-map'))
  const box = view.canvas_view.el.getBoundingClientRect(), frame = view.frame.bbox
  return [box.x + frame.x + x * frame.width, box.y + frame.y + y * frame.height]
}}"""


def write_file(path: Path, gigabytes: float, *, is_compressed: bool) -> None:
    """Write a main of which the disk holds next to nothing, and its tables."""
    steps = int(gigabytes * 1e9 / _SIDE**2 / 4)
    y, x = np.divmod(np.arange(_SIDE**2, dtype="u4"), np.uint32(_SIDE))
    energy = np.arange(steps, dtype="u4")[None]
    with h5py.File(path, "w") as file:
        channel = file.create_group("Measurement_000/Channel_000")
        rows = max(1, 2**18 // steps) if is_compressed else None
        storage = {"chunks": (rows, steps), "compression": "gzip", "compression_opts": 4} if rows is not None else {}
        main = channel.create_dataset("Raw_Data", (_SIDE**2, steps), "f4", **storage)
        if rows is None:
            main[0, 0] = 1
        else:
            fill_chunks(main, rows)
        main.attrs.update(quantity="Intensity", units="counts")
        sides = {
            "Position": (np.stack([x, y], 1), 1e-9, ["X", "Y"], ["m", "m"]),
            "Spectroscopic": (energy, 1e-3, ["Energy"], ["eV"]),
        }
        for side, (indices, step, labels, units) in sides.items():
            for kind, table in (("Indices", indices), ("Values", (indices * step).astype("f4"))):
                dataset = channel.create_dataset(f"{side}_{kind}", data=table)
                dataset.attrs["labels"] = np.array(labels, h5py.string_dtype())
                dataset.attrs["units"] = np.array(units, h5py.string_dtype())
                main.attrs[f"{side}_{kind}"] = dataset.ref


def fill_chunks(main: h5py.Dataset, rows: int) -> None:
    """Write the same spectra into every chunk, compressed once."""
    spectra = np.tile(np.sin(np.arange(main.shape[1], dtype="f4") / 50), (rows, 1))
    stored = zlib.compress(spectra.tobytes(), 4)
    for start in range(0, main.shape[0], rows):
        main.id.write_direct_chunk((start, 0), stored)


def read_memory(process: int, which: str) -> float:
    """Return megabytes that a process holds ("VmRSS"), or held at most ("VmHWM")."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(which)).split()[1]) / 1000


def measure(path: Path, clicks: int, playwright: Any) -> Iterator[tuple[str, float]]:
    """Start the app, and time what a person waits for."""
    from playwright.sync_api import Error

    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
    page = browser.new_page(viewport={"width": 1400, "height": 950})
    page.set_default_timeout(_PATIENCE)
    page.goto("about:blank")
    begun = time.perf_counter()
    command = [sys.executable, "-m", "usidx", "view", str(path), "--no-browser"]
    app = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert app.stdout is not None
        assert select.select([app.stdout], [], [], _PATIENCE / 1000)[0], "the app does not answer"
        address = app.stdout.readline().strip()
        yield "answers", time.perf_counter() - begun
        begun = time.perf_counter()
        page.goto(address)
        page.wait_for_function(_SHOWN)
        yield "first map", time.perf_counter() - begun
        page.wait_for_function(f"{_FIGURE}('usidx-curves')?.title.text")
        yield "click to spectrum", statistics.median(time_click(page, n, clicks) for n in range(clicks))
        yield "memory, MB", read_memory(app.pid, "VmRSS")
        with suppress(Error):  # on a slow machine it takes longer than anybody waits
            page.wait_for_function(_WHOLE)
            yield "whole map", time.perf_counter() - begun
        yield "most memory, MB", read_memory(app.pid, "VmHWM")
    finally:
        app.terminate()
        browser.close()
        begun = time.perf_counter()
        app.wait(_PATIENCE / 1000)
    yield "ends", time.perf_counter() - begun


def time_click(page: Any, number: int, clicks: int) -> float:
    """Click on the map, and return how long it takes until the spectrum is drawn."""
    page.evaluate(_CLOCK)
    page.mouse.click(*page.evaluate(_PLACE, [(number + 0.5) / clicks, 0.2 + 0.6 * (number % 3) / 2]))
    page.wait_for_function("window.drawn")
    return float(page.evaluate("window.drawn")) / 1000


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=10)
    parser.add_argument("--clicks", type=int, default=9)
    parser.add_argument("--folder")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    measured: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder, sync_playwright() as playwright:
        for is_compressed in (False, True):
            path = Path(folder) / "large.h5"
            write_file(path, options.gigabytes, is_compressed=is_compressed)
            measured.append({})
            for name, found in measure(path, options.clicks, playwright):
                measured[-1][name] = found
                sys.stderr.write(f"{'gzip' if is_compressed else 'contiguous'}: {name} {found:.3g}\n")
    names = list(measured[0])
    rows = [
        f"| {n} | {' | '.join(f'{found.get(n, np.nan):.3g}' for found in measured)} | {_LIMITS.get(n, '')} |"
        for n in names
    ]
    sys.stdout.write("\n".join(["| what, in seconds | contiguous | gzip | at most |", "|---|---|---|---|", *rows, ""]))


if __name__ == "__main__":
    main()
