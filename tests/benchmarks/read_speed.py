"""Reading a main dataset: usidx beside h5py, dask on h5py, pyUSID and xarray with h5netcdf, in one run.

    python tests/benchmarks/read_speed.py [--size 256] [--rounds 5] [--folder DIRECTORY]

Each way reads the same float32 cells and sums them, in turns; the table shows medians, their ranges, ratios to usidx,
time summed over the cores (which programs beside this one disturb least), and the memory that each way takes in a
process of its own, beyond what it has after reading a small file. xarray cannot open a USID file by h5netcdf, because
of the references in its attributes, so it reads a copy without them. The first round, in which code is compiled and the
file comes into memory, is not counted. Each way runs in this one process with the threads that dask takes by default.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import dask.array
import h5py
import numpy as np
import xarray as xr

import usidx
from usidx.testing.files import build_main

_COLUMNS = 1024
_ROWS_OF_A_CHUNK = 256
_ROWS_OF_A_BLOCK = 8192
_SMALL = 4  # MiB
_LAYOUTS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "chunked 1 MiB": {"chunks": (_ROWS_OF_A_CHUNK, _COLUMNS)},
    "gzip 4 + shuffle": {"chunks": (_ROWS_OF_A_CHUNK, _COLUMNS), "compression": "gzip", "shuffle": True},
}


def _spectra(rows: int) -> np.ndarray[Any, Any]:
    """Make smooth spectra with the noise of a 12-bit converter, which compress about as measured ones do."""
    random = np.random.default_rng(0)
    line = np.sin(np.linspace(0, 20, _COLUMNS, dtype="f4"))
    cells = np.empty((rows, _COLUMNS), "f4")
    for start in range(0, rows, _ROWS_OF_A_BLOCK):
        part = cells[start : start + _ROWS_OF_A_BLOCK]
        part[...] = line * random.random((len(part), 1), "f4") + random.normal(0, 0.002, part.shape).astype("f4")
        np.round(part * 2048, out=part)
    return cells / np.float32(2048)


def _lazily(path: Path, main: str) -> float:
    return float(usidx.open_main(path, main, chunks={}).sum(skipna=False).compute())


def _at_once(path: Path, main: str) -> float:
    return float(usidx.open_main(path, main, chunks=None).load().sum(skipna=False))


def _h5py(path: Path, main: str) -> float:
    total = 0.0
    with h5py.File(path) as file:
        for start in range(0, file[main].shape[0], _ROWS_OF_A_BLOCK):
            total += float(file[main][start : start + _ROWS_OF_A_BLOCK].sum())
    return total


def _h5py_at_once(path: Path, main: str) -> float:
    with h5py.File(path) as file:
        return float(file[main][()].sum())


def _dask(path: Path, main: str) -> float:
    with h5py.File(path) as file:
        array = dask.array.from_array(file[main], chunks=(_ROWS_OF_A_BLOCK, _COLUMNS), name="x")
        return float(array.sum().compute())


def _pyusid(path: Path, main: str) -> float:
    from pyUSID import USIDataset

    with h5py.File(path) as file:
        return float(USIDataset(file[main]).get_n_dim_form(lazy=True).sum().compute())


def _xarray(path: Path, main: str) -> float:
    with xr.open_dataset(path, engine="h5netcdf", chunks={"rows": _ROWS_OF_A_BLOCK}) as data:
        return float(data["x"].sum(skipna=False).compute())


_WAYS: dict[str, Callable[[Path, str], float]] = {
    "usidx": _lazily,
    "usidx, at once": _at_once,
    "h5py blocks": _h5py,
    "h5py at once": _h5py_at_once,
    "dask on h5py": _dask,
    "pyUSID lazy": _pyusid,
    "xarray h5netcdf": _xarray,
}


@lru_cache(maxsize=1)
def _process() -> Any:
    import psutil  # type: ignore[import-untyped,unused-ignore]

    return psutil.Process()


def _resident() -> int:
    return int(_process().memory_info().rss)


class _Memory:
    """The most resident memory while a block runs, sampled, over what there was before."""

    def __enter__(self) -> _Memory:
        self._base = self._most = _resident()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def _sample(self) -> None:
        while not self._stop.wait(0.005):
            self._most = max(self._most, _resident())

    def __exit__(self, *unused: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def extra(self) -> float:
        """MiB."""
        return (self._most - self._base) / (1 << 20)


def _files(folder: Path, size: int, storage: dict[str, Any]) -> tuple[Path, str, Path]:
    """Make a USID file, and one with the same cells and plain dimensions."""
    rows = size * (1 << 20) // (4 * _COLUMNS) // _ROWS_OF_A_CHUNK * _ROWS_OF_A_CHUNK
    side = next(n for n in range(int(rows**0.5), 0, -1) if rows % n == 0)
    cells = _spectra(rows)
    dims = [("Y", "m", range(rows // side)), ("X", "m", range(side))], [("Bias", "V", range(_COLUMNS))]
    built = build_main(folder / "scan.h5", cells.reshape(rows // side, side, _COLUMNS), *dims, storage=storage)
    with h5py.File(folder / "plain.nc", "w") as file:
        dataset = file.create_dataset("x", data=cells, **storage)
        for axis, (name, length) in enumerate({"rows": rows, "columns": _COLUMNS}.items()):
            file.create_dataset(name, data=np.arange(length)).make_scale(name)
            dataset.dims[axis].attach_scale(file[name])
    return built.path, built.main, folder / "plain.nc"


def _measure(way: str, path: Path, main: str, plain: Path, wanted: float) -> tuple[float, float]:
    """Return seconds on the clock and seconds of all cores of one turn."""
    start, busy = time.perf_counter(), time.process_time()
    found = _WAYS[way](plain if way.startswith("xarray") else path, main)
    spent, used = time.perf_counter() - start, time.process_time() - busy
    if abs(found - wanted) > 1e-4 * abs(wanted):
        raise SystemExit(f"{way} found the sum {found} instead of {wanted}")
    return spent, used


def _extra(way: str, path: Path, main: str, plain: Path, small: Path) -> float:
    """Return the MiB that a way takes in a process of its own, which has read a small file before."""
    paths = [str(plain if way.startswith("xarray") else path), main, str(small)]
    command = [sys.executable, __file__, "--alone", way, *paths]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def _alone(way: str, path: str, main: str, small: str) -> float:
    _WAYS[way](Path(small), main)
    with _Memory() as memory:
        _WAYS[way](Path(path), main)
    return memory.extra


def _ways() -> list[str]:
    missing = []
    for way, package in {"pyUSID lazy": "pyUSID", "xarray h5netcdf": "h5netcdf"}.items():
        try:
            __import__(package)
        except ImportError:
            missing.append(way)
    return [way for way in _WAYS if way not in missing]


def measure(size: int, rounds: int, folder: Path) -> Iterator[str]:
    """Yield the rows of the table."""
    ways = _ways()
    yield f"| {size} MiB, median of {rounds}, s | " + " | ".join(ways) + " |"
    yield "|---" * (len(ways) + 1) + "|"
    for name, storage in _LAYOUTS.items():
        path, main, plain = _files(folder, size, storage)
        wanted = _h5py(path, main)
        turns = [[_measure(way, path, main, plain, wanted) for way in ways] for _ in range(rounds + 1)][1:]
        columns = [[turn[index] for turn in turns] for index in range(len(ways))]
        medians = [statistics.median(seconds for seconds, _ in column) for column in columns]
        spans = [f"{min(column)[0]:.3f}-{max(column)[0]:.3f}" for column in columns]
        yield _row(name, [f"{median:.3f} ({span})" for median, span in zip(medians, spans, strict=True)])
        yield _row("time / that of usidx", [f"{median / medians[0]:.2f}" for median in medians])
        yield _row("s of all cores", [f"{statistics.median(used for _, used in column):.3f}" for column in columns])
        small = _files(_folder(folder / "small"), _SMALL, storage)
        extra = [_extra(way, path, main, plain, small[2] if way.startswith("xarray") else small[0]) for way in ways]
        yield _row("extra MiB", [f"{one:.0f}" for one in extra])
        for file in (path, plain, small[0], small[2]):
            file.unlink()


def _folder(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path


def _row(name: str, cells: list[str]) -> str:
    return f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    """Read the options and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="MiB of cells")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--alone", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        sys.stdout.write(str(_alone(*options.alone)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for line in measure(options.size, options.rounds, Path(folder)):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
