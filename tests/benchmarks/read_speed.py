"""Reading a main dataset: usidx beside h5py, dask on h5py, pyUSID and xarray with h5netcdf, in one run.

    python tests/benchmarks/read_speed.py [--size 256] [--rounds 5] [--folder DIRECTORY]

Each way reads the same float32 cells and sums them, in turns; the table shows medians, their ranges, ratios to usidx,
time summed over the cores (which programs beside this one disturb least), and the memory that each way takes in a
process of its own, beyond what it has after reading a small file. xarray cannot open a USID file by h5netcdf, because
of the references in its attributes, so it reads a copy without them. The first round, in which code is compiled and the
file comes into memory, is not counted. Each way runs in this one process with the threads that dask takes by default.

Two smaller tables follow: an image, one cell of every spectrum, out of a contiguous main that is open already, beside
h5py reading the same column; and files of many small mains, beside h5py meeting the same objects and reading each
main's references, and `open_tree` also beside the shortest code that makes a DataTree of them with h5py and xarray.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from itertools import chain
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
_LAYOUTS: dict[str, tuple[int, dict[str, Any]]] = {
    "contiguous": (_COLUMNS, {}),
    "chunked 1 MiB": (_COLUMNS, {"chunks": (_ROWS_OF_A_CHUNK, _COLUMNS)}),
    "gzip 4 + shuffle": (
        _COLUMNS,
        {"chunks": (_ROWS_OF_A_CHUNK, _COLUMNS), "compression": "gzip", "shuffle": True},
    ),
    "gzip 4 + shuffle, 4096 samples": (
        4 * _COLUMNS,
        {"chunks": (_ROWS_OF_A_CHUNK // 4, 4 * _COLUMNS), "compression": "gzip", "shuffle": True},
    ),
}
#: Samples of the spectra out of which an image is read, and which of them.
_LENGTHS, _STEP = (1024, 4096, 16384, 65536), 17
_MAINS = 300
_TABLES = ("Position_Indices", "Position_Values", "Spectroscopic_Indices", "Spectroscopic_Values")


def _spectra(rows: int, columns: int) -> np.ndarray[Any, Any]:
    """Make smooth spectra with the noise of a 12-bit converter, which compress about as measured ones do."""
    random = np.random.default_rng(0)
    line = np.sin(np.linspace(0, 20, columns, dtype="f4"))
    cells = np.empty((rows, columns), "f4")
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
        array = dask.array.from_array(file[main], chunks=(_ROWS_OF_A_BLOCK, file[main].shape[1]), name="x")
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


def _files(folder: Path, size: int, columns: int, storage: dict[str, Any]) -> tuple[Path, str, Path]:
    """Make a USID file, and one with the same cells and plain dimensions."""
    rows = size * (1 << 20) // (4 * columns) // _ROWS_OF_A_CHUNK * _ROWS_OF_A_CHUNK
    side = next(n for n in range(int(rows**0.5), 0, -1) if rows % n == 0)
    cells = _spectra(rows, columns)
    dims = [("Y", "m", range(rows // side)), ("X", "m", range(side))], [("Bias", "V", range(columns))]
    built = build_main(folder / "scan.h5", cells.reshape(rows // side, side, columns), *dims, storage=storage)
    with h5py.File(folder / "plain.nc", "w") as file:
        dataset = file.create_dataset("x", data=cells, **storage)
        for axis, (name, length) in enumerate({"rows": rows, "columns": columns}.items()):
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
    for name, (columns, storage) in _LAYOUTS.items():
        path, main, plain = _files(folder, size, columns, storage)
        wanted = _h5py(path, main)
        turns = [[_measure(way, path, main, plain, wanted) for way in ways] for _ in range(rounds + 1)][1:]
        found = [[turn[index] for turn in turns] for index in range(len(ways))]
        medians = [statistics.median(seconds for seconds, _ in column) for column in found]
        spans = [f"{min(column)[0]:.3f}-{max(column)[0]:.3f}" for column in found]
        yield _row(name, [f"{median:.3f} ({span})" for median, span in zip(medians, spans, strict=True)])
        yield _row("time / that of usidx", [f"{median / medians[0]:.2f}" for median in medians])
        yield _row("s of all cores", [f"{statistics.median(used for _, used in column):.3f}" for column in found])
        small = _files(_folder(folder / "small"), 4 * _SMALL if columns > _COLUMNS else _SMALL, columns, storage)
        extra = [_extra(way, path, main, plain, small[2] if way.startswith("xarray") else small[0]) for way in ways]
        yield _row("extra MiB", [f"{one:.0f}" for one in extra])
        for file in (path, plain, small[0], small[2]):
            file.unlink()


def images(size: int, rounds: int, folder: Path) -> Iterator[str]:
    """Yield the rows of the table of images."""
    yield from (
        "",
        f"| one image of a contiguous main of {size} MiB, ms | usidx | h5py | times faster |",
        "|---" * 4 + "|",
    )
    for columns in _LENGTHS:
        rows = size * (1 << 18) // columns
        cells = np.random.default_rng(0).random((1, rows, columns), "f4")
        dims = [("Y", "m", [0.0]), ("X", "m", range(rows))], [("Bias", "V", range(columns))]
        built = build_main(folder / "image.h5", cells, *dims)
        opened = usidx.open_main(built.path, chunks=None)
        ways = {"usidx": partial(_image, opened), "h5py": partial(_column, built.path, built.main)}
        for read in ways.values():
            np.testing.assert_array_equal(read(), cells[0, :, _STEP])
        yield _beside(f"spectra of {columns} samples", ways, rounds)
        built.path.unlink()


def _image(opened: xr.DataArray) -> np.ndarray[Any, Any]:
    return np.asarray(opened.isel(Bias=_STEP).values).reshape(-1)


def _column(path: Path, main: str) -> np.ndarray[Any, Any]:
    with h5py.File(path) as file:
        return np.asarray(file[main][:, _STEP])


def openings(rounds: int, folder: Path) -> Iterator[str]:
    """Yield the rows of the table of files with many mains."""
    yield ""
    yield f"| a file of {_MAINS} mains, ms | usidx | h5py walk | times faster |"
    yield "|---" * 4 + "|"
    for kind, make in {"one channel": _one_channel, "a channel each": _channels}.items():
        path = folder / "many.h5"
        make(path)
        whole: dict[str, Callable[[Path], Any]] = {
            "list_mains": usidx.list_mains,
            "validate": usidx.validate,
            "open_tree": usidx.open_tree,
        }
        for name, work in whole.items():
            yield _beside(f"{name}, {kind}", {"usidx": partial(work, path), "h5py": partial(_walk, path)}, rounds)
        ways = {"usidx": partial(usidx.open_tree, path), "by hand": partial(_make_tree_by_hand, path)}
        yield _beside(f"open_tree beside xarray by hand, {kind}", ways, rounds)
        path.unlink()


def _one_channel(path: Path) -> None:
    with h5py.File(path, "w") as file:
        channel = file.create_group("Measurement_000/Channel_000")
        first = build_main(channel, np.zeros((4, 8)), [("X", "m", range(4))], [("Bias", "V", range(8))], name="Raw_0")
        for number in range(1, _MAINS):
            build_main(channel, first.array, first.position, first.spectroscopic, name=f"Raw_{number}")


def _channels(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for number in range(_MAINS):
            channel = file.create_group(f"Measurement_000/Channel_{number:03}")
            build_main(channel, np.zeros((4, 8)), [("X", "m", range(4))], [("Bias", "V", range(8))])


def _walk(path: Path) -> int:
    """Meet each object, and read the tables and labels that each main refers to."""
    cells = 0

    def visit(_: str, found: h5py.Group | h5py.Dataset) -> None:
        nonlocal cells
        for value in found.attrs.values():
            if isinstance(value, h5py.Reference):
                table = found.file[value]
                cells += table[()].size + len(table.attrs["labels"])

    with h5py.File(path) as file:
        file.visititems(visit)
    return cells


def _make_tree_by_hand(path: Path) -> xr.DataTree:
    """Make a tree of lazy arrays with their coordinates, checking nothing: the least that h5py and xarray take."""
    nodes: dict[str, xr.Dataset] = {}

    def visit(name: str, found: h5py.Group | h5py.Dataset) -> None:
        if "Position_Indices" not in found.attrs:
            dict(found.attrs)
            return
        tables = {kind: found.file[found.attrs[kind]] for kind in _TABLES}
        coords: dict[str, Any] = {}
        for side in ("Position", "Spectroscopic"):
            places, values = tables[f"{side}_Indices"], tables[f"{side}_Values"]
            names, units = places.attrs["labels"].astype(str), values.attrs["units"].astype(str)
            rows = zip(names, units, values[()].T if side == "Position" else values[()], strict=True)
            coords |= {label: (label, np.unique(row), {"units": unit}) for label, unit, row in rows}
            places[()]
        shape = [len(values) for _, values, _ in coords.values()]
        lazy = dask.array.from_array(np.broadcast_to(np.float64(0), shape), chunks=-1, name=name, asarray=False)
        nodes[name] = xr.Dataset({name.rpartition("/")[2]: (tuple(coords), lazy, dict(found.attrs))}, coords=coords)

    with h5py.File(path) as file:
        file.visititems(visit)
    return xr.DataTree.from_dict(nodes)


def _beside(name: str, ways: Mapping[str, Callable[[], Any]], rounds: int) -> str:
    """Return a row of median times, the ways taking turns, and how many times the first is faster than the second."""
    spent: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds + 1):
        for way, work in ways.items():
            start = time.perf_counter()
            work()
            spent[way].append(time.perf_counter() - start)
    medians = [1000 * statistics.median(seconds[1:]) for seconds in spent.values()]
    return _row(name, [*(f"{median:.1f}" for median in medians), f"{medians[1] / medians[0]:.2f}"])


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
        at = Path(folder)
        tables = (
            measure(options.size, options.rounds, at),
            images(options.size, options.rounds, at),
            openings(options.rounds, at),
        )
        for line in chain.from_iterable(tables):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
