"""Every verb on a small file of its own: its plain arguments, and another value for each parameter."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from sklearn.decomposition import PCA, FactorAnalysis

import usidx
from tests.kit import atom_calls, diffraction_calls, force_calls, image_calls, mode_calls
from tests.kit.calls import Call, Together, make_mask, opened
from tests.kit.loops import scan as loop_scan
from usidx.models import Constant, Gaussian, Linear

__all__ = ["ALIKE", "CALLS", "Call", "opened", "spread", "write_sources"]

#: Who has calls of a family: CALLS, ALIKE, and make_sources(), which gives name -> array of its files.
FAMILIES = (atom_calls, diffraction_calls, force_calls, image_calls, mode_calls)


def spread(spectrum: Any, power: int = 1) -> Any:
    """What the user's function does: the spread of a spectrum."""
    return np.ptp(np.abs(spectrum) ** power)


def mean(spectrum: Any, power: int = 1) -> Any:
    """Another function of the user's."""
    return np.mean(np.abs(spectrum) ** power)


def write_sources(folder: Path) -> None:
    """Write a file for each kind of data that verbs want."""
    rng = np.random.default_rng(0)
    energy = np.linspace(-3, 3, 16)
    place = rng.uniform(-1, 1, (4, 5, 1))
    values = 0.3 + np.exp(-((energy - place) ** 2)) + 0.01 * rng.random((4, 5, 16))
    spectra = xr.DataArray(values, dims=("Y", "X", "Energy"), coords={"Energy": energy}, name="Counts")
    spectra = usidx.set_roles(spectra.assign_attrs(units="V"), position=["Y", "X"], spectroscopic="Energy")
    beam, _ = usidx.simulate.band_excitation((3, 4), 24, dc_steps=3)
    loops, _ = loop_scan((3, 3), 32)
    curves, _ = usidx.simulate.current_voltage((3, 3), 41)
    decays, _ = usidx.simulate.relaxation((3, 3), 24, biases=2)
    arrays = {"spectra": spectra, "beam": beam, "loops": loops, "curves": curves, "decays": decays}
    for family in FAMILIES:
        arrays |= family.make_sources()
    for name, array in arrays.items():
        usidx.write(array, folder / f"{name}.h5", progress=False)


def _axis(data: xr.Dataset, count: int = 7) -> xr.DataArray:
    values = np.linspace(-2, 2, count)
    return xr.DataArray(values, dims="Energy", coords={"Energy": values}, name="Energy")


def _pure(data: xr.DataArray, rows: tuple[int, int] = (0, 1)) -> xr.DataArray:
    return data.isel(Y=0, X=list(rows)).drop_vars(["Y", "X"]).rename(X="component").compute()


spectra, beam, loops = partial(opened, "spectra"), partial(opened, "beam"), partial(opened, "loops")
curves, decays = partial(opened, "curves"), partial(opened, "decays")


def decomposed(folder: Path) -> Any:
    return spectra(folder).usid.svd(3)


def with_covariance(folder: Path) -> Any:
    return spectra(folder).usid.fit(Gaussian() + Constant(), dim="Energy", covariance=True)


def fitted(folder: Path) -> Any:
    return spectra(folder).usid.fit(Gaussian() + Constant(), dim="Energy")


def oscillating(folder: Path) -> Any:
    return beam(folder).usid.sho_fit()


def conducting(folder: Path) -> Any:
    return curves(folder).usid.didv()


