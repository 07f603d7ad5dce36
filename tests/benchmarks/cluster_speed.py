"""Time that each verb takes on workers of dask.distributed, in tables for docs/scaling.md.

    python tests/benchmarks/cluster_speed.py cores [--mebibytes 256] [--verbs svd nmf]
    python tests/benchmarks/cluster_speed.py storage [--delay 0.05] [--blocks 64] [--workers 1 2 4 8 16]

`cores` takes a file of compressed chunks: two processes of one thread beside one of them, and beside two threads of one
process. `storage` has blocks of 256 KiB, each of which takes 50 ms to come, as from storage that is slow: what 2, 4, 8
and 16 workers are worth there. No blocks are kept between passes. Times are the least of `--repeat` runs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
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


def _wait_for_storage(block: Any, delay: float) -> Any:
    time.sleep(delay)
    return block


def _open_slow(blocks: int, delay: float) -> xr.DataArray:
    """Give blocks of 256 KiB that each take their time to come."""
    import dask.array as da

    drawn = _draw(128 * 8, _COLUMNS).reshape(8, 128, _COLUMNS)
    parts = [da.from_array(drawn[number % 8][np.newaxis], chunks=(1, 128, _COLUMNS)) for number in range(blocks)]
    lazy = da.concatenate(parts).map_blocks(_wait_for_storage, delay, dtype=np.float32, meta=np.empty((0, 0, 0), "f4"))
    coords = {"Bias": np.linspace(0, 1, _COLUMNS)}
    return xr.DataArray(lazy, coords, ("Y", "X", "Bias"), "Raw_Data").usid.set_roles(position=["Y", "X"])


def _time(verb: Verb, raw: xr.DataArray, workers: int, threads: int, repeat: int, processes: bool) -> float:
    """Return the least time of some runs on a cluster of its own."""
    with Client(n_workers=workers, threads_per_worker=threads, processes=processes, dashboard_address=None) as client:
        client.wait_for_workers(workers)
        verb(raw.isel(Y=slice(2))).compute()  # imports, and machine code
        found = []
        for _ in range(repeat):
            begun = time.perf_counter()
            verb(raw).compute()
            found.append(time.perf_counter() - begun)
    return min(found)


def _compare_cores(mebibytes: int, names: Sequence[str], repeat: int) -> None:
    _tell("| verb | one process | two processes | two threads | gain | beside threads |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "scan.h5")
        height = max(4, mebibytes * 2**20 // (4 * _COLUMNS * 256))
        values = _draw(height * 256, _COLUMNS).reshape(height, 256, _COLUMNS)
        dims = (
            [("Y", "um", np.arange(height)), ("X", "um", np.arange(256))],
            [("Bias", "V", np.linspace(0, 1, _COLUMNS))],
        )
        build_main(path, values, *dims, storage=_CHUNK)
        raw = usidx.open_main(path)
        for name in names:
            one, two, both = (_time(VERBS[name], raw, *shape, repeat, True) for shape in ((1, 1), (2, 1), (1, 2)))
            _tell(f"| {name} | {one:.2f} s | {two:.2f} s | {both:.2f} s | {one / two:.2f} | {two / both:.2f} |")


def _compare_storage(delay: float, blocks: int, counts: Sequence[int], names: Sequence[str], repeat: int) -> None:
    _tell(f"| verb | {' | '.join(f'{count} workers' for count in counts)} |\n|---|{'---|' * len(counts)}")
    raw = _open_slow(blocks, delay)
    for name in names:
        # Workers that are threads of this process: what they wait for takes no core.
        times = [_time(VERBS[name], raw, count, 1, repeat, False) for count in counts]
        _tell(f"| {name} | {' | '.join(f'{times[0] / one * counts[0]:.1f}' for one in times)} |")


def main() -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", choices=["cores", "storage"])
    parser.add_argument("--mebibytes", type=int, default=256)
    parser.add_argument("--delay", type=float, default=0.05)
    parser.add_argument("--blocks", type=int, default=64)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--verbs", nargs="+", choices=list(VERBS), default=list(VERBS))
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    passes._HELD_BYTES = 0  # small blocks are streamed as those of a large file are
    with dask.config.set({"usidx.keep-blocks": 0}):
        if asked.table == "cores":
            _compare_cores(asked.mebibytes, asked.verbs, asked.repeat)
        else:
            _compare_storage(asked.delay, asked.blocks, asked.workers, asked.verbs, asked.repeat)


if __name__ == "__main__":
    main()
