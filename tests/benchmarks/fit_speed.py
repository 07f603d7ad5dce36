"""Fitting every spectrum of a map: usidx beside SciPy, xarray, lmfit, HyperSpy and sidpy, in turns in one run.

    python tests/benchmarks/fit_speed.py [--spectra 100000] [--few 200] [--rounds 5]

The same noisy spectra of 128 samples, four parameters each. The others fit the first `few` of them and get start
values near the truth; usidx fits all and finds its start values itself. Packages that are not installed are left out.
Medians of spectra per second of wall time, and per second of processor time (which other work on the machine disturbs
less), are written as a table, with the share of fits that lie within six standard errors of the truth.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.optimize import curve_fit

from usidx.fitting.fit import fit
from usidx.models import SHO, Constant, Gaussian, Model

Array = npt.NDArray[Any]
Case = tuple[str, Model, xr.DataArray, dict[str, Array], Callable[..., Array]]


def _gaussian(x: Array, amplitude: float, center: float, sigma: float, offset: float) -> Array:
    return amplitude / (sigma * 2.5066282746310002) * np.exp(-0.5 * ((x - center) / sigma) ** 2) + offset


def _oscillator(w: Array, amplitude: float, frequency: float, quality_factor: float, phase: float) -> Array:
    below = w**2 - 1j * w * frequency / quality_factor - frequency**2
    response = amplitude * np.exp(1j * phase) * frequency**2 / below
    return np.concatenate([response.real, response.imag], axis=-1)


def _peaks(count: int) -> Case:
    rng = np.random.default_rng(1)
    x = np.linspace(-5.0, 5.0, 128)
    ranges = {"amplitude": (1, 5), "center": (-3, 3), "sigma": (0.3, 1.5), "offset": (-1, 1)}
    truth = {name: rng.uniform(*limits, count) for name, limits in ranges.items()}
    clean = _gaussian(x, *(v[:, None] for v in truth.values()))  # type: ignore[arg-type]
    return (
        "Gaussian + offset",
        Gaussian() + Constant(),
        _labelled(clean + 0.05 * rng.normal(size=clean.shape), x),
        truth,
        _gaussian,
    )


def _oscillators(count: int) -> Case:
    rng = np.random.default_rng(2)
    x = np.linspace(300e3, 350e3, 128)
    ranges = {
        "amplitude": (1e-5, 5e-5), "frequency": (315e3, 335e3), "quality_factor": (50, 250), "phase": (-2.5, 2.5)
    }  # fmt: skip
    truth = {name: rng.uniform(*limits, count) for name, limits in ranges.items()}
    clean = _oscillator(x, *(v[:, None] for v in truth.values()))  # type: ignore[arg-type]
    noisy = clean + 2e-5 * rng.normal(size=clean.shape)
    return "complex SHO", SHO(), _labelled(noisy[:, :128] + 1j * noisy[:, 128:], x), truth, _oscillator


def _labelled(values: Array, x: Array) -> xr.DataArray:
    return xr.DataArray(values, dims=("spectrum", "x"), coords={"x": x})


def _with_scipy(case: Case, few: int) -> None:
    _, _, data, truth, formula = case
    x = data.x.values
    for k in range(few):
        y = data.values[k]
        start = [float(v[k]) * 1.01 for v in truth.values()]
        with suppress(RuntimeError):  # some do not converge
            curve_fit(formula, x, np.concatenate([y.real, y.imag]) if np.iscomplexobj(y) else y, start)


def _with_xarray(case: Case, few: int) -> None:
    _, _, data, truth, formula = case
    start = {k: xr.DataArray(v[:few] * 1.01, dims="spectrum") for k, v in truth.items()}
    data[:few].curvefit("x", formula, p0=start)


def _with_lmfit(case: Case, few: int) -> None:
    from lmfit import Model as Formula

    _, _, data, truth, formula = case
    model, x = Formula(formula), data.x.values
    for k in range(few):
        y = data.values[k]
        start = model.make_params(**{name: float(v[k]) * 1.01 for name, v in truth.items()})
        spectrum = np.concatenate([y.real, y.imag]) if np.iscomplexobj(y) else y
        model.fit(spectrum, start, **{model.independent_vars[0]: x})


def _with_hyperspy(case: Case, few: int) -> None:
    from hyperspy.components1d import Gaussian as Peak
    from hyperspy.components1d import Offset
    from hyperspy.signals import Signal1D

    _, _, data, truth, _ = case
    signal = Signal1D(data.values[:few])
    signal.axes_manager[-1].offset = float(data.x[0])
    signal.axes_manager[-1].scale = float(data.x[1] - data.x[0])
    model, peak, level = signal.create_model(), Peak(), Offset()
    model.extend([peak, level])
    starts = {peak.A: "amplitude", peak.centre: "center", peak.sigma: "sigma", level.offset: "offset"}
    for parameter, name in starts.items():
        parameter.map["values"][:] = truth[name][:few] * 1.01
        parameter.map["is_set"][:] = True
    model.multifit(optimizer="lm", show_progressbar=False)


def _with_sidpy(case: Case, few: int) -> None:
    import sidpy
    from sidpy.proc.fitter import SidFitter

    _, _, data, truth, formula = case
    side = int(few**0.5)
    cube = sidpy.Dataset.from_array(data.values[: side * side].reshape(side, side, -1))
    cube.data_type = "spectral_image"
    for axis, name in enumerate(("y", "x")):
        cube.set_dimension(axis, sidpy.Dimension(np.arange(side), name, dimension_type="spatial"))
    cube.set_dimension(2, sidpy.Dimension(data.x.values, "energy", dimension_type="spectral"))
    start = [float(np.median(v)) for v in truth.values()]
    with suppress(RuntimeError), redirect_stdout(sys.stderr):
        SidFitter(cube, formula, guess_fn=lambda x, y: start, num_fit_parms=4, num_workers=2, threads=1).do_fit()


def _with_usidx(case: Case, data: xr.DataArray) -> xr.Dataset:
    return fit(data, case[1], "x").compute()


def _right(case: Case) -> float:
    found = _with_usidx(case, case[2])
    fine = found.converged.values.copy()
    for name, value in case[3].items():
        fine &= abs(found[name].values - value) < 6.0 * found[f"{name}_stderr"].values
    return float(fine.mean())


def _measure(case: Case, spectra: int, few: int, rounds: int) -> Iterator[str]:
    """Yield the rows of one case."""
    # In blocks beforehand, as a file has them: making them hashes the whole array.
    lazy = case[2].chunk({"spectrum": -(-spectra // 8)})
    ways: dict[str, tuple[Callable[[], object], int]] = {
        "usidx": (lambda: _with_usidx(case, case[2]), spectra),
        "usidx on dask": (lambda: _with_usidx(case, lazy), spectra),
        "scipy curve_fit": (lambda: _with_scipy(case, few), few),
    }
    others: dict[str, Callable[[Case, int], None]] = {"lmfit": _with_lmfit}
    if not np.iscomplexobj(case[2]):
        ways["xarray curvefit"] = (lambda: _with_xarray(case, few), few)
        others |= {"hyperspy": _with_hyperspy, "sidpy": _with_sidpy}
    for package, way in others.items():
        if importlib.util.find_spec(package) is not None:
            ways[package] = (partial(way, case, few), few)
    for run, _ in ways.values():
        run()  # imports, compiles, or reads what was compiled
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (run, count) in ways.items():
            wall, used = time.perf_counter(), time.process_time()
            run()
            rates[name].append((count / (time.perf_counter() - wall), count / (time.process_time() - used)))
    middle = {name: [statistics.median(column) for column in zip(*r, strict=True)] for name, r in rates.items()}
    reference = middle["scipy curve_fit"]
    for name, (wall, used) in middle.items():
        right = f"{100 * _right(case):.2f} %" if name == "usidx" else ""
        speeds = f"{wall:.0f} | {wall / reference[0]:.3g} | {used:.0f} | {used / reference[1]:.3g}"
        yield f"| {case[0]} | {name} | {speeds} | {right} |"


def main() -> None:
    """Run both cases and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spectra", type=int, default=100000)
    parser.add_argument("--few", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    head = "fits per s | times faster | fits per core and s | times faster | right"
    sys.stdout.write(f"| 128 points, 4 parameters, median of {options.rounds} | way | {head} |\n{'|---' * 7}|\n")
    for make in (_peaks, _oscillators):
        for row in _measure(make(options.spectra), options.spectra, options.few, options.rounds):
            sys.stdout.write(row + "\n")


if __name__ == "__main__":
    main()
