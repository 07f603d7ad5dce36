"""Time that each verb takes on workers of dask.distributed, in tables for docs/scaling.md.

    python tests/benchmarks/cluster_speed.py cores storage overhead peers [--mebibytes 128] [--verbs svd nmf]

`cores` takes a file of compressed chunks: two processes of one thread beside one of them, and beside two threads of one
process. `storage` has blocks of 256 KiB, each of which takes 50 ms to come, as from storage that is slow (of `fit` and
`map_positions` the function sleeps, as long in all): what 2, 4, 8 and 16 workers are worth there. `overhead` has blocks
of some hundred bytes on two processes: what an iteration over four of them takes, and what one more block adds to a
pass. `peers` does on two processes what dask-ml does, too, with its default settings and ours. No blocks are kept
between passes. Times are the least of `--repeat` runs.
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import numpy as np
import xarray as xr
from distributed import Client

import usidx
from usidx.tasks import passes
from usidx.testing.files import build_main

_COLUMNS = 512
_CHUNK = {"chunks": (256, _COLUMNS), "compression": "gzip", "shuffle": True, "compression_opts": 1}

Verb = Callable[[xr.DataArray], Any]

VERBS: dict[str, Verb] = {
    "svd": lambda raw: raw.usid.svd(8),
    "pca": lambda raw: raw.usid.pca(8),
    "nmf": lambda raw: raw.usid.nmf(4, solver="compressed"),
    "kmeans": lambda raw: raw.usid.cluster("kmeans", 6),
    "minibatch": lambda raw: raw.usid.cluster("minibatch", 6),
    "gmm": lambda raw: raw.isel(Bias=slice(0, None, 32)).usid.cluster("gmm", 6),
    "mcr_als": lambda raw: raw.usid.mcr_als(4, max_iter=5),
    "fit": lambda raw: raw.isel(Bias=slice(0, None, 8)).usid.fit(usidx.models.Gaussian(), dim="Bias"),
    "map_positions": lambda raw: usidx.map_positions(_measure_spread, raw, like=0.0),
}


def _measure_spread(spectrum: Any) -> float:
    return float(np.ptp(np.sort(spectrum)))


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _draw(rows: int, columns: int) -> Any:
    rng = np.random.default_rng(0)
    bias = np.linspace(0, 1, columns)
    profiles = np.exp(-(((bias - np.linspace(0.2, 0.8, 4)[:, np.newaxis]) / 0.05) ** 2))
    made = rng.dirichlet([0.4] * 4, rows) @ profiles + 0.05 * rng.random((rows, columns))
    return made.astype(np.float32)


@functools.lru_cache
def _draw_slabs() -> Any:
    return _draw(128 * 8, _COLUMNS).reshape(8, 1, 128, _COLUMNS)


def _read_slowly(delay: float, block_info: Any = None) -> Any:
    """Give one of a few slabs that are made once: the graph holds no samples, as that of a file holds none."""
    time.sleep(delay)
    return _draw_slabs()[block_info[None]["chunk-location"][0] % 8]


def _open_slow(blocks: int, delay: float) -> xr.DataArray:
    """Give blocks of 256 KiB that each take their time to come."""
    import dask.array as da

    chunks = ((1,) * blocks, (128,), (_COLUMNS,))
    lazy = da.map_blocks(_read_slowly, delay, chunks=chunks, dtype=np.float32, meta=np.empty((0, 0, 0), "f4"))
    coords = {"Bias": np.linspace(0, 1, _COLUMNS)}
    return xr.DataArray(lazy, coords, ("Y", "X", "Bias"), "Raw_Data").usid.set_roles(position=["Y", "X"])


@contextmanager
def _start(workers: int, threads: int, *, processes: bool) -> Iterator[None]:
    # Workers that are threads share one memory: each would take that of all for its own, and pause.
    limit = "auto" if processes else None
    with Client(
        n_workers=workers, threads_per_worker=threads, processes=processes, dashboard_address=None, memory_limit=limit
    ) as client:
        client.wait_for_workers(workers)
        yield


def _time(verb: Verb, raw: xr.DataArray, repeat: int) -> float:
    """Return the least time of some runs, after a short one for imports and machine code."""
    verb(raw.isel(Y=slice(2))).compute()
    return _time_again(verb, raw, repeat)


def _time_again(verb: Verb, raw: xr.DataArray, repeat: int) -> float:
    found = []
    for _ in range(repeat):
        begun = time.perf_counter()
        usidx.compute(verb(raw), progress=False)
        found.append(time.perf_counter() - begun)
    return min(found)


def _count_rows(asked: argparse.Namespace) -> int:
    return int(max(4, asked.mebibytes * 2**20 // (4 * _COLUMNS * 256)) * 256)


def _open_file(path: Path, values: Any) -> xr.DataArray:
    height = len(values) // 256
    dims = (
        [("Y", "um", np.arange(height)), ("X", "um", np.arange(256))],
        [("Bias", "V", np.linspace(0, 1, _COLUMNS))],
    )
    build_main(path, values.reshape(height, 256, _COLUMNS), *dims, storage=_CHUNK)
    return usidx.open_main(path, chunks={"Y": max(1, height // 16)})


def _compare_cores(asked: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        raw = _open_file(Path(folder, "scan.h5"), _draw(_count_rows(asked), _COLUMNS))
        times: list[list[float]] = []
        for shape in ((1, 1), (2, 1), (1, 2)):
            with _start(*shape, processes=True):
                times.append([_time(VERBS[name], raw, asked.repeat) for name in asked.verbs])
    _tell("| verb | one process | two processes | two threads | gain | beside threads |\n|---|---|---|---|---|---|")
    for name, one, two, both in zip(asked.verbs, *times, strict=True):
        _tell(f"| {name} | {one:.2f} s | {two:.2f} s | {both:.2f} s | {one / two:.2f} | {two / both:.2f} |")


#: Few iterations will do: each has the same blocks.
SHORT: dict[str, Verb] = {
    "nmf": lambda raw: raw.usid.nmf(4, solver="hals", max_iter=4, tol=0),
    "kmeans": lambda raw: raw.usid.cluster("kmeans", 6, max_iter=4),
    "gmm": lambda raw: raw.isel(Bias=slice(0, None, 32)).usid.cluster("gmm", 6, max_iter=4),
    "mcr_als": lambda raw: raw.usid.mcr_als(4, max_iter=3, tol=0),
    "fit": lambda raw: raw.isel(X=slice(1)).usid.fit(usidx.models.Function(_wait_for_level), dim="Bias"),
    "map_positions": lambda raw: usidx.map_positions(_sleep, raw.isel(X=slice(4)), like=0.0),
}


def _sleep(spectrum: Any) -> float:
    time.sleep(0.0125)
    return float(spectrum[0])


def _wait_for_level(bias: Any, level: Any = 1.0) -> Any:
    time.sleep(0.01)
    return level + np.asarray(0 * bias, float)


def _compare_storage(asked: argparse.Namespace) -> None:
    _tell(f"| verb | {' | '.join(f'{n} workers' for n in asked.workers)} |\n|---|{'---|' * len(asked.workers)}")
    for name in asked.verbs:
        raw = _open_slow(asked.blocks, 0.0 if name in {"fit", "map_positions"} else asked.delay)
        times = [_time_on(count, (VERBS | SHORT)[name], raw, asked.repeat) for count in asked.workers]
        gains = " | ".join(f"{times[0] / taken * asked.workers[0]:.1f}" for taken in times)
        _tell(f"| {name} ({times[0]:.1f} s) | {gains} |")


def _time_on(workers: int, verb: Verb, raw: xr.DataArray, repeat: int) -> float:
    # Workers that are threads of this process: what they wait for takes no core.
    with _start(workers, 1, processes=False):
        return _time(verb, raw, repeat)


#: Verbs that pass over all blocks a number of times that is asked for.
PASSING: dict[str, Callable[[xr.DataArray, int], Any]] = {
    "nmf": lambda raw, passes: raw.usid.nmf(2, solver="hals", max_iter=passes, tol=0),
    "mcr_als": lambda raw, passes: raw.usid.mcr_als(2, max_iter=passes, tol=0),
    "kmeans": lambda raw, passes: raw.usid.cluster("kmeans", 4, max_iter=passes, tol=0),
}
#: Verbs of graphs, which pass so often.
GRAPHS: dict[str, tuple[Verb, int]] = {
    "svd": (lambda raw: raw.usid.svd(2, solver="gram"), 2),
    "fit": (lambda raw: raw.usid.fit(usidx.models.Constant(), dim="Bias"), 1),
    "map_positions": (lambda raw: usidx.map_positions(_measure_spread, raw, like=0.0), 1),
}


def _open_tiny(blocks: int) -> xr.DataArray:
    drawn = _draw(2 * blocks, 16).reshape(blocks, 2, 16)
    lazy = xr.DataArray(drawn, {"Bias": np.linspace(0, 1, 16)}, ("Y", "X", "Bias"), "Raw_Data").chunk(Y=1)
    return lazy.usid.set_roles(position=["Y", "X"])


def _measure_overhead(asked: argparse.Namespace) -> None:
    _tell("| verb | ms per iteration of 4 blocks | ms per block and pass |\n|---|---|---|")
    with _start(2, 1, processes=True):
        for name in asked.verbs:
            if name in PASSING:
                _measure_passing(name, PASSING[name], asked.repeat)
            elif name in GRAPHS:
                _measure_graph(name, *GRAPHS[name], asked.repeat)


def _measure_passing(name: str, verb: Callable[[xr.DataArray, int], Any], repeat: int) -> None:
    def measure(blocks: int, passes: int) -> float:
        return _time_again(lambda raw: verb(raw, passes), _open_tiny(blocks), repeat)

    measure(4, 2)
    short, long = measure(4, 5), measure(4, 35)
    less, more = measure(20, 3), measure(120, 3)
    # Survey, three iterations, and what is made of the blocks in the end.
    _tell(f"| {name} | {1e3 * (long - short) / 30:.0f} | {1e3 * (more - less) / 100 / 5:.2f} |")


def _measure_graph(name: str, verb: Verb, passes: int, repeat: int) -> None:
    _time_again(verb, _open_tiny(4), 1)
    less, more = (_time_again(verb, _open_tiny(blocks), repeat) for blocks in (20, 120))
    _tell(f"| {name} | | {1e3 * (more - less) / 100 / passes:.2f} |")


def _compare_peers(asked: argparse.Namespace) -> None:
    try:
        from dask_ml.cluster import KMeans
        from dask_ml.decomposition import TruncatedSVD
    except ImportError:
        _tell("(peers: dask-ml is not installed)")
        return
    values = _draw(_count_rows(asked), _COLUMNS)
    exact = np.linalg.eigvalsh(values.T.astype(float) @ values)[::-1][:8] ** 0.5

    def cluster_by_dask_ml(rows: Any) -> float:
        return _sum_squares(values, np.asarray(KMeans(6, random_state=0).fit(rows).labels_))

    def decompose_by_dask_ml(rows: Any) -> float:
        return _find_error(TruncatedSVD(8, algorithm="randomized", random_state=0).fit(rows).singular_values_, exact)

    def cluster(raw: xr.DataArray) -> float:
        return _sum_squares(values, usidx.compute(raw.usid.cluster("kmeans", 6), progress=False).labels.values.ravel())

    def decompose(raw: xr.DataArray) -> float:
        return _find_error(usidx.compute(raw.usid.svd(8), progress=False).singular_values.values, exact)

    pairs = {"kmeans (squares)": (cluster, cluster_by_dask_ml), "svd (error)": (decompose, decompose_by_dask_ml)}
    _tell("| verb | usidx | dask-ml | dask-ml / usidx |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, _start(2, 1, processes=True):
        raw = _open_file(Path(folder, "scan.h5"), values)
        rows = raw.data.reshape(-1, _COLUMNS)
        for name, (ours, theirs) in pairs.items():
            (mine, found), (other, known) = _measure(ours, raw, asked.repeat), _measure(theirs, rows, asked.repeat)
            _tell(f"| {name} | {mine:.2f} s ({found:.3g}) | {other:.2f} s ({known:.3g}) | {other / mine:.1f} |")


def _measure(work: Callable[[Any], float], data: Any, repeat: int) -> tuple[float, float]:
    """Return the least time of some runs, after a first one, and what was found."""
    work(data)
    times, found = [], 0.0
    for _ in range(repeat):
        begun = time.perf_counter()
        found = work(data)
        times.append(time.perf_counter() - begun)
    return min(times), found


def _sum_squares(values: Any, labels: Any) -> float:
    """Sum the squares of the distances to the mean of those with the same label; what dask-ml calls inertia is less."""
    groups = (values[labels == k].astype(float) for k in np.unique(labels))
    return float(sum(np.sum((group - group.mean(axis=0)) ** 2) for group in groups))


def _find_error(found: Any, exact: Any) -> float:
    return float(np.max(np.abs(np.sort(found)[::-1] / exact - 1)))


TABLES = {"cores": _compare_cores, "storage": _compare_storage, "overhead": _measure_overhead, "peers": _compare_peers}


def main() -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="+", choices=list(TABLES))
    parser.add_argument("--mebibytes", type=int, default=128)
    parser.add_argument("--delay", type=float, default=0.05)
    parser.add_argument("--blocks", type=int, default=64)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--verbs", nargs="+", choices=list(VERBS), default=list(VERBS))
    parser.add_argument("--repeat", type=int, default=1)
    asked = parser.parse_args()
    passes._HELD_BYTES = 0  # small blocks are streamed as those of a large file are
    with dask.config.set({"usidx.keep-blocks": 0}):
        for table in asked.tables:
            begun = time.perf_counter()
            TABLES[table](asked)
            _tell(f"({table}: {time.perf_counter() - begun:.0f} s)\n")


if __name__ == "__main__":
    main()
