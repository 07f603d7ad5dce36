"""Verbs along one dim beside SciPy, dask and pybaselines, in one run.

    python tests/benchmarks/signal_speed.py [--rows 4096] [--rounds 5]

Rows of 1024 samples, float32, in memory; baselines of 256 rows of 1000. The ways take turns; the table shows medians of
the time summed over the cores, which programs beside this one disturb least, and of the time on the clock. Peers that
are not installed are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import scipy.fft
import scipy.ndimage
import scipy.signal
import xarray as xr

import usidx

Way = Callable[[], Any]


def list_tasks(rows: int) -> dict[str, dict[str, Way]]:
    """Return task -> who -> what is called."""
    random = np.random.default_rng(0)
    values = random.normal(size=(rows, 1024)).astype("f4")
    data = xr.DataArray(values, dims=("x", "t"), coords={"t": np.arange(1024) * 1e-6})
    factors = np.ones(513, "f4")
    factors[103:] = 0
    blocks = da.from_array(values, chunks=(max(rows // 8, 1), 1024))
    verbs = usidx.signal
    tasks: dict[str, dict[str, Way]] = {
        "low pass": {
            "usidx": lambda: verbs.fft_filter(data, verbs.LowPass(1e5), "t"),
            "scipy.fft, 2 workers": lambda: scipy.fft.irfft(
                scipy.fft.rfft(values, axis=1, workers=2) * factors, axis=1, workers=2
            ),
            "dask.array.fft": lambda: da.fft.irfft(da.fft.rfft(blocks) * factors).compute(),
        },
        "savgol (11, 3)": {
            "usidx": lambda: verbs.savgol(data, 11, 3, dim="t", in_units=False),
            "scipy": lambda: scipy.signal.savgol_filter(values, 11, 3, axis=1),
        },
        "gaussian, sigma 2": {
            "usidx": lambda: verbs.gaussian(data, 2, "t", in_units=False),
            "scipy": lambda: scipy.ndimage.gaussian_filter1d(values, 2, axis=1),
        },
    }
    for size in (5, 9, 15, 31):
        tasks[f"median of {size}"] = {
            "usidx": lambda size=size: verbs.median(data, size, "t", in_units=False),  # type: ignore[misc]
            "scipy": lambda size=size: scipy.ndimage.median_filter(values, (1, size)),  # type: ignore[misc]
        }
    return tasks | list_baselines(random)


def list_baselines(random: np.random.Generator) -> dict[str, dict[str, Way]]:
    """Return the same of baselines, of lines on curves with noise."""
    place = np.linspace(0, 1, 1000)
    values = 5 * np.exp(-place * random.uniform(1, 3, (256, 1))) + 0.05 * random.normal(size=(256, 1000))
    for _ in range(5):
        center = random.uniform(0.1, 0.9, (256, 1))
        values += random.uniform(1, 10, (256, 1)) * np.exp(-((place - center) ** 2) / 2 / 0.006**2)
    data = xr.DataArray(values, dims=("x", "t"))
    found: dict[str, dict[str, Way]] = {}
    for method in ("asls", "arpls", "psalsa", "iarpls"):
        found[method] = {"usidx": lambda m=method: usidx.signal.baseline(data, m, "t")}  # type: ignore[misc]
        if importlib.util.find_spec("pybaselines"):
            found[method]["pybaselines"] = lambda m=method: call_one_by_one(values, m)  # type: ignore[misc]
    return found


def call_one_by_one(values: Any, method: str) -> Any:
    """Call pybaselines as one does: row by row."""
    import pybaselines

    fitter = pybaselines.Baseline(np.arange(values.shape[1]))
    return np.array([getattr(fitter, method)(row)[0] for row in values])


def measure(ways: dict[str, Way], rounds: int) -> dict[str, tuple[float, float]]:
    """Return for each way the medians of the time of all cores and on the clock; the first turn counts for nothing."""
    times: dict[str, list[tuple[float, float]]] = {who: [] for who in ways}
    for turn in range(rounds + 1):
        for who, call in ways.items():
            cpu, clock = time.process_time(), time.perf_counter()
            call()
            if turn:
                times[who].append((time.process_time() - cpu, time.perf_counter() - clock))
    return {w: (statistics.median(c for c, _ in t), statistics.median(k for _, k in t)) for w, t in times.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    lines = [
        "| task | who | cores' time, ms | clock, ms | usidx is so many times as fast, by cores' time and clock |",
        "|---|---|---:|---:|---:|",
    ]
    for task, ways in list_tasks(options.rows).items():
        found = measure(ways, options.rounds)
        own = found["usidx"]
        for who, (cpu, clock) in found.items():
            ratio = "" if who == "usidx" else f"{cpu / own[0]:.1f}, {clock / own[1]:.1f}"
            lines.append(f"| {task} | {who} | {1e3 * cpu:.0f} | {1e3 * clock:.0f} | {ratio} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
