"""Verbs over two dims beside SciPy and scikit-image, in one run: how right, how fast, how much memory.

    python tests/benchmarks/image_speed.py [--seeds 2]

Drift of 12 frames of 128 x 192 samples with known shifts; surfaces of 192 x 256 with steps of 1 and noise of 0.05.
Times are those of all cores together, for a frame or an image; errors are root mean squares, of drift in samples, with
the largest; of surfaces beside the truth, but for a plane and a bow. Memory is the most that NumPy and Python took.
Peers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.ndimage
import scipy.signal
import xarray as xr

import usidx

Way = Callable[[xr.DataArray], Any]


def find_with_usidx(stack: xr.DataArray) -> Any:
    """Return shifts in samples, (frame, 2)."""
    found = usidx.image.estimate_drift(stack, "Frame")
    return np.stack([found.shift_Y, found.shift_X], axis=1) / 1e-9


def find_with_scikit_image(normalization: str | None, faded: bool) -> Way:
    """Return phase correlation with the first frame, or cross-correlation where nothing is normalised."""

    def find(stack: xr.DataArray) -> Any:
        from skimage.registration import phase_cross_correlation

        frames = stack.values - stack.values.mean(axis=(1, 2), keepdims=True)
        if faded:
            frames = frames * np.hanning(frames.shape[1])[:, np.newaxis] * np.hanning(frames.shape[2])
        options = {"upsample_factor": 100, "normalization": normalization}
        correlate: Any = phase_cross_correlation
        return np.array([-correlate(frames[0], frame, **options)[0] for frame in frames])

    return find


def flatten_lines(image: xr.DataArray) -> Any:
    """Return what scipy.signal.detrend leaves of each line."""
    return scipy.signal.detrend(image.values, axis=1)


def list_drift() -> dict[str, Way]:
    """Return who -> what is called with a stack."""
    ways: dict[str, Way] = {"usidx": find_with_usidx}
    if importlib.util.find_spec("skimage"):
        ways["scikit-image, phase"] = find_with_scikit_image("phase", faded=False)
        ways["scikit-image, phase, faded"] = find_with_scikit_image("phase", faded=True)
        ways["scikit-image, not normalised, faded"] = find_with_scikit_image(None, faded=True)
    return ways


def list_flattening() -> dict[str, Way]:
    """Return who -> what is called with an image."""
    return {
        "usidx, differences": lambda image: usidx.image.flatten(image, "differences", 2).values,
        "usidx, lines": lambda image: usidx.image.flatten(image, "lines").values,
        "scipy.signal.detrend of lines": flatten_lines,
        "median of differences": lambda image: usidx.image.flatten(image, "differences", 0, None).values,
    }


def list_moving() -> dict[str, Way]:
    """Return who -> what is called with a stack, to move each frame by a part of a sample."""
    return {
        "usidx": lambda stack: usidx.image.shift(stack, {"Y": 0.3e-9, "X": -1.7e-9}).values,
        "scipy.ndimage.shift": lambda stack: np.array(
            [scipy.ndimage.shift(frame, (-0.3, 1.7), order=3, mode="mirror") for frame in stack.values]
        ),
    }


def measure(call: Way, given: xr.DataArray) -> tuple[Any, float, float]:
    """Return what is found, seconds of all cores, and MB at most; the memory in a second call, which it slows."""
    call(given)  # imports, and what is compiled
    start = time.process_time()
    found = call(given)
    took = time.process_time() - start
    tracemalloc.start()
    call(given)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found, took, most / 1e6


def compare_surfaces(found: Any, truth: Any) -> Any:
    """Return what is off beside a plane and a bow."""
    y, x = np.mgrid[: truth.shape[0], : truth.shape[1]]
    basis = np.stack([np.ones(x.size), y.ravel(), x.ravel(), x.ravel() ** 2], axis=1)
    off = (found - truth).ravel()
    return off - basis @ np.linalg.lstsq(basis, off, rcond=None)[0]


def run(ways: dict[str, Way], cases: list[tuple[xr.DataArray, Any]], compare: Any, count: int) -> list[str]:
    """Return the end of a row for each way; `count` is of the images in a case."""
    rows = []
    for who, call in ways.items():
        measured = [measure(call, given) for given, _ in cases]
        off = np.concatenate([np.ravel(compare(m[0], truth)) for m, (_, truth) in zip(measured, cases, strict=True)])
        took = 1e3 * float(np.median([m[1] for m in measured])) / count
        most = max(m[2] for m in measured)
        rows.append(f"{who} | {np.sqrt((off**2).mean()):.3f} | {abs(off).max():.2f} | {took:.1f} | {most:.0f} |")
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    seeds = range(parser.parse_args().seeds)
    lines = ["| task | who | error | largest | cores' time, ms | memory, MB |", "|---|---|---:|---:|---:|---:|"]
    for kind in ("topography", "lattice"):
        for noise in (0.1, 1.0):
            made = [usidx.simulate.drifting_stack(kind=kind, noise=noise, seed=seed) for seed in seeds]
            cases = [(s, np.stack([t.shift_Y, t.shift_X], axis=1) / 1e-9) for s, t in made]
            task = f"drift, {kind}, noise {noise:g}"
            lines += [f"| {task} | {row}" for row in run(list_drift(), cases, np.subtract, 12)]
    surfaces = [usidx.simulate.stepped_surface(seed=seed) for seed in seeds]
    flat = [(image, truth.surface.values) for image, truth in surfaces]
    lines += [f"| flatten | {row}" for row in run(list_flattening(), flat, compare_surfaces, 1)]
    stack = usidx.simulate.drifting_stack()[0]
    wanted = list_moving()["scipy.ndimage.shift"](stack)
    inside = (slice(None), slice(2, -2), slice(2, -2))
    same = run(list_moving(), [(stack, wanted)], lambda found, truth: (found - truth)[inside], 12)
    lines += [f"| shift | {row}" for row in same]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
