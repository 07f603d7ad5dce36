"""Fits of atoms, and cleaning of images, beside SciPy, trackpy and Atomap, in one run.

    python tests/benchmarks/atoms_speed.py [--rounds 5]

An image of 512 x 512 with 1681 elliptic atoms; a part of it with about 400; a lattice of 256 x 256 with noise. Medians
of the time summed over the cores. Errors are of places, in pixels, beside the bound of Cramer and Rao. Peers that are
not installed are left out.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from scipy.optimize import least_squares
from scipy.spatial import cKDTree

import usidx

Way = Callable[[], Any]


def make_atoms(size: int = 512) -> tuple[Any, Any]:
    """Return an image of atoms that are 12.3 pixels apart, and their places."""
    random = np.random.default_rng(0)
    steps = np.arange(8, size - 8, 12.3)
    places = np.array([(y, x) for y in steps for x in steps]) + random.normal(0, 0.3, (len(steps) ** 2, 2))
    image, (lines, columns) = np.zeros((size, size)), np.mgrid[:size, :size]
    for y, x in places:
        near = slice(max(int(y) - 12, 0), int(y) + 13), slice(max(int(x) - 12, 0), int(x) + 13)
        v, u = lines[near] - y, columns[near] - x
        along, across = u * np.cos(0.4) + v * np.sin(0.4), v * np.cos(0.4) - u * np.sin(0.4)
        image[near] += random.uniform(0.8, 1.2) * np.exp(-(along**2) / 2 / 2.2**2 - across**2 / 2 / 1.6**2)
    return image + 0.2 + 0.05 * random.normal(size=image.shape), places


def measure_error(found: Any, places: Any) -> str:
    """Return how many atoms were found, and their errors."""
    found = found[np.isfinite(found).all(axis=1)]
    far, at = cKDTree(found).query(places)
    errors = (found[at] - places)[far < 3]
    rms, bias = np.sqrt((errors**2).mean()), np.abs(errors.mean(axis=0)).max()
    return f"{100 * np.mean(far < 3):.1f} % found, rms {rms:.4f}, bias {bias:.4f}"


def fit_by_scipy(image: Any, starts: Any) -> Any:
    """Fit atom by atom in a window of 11 pixels."""
    found = []
    for y, x in starts:
        near = tuple(slice(max(round(c) - 5, 0), round(c) + 6) for c in (y, x))
        part = image[near]
        v, u = np.mgrid[near[0].start : near[0].start + part.shape[0], near[1].start : near[1].start + part.shape[1]]

        def tell(p: Any, part: Any = part, v: Any = v, u: Any = u) -> Any:
            along = (u - p[2]) * np.cos(p[5]) + (v - p[1]) * np.sin(p[5])
            across = (v - p[1]) * np.cos(p[5]) - (u - p[2]) * np.sin(p[5])
            return (p[0] * np.exp(-((along / p[3]) ** 2) / 2 - (across / p[4]) ** 2 / 2) + p[6] - part).ravel()

        found.append(least_squares(tell, [1, y, x, 2, 2, 0.1, 0.2]).x[1:3])
    return np.array(found)


def list_ways(image: Any) -> dict[str, tuple[Way, int]]:
    """Return who -> what finds or refines the places, and how many atoms it does."""
    data = xr.DataArray(image, dims=("Y", "X"))
    start = usidx.image.find_atoms(data)
    part = data[:250, :250]
    few = usidx.image.find_atoms(part)
    rough = np.stack([start.y, start.x], axis=1)

    def read(found: xr.Dataset) -> Any:
        return np.stack([found.y, found.x], axis=1)

    ways: dict[str, tuple[Way, int]] = {
        "usidx find_atoms": (lambda: read(usidx.image.find_atoms(data)), len(rough)),
        "usidx refine_atoms": (lambda: read(usidx.image.refine_atoms(data, start)), len(rough)),
        "usidx refine_atoms, few": (lambda: read(usidx.image.refine_atoms(part, few)), few.sizes["atom"]),
        "scipy least_squares, 200 atoms": (lambda: fit_by_scipy(image, rough[:200]), 200),
    }
    if importlib.util.find_spec("trackpy"):
        trackpy: Any = importlib.import_module("trackpy")

        ways["trackpy locate"] = (
            lambda: trackpy.locate(image, 9, percentile=50, minmass=1)[["y", "x"]].to_numpy(), len(rough)
        )  # fmt: skip
    if importlib.util.find_spec("atomap"):
        am: Any = importlib.import_module("atomap.api")

        ways["Atomap 2-D Gaussian"] = (lambda: fit_by_atomap(am, image, rough), len(rough))
    return ways


def fit_by_atomap(am: Any, image: Any, rough: Any) -> Any:
    """Refine by center of mass, then by Gaussians, as its pages do."""
    lattice = am.Sublattice(rough[:, ::-1], image=image)
    lattice.find_nearest_neighbors()
    lattice.refine_atom_positions_using_center_of_mass(show_progressbar=False)
    lattice.refine_atom_positions_using_2d_gaussian(show_progressbar=False)
    return np.array([lattice.y_position, lattice.x_position]).T


def measure(call: Way, rounds: int) -> tuple[float, Any]:
    """Return the median of the time of all cores, and what came out; the first turn counts for nothing."""
    times, made = [], call()
    for _ in range(rounds):
        begin = time.process_time()
        made = call()
        times.append(time.process_time() - begin)
    return statistics.median(times), made


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    warnings.simplefilter("ignore")
    image, places = make_atoms()
    lines = ["| who | cores' time, ms | atoms per s of a core | places |", "|---|---:|---:|---|"]
    for who, (call, count) in list_ways(image).items():
        seconds, found = measure(call, 1 if "scipy" in who or "Atomap" in who else rounds)
        within = places if count == len(places) else places[cKDTree(found).query(places)[0] < 3]
        lines.append(f"| {who} | {1e3 * seconds:.0f} | {count / seconds:.0f} | {measure_error(found, within)} |")
    noisy = xr.DataArray(image[:256, :256], dims=("Y", "X"))
    seconds, _ = measure(lambda: usidx.image.denoise_patches(noisy), rounds)
    lines.append(f"| usidx denoise_patches, 256 x 256 | {1e3 * seconds:.0f} | | |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
