"""Memory that each verb takes on lazy data, whatever the size of the file.

    python tests/benchmarks/memory_use.py [--sizes 256 1024] [--folder DIRECTORY]

Each verb runs in a process of its own on files of several sizes, read in blocks of 16 MiB by as many threads as there
are cores. The table gives the most resident memory beyond what the process held when the file was open, less the memory
of the results themselves, which are kept. What a verb needs must not grow with the file. A second table is of patterns:
counts at 64 x 64 positions on a detector of 128 x 128, many more steps than positions.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import usidx
from usidx.testing.files import build_main

_COLUMNS = 1024
_CHUNK = {"chunks": (256, _COLUMNS), "compression": "gzip", "shuffle": True, "compression_opts": 1}

Verb = Callable[[xr.DataArray], Any]


def _filtered(raw: xr.DataArray) -> str:
    smooth = usidx.map_positions(_smooth, raw)
    return usidx.write(smooth, name="Smooth", progress=False)


def _smooth(spectra: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return (spectra + np.roll(spectra, 1, -1) + np.roll(spectra, -1, -1)) / np.float32(3)


def _denoised(raw: xr.DataArray) -> str:
    return usidx.write(usidx.reconstruct(usidx.svd(raw, 8)), name="Denoised", progress=False)


VERBS: dict[str, Verb] = {
    "mean": lambda raw: raw.mean().compute(),
    "svd(16)": lambda raw: usidx.svd(raw, 16).compute(),
    "pca(16)": lambda raw: usidx.pca(raw, 16).compute(),
    "nmf(4)": lambda raw: usidx.nmf(raw, 4).compute(),
    'cluster("kmeans", 4)': lambda raw: usidx.cluster(raw, "kmeans", 4).compute(),
    "fit(Gaussian() + Constant())": lambda raw: usidx.fit(
        raw, usidx.models.Gaussian() + usidx.models.Constant()
    ).compute(),
    "map_positions(smooth), written": _filtered,
    "svd(8), reconstruct, written": _denoised,
}

PATTERNS: dict[str, Verb] = {
    "svd(16)": lambda raw: usidx.svd(raw, 16).compute(),
    'svd(16, solver="adaptive")': lambda raw: usidx.svd(raw, 16, solver="adaptive").compute(),
    'svd(16, solver="gram")': lambda raw: usidx.svd(raw, 16, solver="gram").compute(),
    "pca(16)": lambda raw: usidx.pca(raw, 16).compute(),
    'pca(16, scale="poisson")': lambda raw: usidx.pca(raw, 16, scale="poisson").compute(),
    'pca(16, scale="std")': lambda raw: usidx.pca(raw, 16, scale="std").compute(),
    "nmf(8)": lambda raw: usidx.nmf(raw, 8).compute(),
    'nmf(8, scale="poisson")': lambda raw: usidx.nmf(raw, 8, scale="poisson").compute(),
    'cluster("kmeans", 8)': lambda raw: usidx.cluster(raw, "kmeans", 8).compute(),
}


def _build_patterns(folder: Path, side: int) -> tuple[str, str]:
    """Write counts of uint16: mixtures of eight spots, and the noise of counting."""
    random, detector = np.random.default_rng(0), 128
    y, x = np.meshgrid(*(np.arange(detector) - detector / 2,) * 2, indexing="ij")
    spots = [np.exp(-((y - 20 * np.sin(k)) ** 2 + (x - 20 * np.cos(k)) ** 2) / 120) for k in range(8)]
    counts = np.empty((side, side, detector, detector), "u2")
    for line in counts:
        line[:] = random.poisson(2 + 40 * np.tensordot(random.dirichlet(np.ones(8) / 2, side), np.stack(spots), 1))
    positions = [("Y", "m", range(side)), ("X", "m", range(side))]
    pixels = [("ky", "1/m", range(detector)), ("kx", "1/m", range(detector))]
    built = build_main(folder / "patterns.h5", counts, positions, pixels)
    return str(built.path), built.main


def _build(folder: Path, size: int) -> tuple[str, str]:
    """Write a scan of `size` MiB: peaks of four kinds, and noise."""
    rows = size * (1 << 20) // (4 * _COLUMNS)
    random = np.random.default_rng(0)
    x = np.linspace(0, 1, _COLUMNS, dtype="f4")
    kinds = np.stack([np.exp(-(((x - centre) / 0.05) ** 2)) for centre in (0.2, 0.4, 0.6, 0.8)])
    cells = random.dirichlet(np.ones(4) / 2, rows).astype("f4") @ kinds
    cells += 0.02
    for start in range(0, rows, 4096):
        part = cells[start : start + 4096]
        part += random.normal(0, 0.004, part.shape).astype("f4")
        np.round(np.abs(part, out=part) * 4096, out=part)
        part /= 4096
    side = next(n for n in range(int(rows**0.5), 0, -1) if rows % n == 0)
    dims = [("Y", "m", range(rows // side)), ("X", "m", range(side))], [("Energy", "eV", range(_COLUMNS))]
    path = folder / f"scan_{size}.h5"
    built = build_main(path, cells.reshape(rows // side, side, _COLUMNS), *dims, storage=_CHUNK)
    return str(built.path), built.main


def _resident() -> int:
    import psutil  # type: ignore[import-untyped,unused-ignore]

    return int(psutil.Process().memory_info().rss)


def _give_back() -> None:
    """Give the system back what was freed, which the runs before would else lend to the one that counts."""
    with suppress(AttributeError, OSError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)


def _measure(path: str, main: str, verb: str) -> dict[str, float]:
    """Run one verb and return seconds and MiB."""
    raw = usidx.open_main(path, main)
    line, run = raw.dims[0], (PATTERNS if path.endswith("patterns.h5") else VERBS)[verb]
    run(raw.isel({line: slice(max(2, raw.sizes[line] // 16))}))  # what is loaded and compiled once,
    raw.sum().compute()  # some of it when much was read
    _give_back()
    most = base = _resident()
    is_over = threading.Event()

    def sample() -> None:
        nonlocal most
        while not is_over.wait(0.005):
            most = max(most, _resident())

    thread = threading.Thread(target=sample, daemon=True)  # an error must not leave it waiting
    thread.start()
    begun, busy = time.perf_counter(), time.process_time()
    result = run(raw)
    spent, busy = time.perf_counter() - begun, time.process_time() - busy
    is_over.set()
    thread.join()
    kept = result.nbytes if isinstance(result, xr.Dataset | xr.DataArray) else 0
    return {"seconds": spent, "busy": busy, "extra": (most - base - kept) / (1 << 20), "result": kept / (1 << 20)}


def _in_a_process(path: str, main: str, verb: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", path, main, verb]
    found: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return found


def main() -> None:
    """Read the options and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 1024], help="MiB of cells")
    parser.add_argument("--scan", type=int, default=64, help="positions a side of the patterns")
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        sys.stdout.write(json.dumps(_measure(*options.one)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        built = {size: _build(Path(folder), size) for size in options.sizes}
        titles = [f"extra MiB of {size} MiB" for size in built] + ["MiB of the result", "s"]
        sys.stdout.write(f"| verb | {' | '.join(titles)} |\n{'|---' * (len(titles) + 1)}|\n")
        for verb in VERBS:
            runs = [_in_a_process(*place, verb) for place in built.values()]
            cells = [f"{run['extra']:.0f}" for run in runs] + [
                f"{runs[-1]['result']:.0f}",
                f"{runs[-1]['seconds']:.1f}",
            ]
            sys.stdout.write(f"| {verb} | {' | '.join(cells)} |\n")
            sys.stdout.flush()
        place = _build_patterns(Path(folder), options.scan)
        sys.stdout.write("\n| patterns | extra MiB | MiB of the result | s of all cores |\n|---|---|---|---|\n")
        for verb in PATTERNS:
            run = _in_a_process(*place, verb)
            sys.stdout.write(f"| {verb} | {run['extra']:.0f} | {run['result']:.0f} | {run['busy']:.1f} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
