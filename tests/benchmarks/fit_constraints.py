"""How often fits of each built-in model and each sum of two succeed, and whether knowing more makes them worse.

    python tests/benchmarks/fit_constraints.py [--spectra 20] [--sums 30] [--seed 0]

Each parameter in turn is fixed at the truth, bounded around it or started at it, and all are started roughly. A fit is
right that converged with no more than 1.3 times the chi2 of the truth. A row is written for each model: the wrong fits
without constraints, and the ways of knowing more that have more of them.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx import models
from usidx.fitting.fit import fit
from usidx.models import Model

Array = npt.NDArray[Any]
Ranges = dict[str, tuple[float, float]]

CENTER, WIDTH = (-3.0, 3.0), (0.3, 1.0)
KINDS: dict[str, Ranges] = {
    "Gaussian": {"amplitude": (1, 4), "center": CENTER, "sigma": WIDTH},
    "Lorentzian": {"amplitude": (1, 4), "center": CENTER, "sigma": WIDTH},
    "Voigt": {"amplitude": (1, 4), "center": CENTER, "sigma": (0.3, 0.8), "gamma": (0.3, 0.8)},
    "PseudoVoigt": {"amplitude": (1, 4), "center": CENTER, "sigma": WIDTH, "fraction": (0.2, 0.8)},
    "SplitGaussian": {"amplitude": (1, 4), "center": CENTER, "sigma_left": WIDTH, "sigma_right": WIDTH},
    "SkewedGaussian": {"amplitude": (1, 4), "center": CENTER, "sigma": (0.5, 1), "gamma": (1.5, 4)},
    "Fano": {"amplitude": (1, 3), "center": CENTER, "width": (0.5, 1.5), "q": (0.3, 2)},
    "BreitWignerFano": {"amplitude": (1, 3), "center": CENTER, "width": (0.5, 1.5), "inverse_q": (0.1, 0.8)},
    "Step": {"amplitude": (1, 4), "center": CENTER, "width": (0.2, 1)},
    "Sine": {"amplitude": (1, 3), "frequency": (0.2, 2), "phase": (-3, 3)},
    "Linear": {"slope": (-0.2, 0.2), "intercept": (-1, 1)},
    "Polynomial": {"c0": (-1, 1), "c1": (-0.2, 0.2), "c2": (-0.1, 0.1)},
    "Exponential": {"amplitude": (1, 4), "tau": (0.7, 4)},
    "StretchedExponential": {"amplitude": (1, 4), "tau": (1, 4), "beta": (0.5, 1.3)},
    "PowerLaw": {"amplitude": (2, 5), "exponent": (-2.5, -0.5)},
    "Langmuir": {"amplitude": (1, 4), "affinity": (0.2, 3)},
    "Diode": {"saturation_current": (0.01, 0.1), "ideality": (60, 120)},
}
#: Those that want a positive coordinate, and parameters that enter linearly.
POSITIVE = ("Exponential", "StretchedExponential", "PowerLaw", "Langmuir")
LINEAR = ("amplitude", "slope", "intercept", "c0", "c1", "c2", "saturation_current")


def _make_map(kinds: tuple[str, ...], count: int, rng: np.random.Generator) -> tuple[Model, xr.DataArray, Array, Any]:
    """Return a model, noisy spectra, their chi2 from the truth, and the truth."""
    shift = 6.0 if any(k in POSITIVE for k in kinds) else 0.0
    x, terms, truth = np.linspace(-5, 5, 100) + shift, [], {}
    for i, kind in enumerate(kinds):
        prefix = "ab"[i] + "_"
        terms.append(getattr(models, kind)(prefix=prefix))
        for name, limits in KINDS[kind].items():
            value = rng.uniform(limits[0], limits[1], count)
            if name == "center":
                value = shift + (value if len(kinds) == 1 else 0.4 * value + (2.2 * i - 1.1) * 1.1)
            if i == 1 and kinds[0] == kind and name in {"tau", "frequency"}:
                value = value * 4 if name == "tau" else value + 2.3
            truth[prefix + name] = value
    model: Model = terms[0] if len(terms) == 1 else terms[0] + terms[1]
    clean = model(x, **{k: v[:, None] for k, v in truth.items()})
    noisy = clean + 0.01 * np.ptp(clean, axis=1, keepdims=True) * rng.normal(size=clean.shape)
    return model, xr.DataArray(noisy, dims=("p", "x"), coords={"x": x}), ((noisy - clean) ** 2).sum(axis=1), truth


def _list_ways(truth: dict[str, Array]) -> Iterator[tuple[str, dict[str, Any]]]:
    known = {k: xr.DataArray(v, dims="p") for k, v in truth.items()}
    shaped = [k for k in truth if k[2:] not in LINEAR]
    yield "free", {}
    for name in known:
        yield f"fixed {name}", {"fixed": {name: known[name]}}
    for name in shaped:
        margin = 0.1 * float(np.ptp(truth[name]))
        low, high = float(truth[name].min()) - margin, float(truth[name].max()) + margin
        yield f"bounded {name}", {"bounds": {name: (low, high)}}
        yield f"started {name}", {"start": {name: known[name]}}
    yield "started roughly", {"start": {k: 1.3 * known[k] + 0.1 for k in shaped}}


def _count_wrong(kinds: tuple[str, ...], count: int, rng: np.random.Generator) -> dict[str, int]:
    model, data, best, truth = _make_map(kinds, count, rng)
    wrong = {}
    for way, known in _list_ways(truth):
        if len(known.get("fixed", ())) < len(truth):
            found = fit(data, model, "x", **known)
            wrong[way] = int((~found.converged | (found.chi2 > 1.3 * best)).sum())
    return wrong


def main() -> None:
    """Write a row for each model and for some of the sums of two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spectra", type=int, default=20)
    parser.add_argument("--sums", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    plain = {"Linear", "Polynomial"}
    sums = [s for s in itertools.combinations_with_replacement(KINDS, 2) if not set(s) <= plain]
    some = sorted(rng.permutation(len(sums))[: options.sums].tolist())
    sys.stdout.write(f"| model | wrong of {options.spectra} | knowing more, and wrong more often |\n|---|---|---|\n")
    for kinds in [*((k,) for k in KINDS), *(sums[i] for i in some)]:
        wrong = _count_wrong(kinds, options.spectra, rng)
        worse = ", ".join(f"{way}: {n}" for way, n in wrong.items() if n > wrong["free"])
        sys.stdout.write(f"| {' + '.join(kinds)} | {wrong['free']} | {worse} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
