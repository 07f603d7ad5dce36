"""G-IV: one factorisation for all pixels beside one Cholesky factorisation for each.

    python tests/benchmarks/modes_speed.py [--pixels 256] [--samples 500] [--rounds 5]

Both infer resistance in two directions and capacitance from currents in memory, by the same equations; the ways take
turns, and the table shows the median of the time summed over the cores.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg

import usidx
from usidx.tasks.process.blas import limit_blas

Array = npt.NDArray[Any]
_SIGMA = 0.03
_FEW = 4  # pixels of the slowest way


def build_equations(bias: Array, slope: Array, places: Array) -> tuple[Array, Array, Array]:
    """Return design, prior and expected mean of one direction, as the old tool has them."""
    nodes = places.size
    step = places[1] - places[0]
    left = np.clip(((bias - places[0]) / step).astype(int), 0, nodes - 2)
    share = (bias - places[left]) / step
    design = np.zeros((bias.size, nodes + 1))
    design[np.arange(bias.size), left] = bias * (1 - share)
    design[np.arange(bias.size), left + 1] = bias * share
    design[:, -1] = slope
    steps = np.diff(np.eye(nodes), axis=0) / step
    prior = np.zeros((nodes + 1, nodes + 1))
    prior[:-1, :-1] = (np.eye(nodes) + np.linalg.matrix_power(steps.T @ steps, 3)) / 10.0**2
    prior[-1, -1] = 1.0
    return design, prior, np.append(np.full(nodes, 3.0), 0.0)


def infer_one_by_one(currents: Array, halves: list[tuple[Array, tuple[Array, Array, Array]]]) -> Array:
    """Factorise for each pixel, and return the resistances of both directions."""
    found = []
    for row in currents:
        for own, (design, prior, expected) in halves:
            precision = design.T @ design / _SIGMA**2 + prior
            scale = 1 / np.sqrt(np.diag(precision))  # else the capacitance, in nF, hides the rest
            factor = scipy.linalg.cho_factor(precision * scale * scale[:, np.newaxis])
            mean = scale * scipy.linalg.cho_solve(factor, scale * (design.T @ row[own] / _SIGMA**2 + prior @ expected))
            covariance = scipy.linalg.cho_solve(factor, np.eye(mean.size)) * scale * scale[:, np.newaxis]
            found.append(np.stack([1 / mean[:-1], np.sqrt(np.diag(covariance))[:-1] / mean[:-1] ** 2]))
    return np.array(found).reshape(len(currents), 2, 2, -1)[:, :, 0]


def infer_as_before(currents: Array, halves: list[tuple[Array, tuple[Array, Array, Array]]]) -> None:
    """Do what BGlib does for each pixel: an inverse, a root of the covariance, and 2000 samples."""
    random = np.random.default_rng(0)
    for row in currents:
        for own, (design, prior, expected) in halves:
            covariance = np.linalg.inv(design.T @ design / _SIGMA**2 + prior)
            mean = covariance @ (design.T @ row[own] / _SIGMA**2 + prior @ expected)
            root = scipy.linalg.sqrtm(covariance[:-1, :-1])
            drawn = 1 / (mean[:-1, np.newaxis] + root @ random.normal(size=(mean.size - 1, 2000)))
            drawn @ drawn.T


def measure(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return for each way the median of the time of all cores; the first turn counts for nothing."""
    times: dict[str, list[float]] = {who: [] for who in ways}
    for turn in range(rounds + 1):
        for who, call in ways.items():
            began = time.process_time()
            call()
            if turn:
                times[who].append(time.process_time() - began)
    return {who: statistics.median(listed) for who, listed in times.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, default=256)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    currents, _ = usidx.simulate.giv((options.pixels, 1), options.samples)
    bias = currents.Bias.values
    slope = (np.roll(bias, -1) - np.roll(bias, 1)) * options.samples * 200.0 / 2
    rising = np.roll(bias, -1) > bias
    places = np.linspace(bias.min(), bias.max(), 125)
    halves = [(own, build_equations(bias[own], slope[own], places)) for own in (rising, ~rising)]
    rows = currents.values[:, 0]
    ways: dict[str, Callable[[], Any]] = {
        "usidx.modes.giv": lambda: usidx.modes.giv(currents, 200.0, sigma=_SIGMA),
        "inverse, root and samples for each pixel, as BGlib": lambda: infer_as_before(rows[:_FEW], halves),
        "a Cholesky factorisation for each pixel": lambda: infer_one_by_one(rows, halves),
    }
    own = usidx.modes.giv(currents, 200.0, sigma=_SIGMA).resistance.values[:, 0]
    off = np.abs(own / infer_one_by_one(rows, halves) - 1).max()
    with limit_blas():  # whose threads wait for each other on matrices so small
        found = measure(ways, options.rounds)
    per_pixel = {who: s / (_FEW if "BGlib" in who else options.pixels) for who, s in found.items()}
    first = per_pixel["usidx.modes.giv"]
    lines = ["| who | cores' time, ms per pixel | usidx is so many times as fast |", "|---|---:|---:|"]
    for who, seconds in per_pixel.items():
        ratio = "" if seconds == first else f"{seconds / first:.0f}"
        lines.append(f"| {who} | {1e3 * seconds:.3f} | {ratio} |")
    sys.stdout.write("\n".join(lines) + f"\n\nResistances agree to {off:.0e}.\n")


if __name__ == "__main__":
    main()
