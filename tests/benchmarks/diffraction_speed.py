"""Virtual detectors and centers of mass beside LiberTEM, dask and NumPy, in one run.

    python tests/benchmarks/diffraction_speed.py [--size 64] [--rounds 5] [--folder DIRECTORY] [--libertem PYTHON]

A scan of size x size positions by 256 x 256 counts (uint16), contiguous and in HDF5 chunks of eight patterns; the files
lie in memory where the system has it. The ways take turns, and each opens its file; the table shows medians of the time
on the clock, and summed over the cores, which programs beside these disturb least. LiberTEM runs in a process of its
own, by its pipelined executor with two workers, where the interpreter that is named has it; all must find the same.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import xarray as xr

import usidx
from usidx.diffraction import Annulus, center_of_mass, virtual_image

PIXELS = 256
RADII = 30.0, 90.0
RING = Annulus((PIXELS / 2, PIXELS / 2), *RADII)
DIMS = ("Y", "X", "ky", "kx")

Way = Callable[[], Any]


def make_files(folder: Path, size: int) -> None:
    """Write the scan as bare numbers, and as mains and plain datasets, contiguous and in chunks."""
    random = np.random.default_rng(0)
    frame = random.poisson(3, (PIXELS, PIXELS)).astype("u2")
    scan = np.empty((size, size, PIXELS, PIXELS), "u2")
    for row in range(size):
        scan[row] = np.roll(frame, row, 0)[None] + random.integers(0, 3, (size, 1, 1)).astype("u2")
    scan.tofile(folder / "scan.raw")
    (folder / "scan.json").write_text(json.dumps({"shape": scan.shape, "dtype": "<u2"}))
    labelled = usidx.set_roles(xr.DataArray(scan, dims=DIMS, name="scan"), position=DIMS[:2], spectroscopic=DIMS[2:])
    usidx.write(labelled, folder / "contiguous_main.h5", progress=False)
    usidx.write(labelled, folder / "chunked_main.h5", progress=False, chunks=(8, PIXELS**2))
    with h5py.File(folder / "chunked.h5", "w") as file:
        file.create_dataset("scan", data=scan, chunks=(1, 8, PIXELS, PIXELS))


def list_ways(folder: Path, size: int) -> dict[str, dict[str, Way]]:
    """Return task -> who -> what is called, which returns the first values."""
    y, x = np.mgrid[:PIXELS, :PIXELS].astype("f4")
    distance = np.hypot(y - PIXELS / 2, x - PIXELS / 2)
    ring = ((distance >= RADII[0]) & (distance < RADII[1])).astype("f4")
    counts = np.memmap(folder / "scan.raw", "u2", "r", shape=(size, size, PIXELS, PIXELS))
    stored = h5py.File(folder / "chunked.h5")["scan"]
    cut = {"chunks": (2, size, PIXELS, PIXELS), "name": False}

    def detect(source: str) -> Any:
        return virtual_image(usidx.open_main(folder / f"{source}_main.h5"), RING).values

    def weigh(source: str) -> Any:
        found = center_of_mass(usidx.open_main(folder / f"{source}_main.h5")).compute()
        return np.stack([found.y, found.x], -1)

    def detect_raw() -> Any:
        tree = usidx.read_instrument(folder / "scan.raw", position=DIMS[:2], spectroscopic=DIMS[2:])
        return virtual_image(next(v for leaf in tree.leaves for v in leaf.data_vars.values()), RING).values

    def weigh_by_dask(values: Any) -> Any:
        total = da.tensordot(values.astype("f4"), np.stack([np.ones_like(y), y, x], -1), 2).compute()
        return total[..., 1:] / total[..., :1]

    def both() -> Any:
        source = usidx.open_main(folder / "contiguous_main.h5")
        return usidx.compute(virtual_image(source, RING), center_of_mass(source), progress=False)[0].values

    def detect_by_numpy() -> Any:
        return np.stack([row.astype("f4").reshape(size, -1) @ ring.ravel() for row in counts])

    def detect_by_dask(source: Any) -> Way:
        return lambda: da.tensordot(da.from_array(source, **cut).astype("f4"), ring, 2).compute()

    return {
        "detector, contiguous": {
            "usidx": lambda: detect("contiguous"), "usidx, .raw": detect_raw, "usidx, with centers of mass": both,
            "dask tensordot": detect_by_dask(counts), "NumPy, row by row": detect_by_numpy,
            "dask (d * mask).sum()": lambda: (da.from_array(counts, **cut) * ring).sum((2, 3)).compute(),
        },
        "center of mass, contiguous": {
            "usidx": lambda: weigh("contiguous"),
            "dask tensordot": lambda: weigh_by_dask(da.from_array(counts, **cut)),
        },
        "detector, chunked": {"usidx": lambda: detect("chunked"), "dask tensordot": detect_by_dask(stored)},
    }  # fmt: skip


class LiberTEM:
    """LiberTEM in its process."""

    def __init__(self, python: str, folder: Path, size: int) -> None:
        program = Path(__file__).with_name("diffraction_libertem.py")
        command = [python, str(program), str(folder), *map(str, (size, PIXELS, *RADII))]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        first = self._read()
        self.start = first["seconds"] if first else None

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return json.loads(line) if line else None

    def run(self, task: str) -> tuple[tuple[float, float], Any]:
        """Return times, on the clock and of the cores, and the first values."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{task.replace('center of mass', 'com')}\n")
        self._process.stdin.flush()
        found = self._read()
        return (found["seconds"], found["cpu"]), np.array(found["values"])

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def measure(ways: dict[str, Way], rounds: int, libertem: LiberTEM | None, task: str) -> dict[str, tuple[float, float]]:
    """Return the medians of each way; the first turn counts for nothing, but all must agree in it."""
    times: dict[str, list[tuple[float, float]]] = {}
    expected: Any = None
    for _ in range(rounds + 1):
        for who, call in ways.items():
            begin, cpu = time.perf_counter(), time.process_time()
            found = np.asarray(call(), np.float64).ravel()[:4]
            times.setdefault(who, []).append((time.perf_counter() - begin, time.process_time() - cpu))
            expected = found if expected is None else expected
            np.testing.assert_allclose(found, expected, rtol=1e-4)
        if libertem is not None:
            both, found = libertem.run(task)
            times.setdefault("LiberTEM", []).append(both)
            np.testing.assert_allclose(found, expected, rtol=1e-4)
    return {who: tuple(statistics.median(one) for one in zip(*t[1:], strict=True)) for who, t in times.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm") if Path("/dev/shm").is_dir() else None)
    parser.add_argument("--libertem", default=sys.executable, help="an interpreter that has LiberTEM")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as made:
        folder = Path(made)
        make_files(folder, options.size)
        libertem: LiberTEM | None = LiberTEM(options.libertem, folder, options.size)
        if libertem is not None and libertem.start is None:
            libertem.close()
            libertem = None
        gigabytes = (folder / "scan.raw").stat().st_size / 2**30
        lines = ["| task | who | ms | GiB/s | of cores, ms | / those of usidx |", "|---|---|---:|---:|---:|---:|"]
        for task, ways in list_ways(folder, options.size).items():
            found = measure(ways, options.rounds, libertem, task)
            lines += [
                f"| {task} | {who} | {1e3 * clock:.0f} | {gigabytes / clock:.2f} | {1e3 * cpu:.0f} | "
                f"{clock / found['usidx'][0]:.1f}, {cpu / found['usidx'][1]:.1f} |"
                for who, (clock, cpu) in found.items()
            ]
        if libertem is not None and libertem.start is not None:
            lines.append(f"| start | LiberTEM | {1e3 * libertem.start:.0f} | | | |")
            libertem.close()
        sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