PARTS = {"mask": partial(make_mask), "dim": ("X", "Energy"), "random_state": 3}
FIT = {
    "sigma": 0.5, "absolute_sigma": True, "loss": "huber", "loss_scale": 2.0, "tolerance": 1e-5,
    "max_evaluations": 50, "covariance": True, "retry": "neighbours",
}  # fmt: skip
CALLS = [
    Call("svd", spectra, {"n": 3}, {**PARTS, "n": 2, "center": True, "scale": "std", "solver": "krylov", "tol": 1e-5}),
    Call("pca", spectra, {"n": 3}, {**PARTS, "n": 2, "scale": "std", "solver": "krylov", "tol": 1e-5}),
    Call("nmf", spectra, {"n": 2}, {
        **PARTS, "n": 3, "scale": "std", "solver": "compressed", "alpha_W": 0.1, "alpha_H": 0.2, "l1_ratio": 0.5,
        "max_iter": 3, "tol": 1e-2,
    }),
    Call("ica", spectra, {"n": 2}, {**PARTS, "n": 3, "independent": "components", "max_iter": 400, "tol": 1e-4}),
    Call("mcr_als", spectra, {"n": 2}, {
        "mask": partial(make_mask), "random_state": 3, "n": 3, "initial": partial(_pure), "closure": True,
        "nonnegative_components": False, "unimodal": True,
        "max_iter": 3, "tol": 1e-2,
    }),
    Call("nfindr", spectra, {"n": 2}, {**PARTS, "n": 3}),
    Call("vca", spectra, {"n": 2}, {**PARTS, "n": 3}),
    Call("fcls", spectra, {"endmembers": partial(_pure)}, {
        "mask": partial(make_mask), "endmembers": partial(_pure, rows=(2, 3))
    }),
    Call("fit_references", spectra, {"references": partial(_pure)}, {
        "references": partial(_pure, rows=(2, 3)), "nonnegative": True, "mask": partial(make_mask), "sigma": 0.5,
        "absolute_sigma": True,
    }),
    Call("decompose", spectra, {"estimator": PCA(2)}, {
        **{k: v for k, v in PARTS.items() if k != "random_state"}, "estimator": FactorAnalysis(2),
    }),
    Call("cluster", spectra, {"method": "kmeans", "n": 2}, {
        **PARTS, "method": "agglomerative", "n": 3, "max_iter": 7, "tol": 1e-2,
    }),
    Call("rotate", decomposed, {}, {"method": "promax", "power": 3, "max_iter": 5, "tol": 1e-3}),
    Call("scree", decomposed),
    Call("reconstruct", decomposed, {}, {"modes": 2}),
    Call("project", lambda folder: 2 * spectra(folder), {"result": partial(lambda d: (d / 2).usid.svd(3))}, {
        "result": partial(lambda d: (d / 2).usid.svd(2)),
    }),
    Call("fit", spectra, {"model": Gaussian() + Constant(), "dim": "Energy"}, {
        **FIT, "model": Gaussian() + Linear(), "dim": "X", "coordinate": "Energy", "start": {"center": 0.2},
        "bounds": {"sigma": (0.1, 3.0)}, "fixed": {"offset": 0.3}, "tied": {"offset": "0.3 * amplitude"},
        "mask": partial(make_mask),
    }),
    Call("evaluate", fitted, {}, {"x": partial(_axis), "terms": "gaussian"}),
    Call("evaluate_terms", fitted, {}, {"x": partial(_axis)}),
    Call("measure_peaks", with_covariance),
    Call("residual", fitted, {"data": partial(lambda fit: fit.usid.evaluate())}, {
        "data": partial(lambda fit: 2 * fit.usid.evaluate()), "model": Gaussian() + Constant(),
    }),
    Call("compare", fitted, {"others": partial(lambda fit: (fit,))}, {
        "others": partial(lambda fit: (2 * fit,)), "criterion": "aic", "corrected": True, "names": ["a", "b"],
    }),
    Call("sho_fit", beam, {}, {
        **FIT, "bounds": {"phase": (-1.0, 1.0)}, "fixed": {"phase": 0.2}, "mask": partial(make_mask),
    }),
    Call("loop_fit", loops, {}, {
        **{k: v for k, v in FIT.items() if k != "covariance"}, "coordinate": "DC_Offset",
        "bounds": {"slope": (-0.1, 0.1)}, "start": {"slope": 0.05}, "fixed": {"slope": 0.01},
        "tied": {"rising_width_above": "rising_width_below"}, "widths": "common", "nuc_threshold": 0.1,
        "mask": partial(make_mask),
    }),
    Call("project_loops", loops, {}, {"coordinate": "DC_Offset"}),
    Call("relaxation_fit", decays, {}, {
        **FIT, "decay": "stretched", "start": {"offset": 0.1},
        "bounds": {"offset": (-5.0, 5.0)}, "fixed": {"offset": 0.0}, "mask": partial(make_mask),
    }),
    Call("didv", curves, {}, {"window": 5, "order": 1}),
    Call("normalized_conductance", curves, {"broadening": 0.5}, {
        "broadening": 0.3, "window": 5, "order": 1,
    }),
    Call("gap", conducting, {"inside": (-0.3, 0.3)}, {
        "inside": (-0.2, 0.2), "edges": "threshold", "sigmas": 4.0, "stays": 2, "center": 0.05,
    }),
    Call("phase_offset", oscillating, {}, {"per_position": True}),
    Call("correct_phase", oscillating, {}, {"offset": 0.3, "per_position": True}),
    Call("response", oscillating, {}, {
        "offset": 0.3, "sensitivity": Together(sensitivity=2.0, units="pm"),
        "units": Together(sensitivity=1.0, units="nm")
    }),
    Call("signal.fft", spectra, {}, {"dim": "X", "window": "hann", "detrend": "linear", "keep": "positive"}),
    Call("signal.ifft", lambda folder: usidx.signal.fft(spectra(folder), ["X", "Energy"]), {}, {"dim": "X_frequency"}),
    Call("signal.power_spectrum", spectra, {}, {"dim": "X", "window": None, "segments": 2, "detrend": "linear"}),
    Call("signal.noise_floor", spectra, {}, {"dim": "X", "tolerance": 0.1}),
    Call("signal.fft_filter", spectra, {"filters": usidx.signal.LowPass(0.5)}, {
        "dim": "X", "filters": [usidx.signal.LowPass(0.5), usidx.signal.NoiseFloor(0.1)],
    }),
    Call("signal.savgol", spectra, {"window": 3.0, "order": 2}, {
        "dim": "X", "window": 2.0, "order": 1, "deriv": 1, "in_units": False,
    }),
    Call("signal.gaussian", spectra, {"sigma": 1.0}, {"dim": "X", "sigma": 2.0, "in_units": False}),
    Call("signal.median", spectra, {"size": 3.0}, {"dim": "X", "size": 2.0, "in_units": False}),
    Call("signal.total_variation", spectra, {"weight": 0.1}, {"dim": "X", "weight": 0.2}),
    *(
        Call(f"signal.{verb}", spectra, {"lam": 100.0}, {
            "dim": "X", "method": "iarpls", "parameters": Together(lam=200.0),
        })
        for verb in ("baseline", "remove_baseline")
    ),
    *(
        Call(f"signal.{verb}", spectra, {}, {
            "dim": "X", "threshold": 4.0, "neighbours": False, "protect": (-1.0, 1.0),
        })
        for verb in ("find_spikes", "remove_spikes")
    ),
    Call("signal.normalize", spectra, {}, {"dim": "X", "by": (-1.0, 1.0)}),
    Call("signal.resample", spectra, {"coordinate": np.linspace(-2, 2, 7)}, {
        "dim": "X", "coordinate": np.linspace(-1, 1, 5), "method": "cubic",
    }),
    Call("signal.remove_power_law", spectra, {"window": (0.1, 3.0)}, {"dim": "X", "window": (0.5, 3.0)}),
    Call("signal.calibrate", spectra, {"pairs": {0.0: 1.0}}, {"dim": "X", "pairs": {0.0: 2.0}}),
    Call("signal.find_peaks", spectra, {"n": 2}, {
        "dim": "X", "prominence": "noise", "height": 0.5, "width": 1.0, "distance": 1.0, "n": 1, "sigma": 0.1,
    }),
    Call("signal.align", spectra, {}, {"dim": "X", "reference": "first", "max_shift": 0.5, "fill": 0.0}),
    Call("map_positions", spectra, {"function": spread}, {
        "function": mean, "dim": "X", "like": np.float32(0), "units": "V", "parameters": {"power": 2}, "errors": "nan",
    }),
    *(call for family in FAMILIES for call in family.CALLS),
]  # fmt: skip
_ONE_DIM = (
    "mcr_als", "sho_fit", "loop_fit", "project_loops", "relaxation_fit", "didv", "normalized_conductance", "gap",
)  # fmt: skip
#: Parameters that have no other value beside what is given, with the reason.
ALIKE: Mapping[tuple[str, str], str] = {
    ("gap", "threshold"): "given instead of inside",
    ("decompose", "n"): "the estimator says it",
    ("evaluate", "model"): "the model that was fitted is recorded, given or not",
    ("measure_peaks", "model"): "the model that was fitted is recorded, given or not",
    ("evaluate_terms", "model"): "the model that was fitted is recorded, given or not",
    **{(verb, "coordinate"): "there is one bias" for verb in ("didv", "normalized_conductance", "gap")},
    ("sho_fit", "coordinate"): "there is one coordinate of the frequency",
    ("relaxation_fit", "coordinate"): "there is one coordinate of the time",
    **{(verb, "dim"): "the one dim that is meant is recorded, named or not" for verb in _ONE_DIM},
    **{key: reason for family in FAMILIES for key, reason in family.ALIKE.items()},
}
