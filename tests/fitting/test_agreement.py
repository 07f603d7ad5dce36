"""Every model beside scipy's least_squares: parameters and covariance, plain, weighted, with gaps, held and bounded.

The formulas are those of the models, which `test_models` compares with formulas written out; the solver is the other's.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from scipy.optimize import least_squares

from usidx.fitting.fit import fit
from usidx.models import (
    SHO,
    BreitWignerFano,
    Constant,
    Diode,
    Exponential,
    Fano,
    Gaussian,
    Langmuir,
    Linear,
    Lorentzian,
    Model,
    Polynomial,
    PowerLaw,
    PseudoVoigt,
    Sine,
    SkewedGaussian,
    SplitGaussian,
    Step,
    StretchedExponential,
    Voigt,
)

Array = npt.NDArray[Any]
WIDE, LONG = np.linspace(-5, 5, 90), np.linspace(0.2, 10, 90)
PAIR = Exponential(prefix="a_") + Exponential(prefix="b_")
LEVEL = Constant()

#: Model, coordinate, and parameters in order.
CASES: list[tuple[Model, Array, tuple[float, ...]]] = [
    (Linear(), WIDE, (0.5, 1.0)),
    (Polynomial(3), WIDE / 5, (1.0, 0.5, -0.4, 0.8)),
    (PowerLaw() + LEVEL, LONG, (3.0, -1.3, 0.4)),
    (Exponential() + LEVEL, LONG, (3.0, 2.0, 0.4)),
    (PAIR, LONG, (3.0, 0.7, 2.0, 5.0)),
    (StretchedExponential() + LEVEL, LONG, (3.0, 2.0, 0.7, 0.4)),
    (Gaussian() + Linear(), WIDE, (3.0, 0.5, 0.8, 0.1, 1.0)),
    (Lorentzian("height") + LEVEL, WIDE, (3.0, 0.5, 0.8, 1.0)),
    (Voigt() + LEVEL, WIDE, (3.0, 0.5, 0.6, 0.5, 1.0)),
    (PseudoVoigt() + LEVEL, WIDE, (3.0, 0.5, 0.8, 0.4, 1.0)),
    (SplitGaussian() + LEVEL, WIDE, (3.0, 0.5, 0.6, 1.0, 1.0)),
    (SkewedGaussian() + LEVEL, WIDE, (3.0, -0.5, 1.2, 2.0, 1.0)),
    (Fano() + LEVEL, WIDE, (1.5, 0.5, 0.9, 1.2, 0.3)),
    (BreitWignerFano() + LEVEL, WIDE, (3.0, 0.5, 0.9, 0.3, 0.3)),
    (Step() + LEVEL, WIDE, (3.0, 0.5, 0.9, 0.3)),
    (Step("logistic") + LEVEL, WIDE, (3.0, 0.5, 0.4, 0.3)),
    (Step("arctan") + LEVEL, WIDE, (3.0, 0.5, 0.4, 0.3)),
    (Sine() + LEVEL, WIDE, (3.0, 0.63, 1.0, 0.3)),
    (Diode() + Linear(), WIDE / 10, (1e-3, 2.5, 0.1, 0.2)),
    (Langmuir(), LONG, (3.0, 0.7)),
    (SHO(), np.linspace(300e3, 340e3, 90), (2e-5, 321e3, 110.0, 0.7)),
]


def with_scipy(
    model: Model, data: xr.DataArray, sigma: Array, start: dict[str, float], held: dict[str, float], high: Array
) -> tuple[Array, Array]:
    """Return the free parameters and their covariance."""
    free = [n for n in model.names if n not in held]
    size = np.array([abs(start[n]) for n in free])
    use = np.isfinite(data.values)

    def left(p: Array) -> Array:
        value = model(data.x.values, **(held | dict(zip(free, p * size, strict=True))))
        away = ((data.values - value) / sigma)[use]
        return np.concatenate([away.real, away.imag]) if np.iscomplexobj(away) else away

    begin = np.array([start[n] for n in free]) / size
    limits = np.full(len(free), -np.inf), high[[model.names.index(n) for n in free]] / size
    begin = np.minimum(begin * 1.001, limits[1] - 1e-9)
    found = least_squares(left, begin, jac="3-point", xtol=1e-15, ftol=1e-15, gtol=1e-15, bounds=limits)
    redchi = 2 * found.cost / (found.fun.size - len(free))
    return found.x * size, np.linalg.inv(found.jac.T @ found.jac) * redchi * np.outer(size, size)


@pytest.mark.parametrize("way", ["plain", "weighted", "gaps", "held", "bounded"])
@pytest.mark.parametrize(("model", "x", "values"), CASES, ids=[" ".join(m.names) for m, _, _ in CASES])
def test_agrees_with_scipy(model: Model, x: Array, values: tuple[float, ...], way: str) -> None:
    rng = np.random.default_rng(3)
    truth = dict(zip(model.names, values, strict=True))
    clean = model(x, **truth)
    spread = 0.01 * np.ptp(abs(clean)) * rng.uniform(0.5, 2, x.size)
    noise = spread * rng.normal(size=x.size)
    noise = noise + 1j * spread * rng.normal(size=x.size) if model.is_complex else noise
    data = xr.DataArray(clean + noise, dims="x", coords={"x": x})
    data[[3, 40]] = np.nan if way == "gaps" else data[[3, 40]]
    sigma = xr.DataArray(spread if way == "weighted" else np.ones(x.size), dims="x")
    held = {model.names[1]: values[1] * 1.001} if way == "held" else {}
    # A bound far from where the fit ends: what is on one has no covariance.
    high = np.where(way == "bounded", np.array(values) + 0.5 * np.abs(values), np.inf)
    bounds = {n: (-np.inf, float(b)) for n, b in zip(model.names, high, strict=True)} if way == "bounded" else None
    found = fit(data, model, "x", sigma=sigma, fixed=held, bounds=bounds, covariance=True)
    assert bool(found.converged)
    start = {n: float(found[n]) for n in model.names}
    best, covariance = with_scipy(model, data, sigma.values, start, held, high)
    errors, free = np.sqrt(np.diag(covariance)), [n for n in model.names if n not in held]
    for n, value, error in zip(free, best, errors, strict=True):
        assert abs(float(found[n]) - value) < 1e-3 * error
        assert float(found[f"{n}_stderr"]) == pytest.approx(error, rel=1e-3)
    own = found.covariance.sel(parameter=free, parameter_2=free).values
    assert (np.abs(own - covariance) <= 2e-3 * np.outer(errors, errors)).all()
    assert (own == own.T).all()
