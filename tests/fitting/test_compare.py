"""Criteria equal their formulas on fits by NumPy, and choose the model that made the data."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

import usidx
from usidx.errors import ResultError, SelectionError
from usidx.fitting.compare import compare
from usidx.fitting.fit import fit
from usidx.models import SHO, Constant, Gaussian, Linear, Model, Polynomial

Maker = Callable[..., tuple[xr.DataArray, xr.Dataset]]
X = np.linspace(-1.0, 2.0, 25)


def curves(count: int = 12, noise: float = 0.1) -> xr.DataArray:
    """Return lines first, then parabolas."""
    rng = np.random.default_rng(0)
    bend = np.where(np.arange(count) < count // 2, 0.0, 2.0)[:, None]
    clean = 1.0 + 2.0 * X + bend * X**2
    return xr.DataArray(clean + noise * rng.normal(size=clean.shape), dims=("p", "x"), coords={"x": X}, name="Curves")


def misfit(values: np.ndarray, degree: int, weight: np.ndarray | None = None) -> float:
    left = values - np.polyval(np.polyfit(X, values, degree, w=weight), X)
    return float(((left * (1.0 if weight is None else weight)) ** 2).sum())


@pytest.mark.parametrize("kind", ["numpy", "dask"])
def test_criteria_are_their_formulas(kind: str) -> None:
    data = curves()
    fits = [fit(data if kind == "numpy" else data.chunk({"p": 5}), Polynomial(d), "x") for d in (0, 1, 2, 3)]
    plain, few = compare(*fits), compare(*fits, corrected=True)
    assert (plain.aic.chunks is None) is (kind == "numpy")
    assert plain.aic.dims == ("p", "model")
    for p, degree in np.ndindex(12, 4):
        chi2, k = misfit(data.values[p], degree), degree + 1
        aic = 25 * np.log(chi2 / 25) + 2 * k
        assert float(plain.aic[p, degree]) == pytest.approx(aic, rel=1e-9)
        assert float(plain.bic[p, degree]) == pytest.approx(25 * np.log(chi2 / 25) + k * np.log(25), rel=1e-9)
        # Hurvich and Tsai: AICc differs from AIC, K parameters with the variance, by 2K(K + 1) / (N - K - 1).
        assert float(few.aic[p, degree]) == pytest.approx(aic + 2 * (k + 1) * (k + 2) / (25 - k - 2), rel=1e-9)
    assert_array_equal(plain.bic.argmin("model"), plain.best)
    assert_array_equal(compare(*fits, criterion="aic").best, plain.aic.argmin("model"))


def test_the_model_that_made_the_data_is_chosen() -> None:
    data = curves(600)
    best = compare(*(fit(data, Polynomial(d), "x") for d in (0, 1, 2))).best.values
    # One needless parameter gains more than ln 25 in 7 of 100 cases (Wilks), somewhat more with so few samples.
    assert (best[:300] == 1).mean() > 0.85
    assert (best[300:] == 2).all()


def test_known_noise_stands_for_the_estimate() -> None:
    data = curves()
    fits = [fit(data, Polynomial(d), "x", sigma=0.1, absolute_sigma=True) for d in (1, 2)]
    found, few = compare(*fits), compare(*fits, corrected=True)
    for p, m in np.ndindex(12, 2):
        chi2, k = misfit(data.values[p], m + 1) / 0.01, m + 2
        assert float(found.aic[p, m]) == pytest.approx(chi2 + 2 * k, rel=1e-9)
        assert float(found.bic[p, m]) == pytest.approx(chi2 + k * np.log(25), rel=1e-9)
        assert float(few.aic[p, m]) == pytest.approx(chi2 + 2 * k + 2 * k * (k + 1) / (24 - k), rel=1e-9)


def test_missing_samples_and_held_parameters_count() -> None:
    data = curves()
    data[3, :5] = np.nan
    fits = [fit(data, Polynomial(2), "x", fixed={"c2": 0.0}), fit(data, Polynomial(2), "x", tied={"c2": "0 * c1"})]
    fits.append(fit(data, Linear(), "x"))
    found = compare(*fits)
    for m in range(3):
        assert_allclose(found.aic[:, m], found.aic[:, 2], rtol=1e-9)
    assert_array_equal(fits[0].samples, np.where(np.arange(12) == 3, 20, 25))
    left = data.values[3, 5:] - np.polyval(np.polyfit(X[5:], data.values[3, 5:], 1), X[5:])
    assert float(found.aic[3, 2]) == pytest.approx(20 * np.log((left**2).sum() / 20) + 4, rel=1e-9)
    older = [f.drop_vars("samples") for f in fits]
    assert_allclose(compare(*older).bic, found.bic, rtol=1e-9)


def test_complex_samples_are_two_numbers(oscillators: Maker) -> None:
    data, _ = oscillators(shape=(2, 2))
    found = compare(fit(data, SHO()), fit(data, SHO() + Constant()))
    chi2 = float(fit(data, SHO()).chi2[0, 0])
    assert float(found.aic[0, 0, 0]) == pytest.approx(120 * np.log(chi2 / 120) + 8, rel=1e-9)


def test_failed_fits_are_not_the_best() -> None:
    data = curves()
    data[0] = np.nan
    fits = [fit(data, Linear(), "x"), fit(data, Gaussian() + Constant(), "x", max_evaluations=4)]
    found = compare(*fits)
    failed = ~fits[1].converged.values
    assert failed.sum() > 1
    assert np.isnan(found.aic.values[failed, 1]).all()
    assert (found.best.values[failed][1:] == 0).all()
    assert int(found.best[0]) == -1
    # Where one fit saw other samples than the other, nothing is comparable.
    other = data.copy()
    other[4, 2] = np.nan
    mixed = compare(fit(data, Linear(), "x"), fit(other, Polynomial(2), "x"))
    assert int(mixed.best[4]) == -1
    assert mixed.aic[4].isnull().all()
    assert mixed.aic[5].notnull().all()


def test_models_are_named(tmp_path: Path) -> None:
    data = curves()
    fits = [fit(data, Polynomial(d), "x") for d in (1, 2)]
    assert list(compare(*fits).model.values) == ["Polynomial 1", "Polynomial 2"]
    found = compare(fits[0], fits[1], names=["line", "parabola"])
    assert list(found.model.values) == ["line", "parabola"]
    assert found.best.attrs["flag_meanings"] == "line parabola"
    assert usidx.compare is compare
    assert found.identical(fits[0].usid.compare(fits[1], names=["line", "parabola"]))
    assert [s["tool"] for s in found.usid.history] == ["fit", "compare"]
    function = fit(data, Model.from_function(lambda x, a=0.0, b=0.0: a * x + b), "x")
    assert_allclose(compare(fits[0], function).aic[:, 1], compare(*fits).aic[:, 0], rtol=1e-8)


def test_errors_say_what_to_do(oscillators: Maker) -> None:
    data = curves()
    line = fit(data, Linear(), "x")
    with pytest.raises(ResultError, match="One fit alone cannot be compared"):
        compare(line)
    with pytest.raises(ResultError, match="does not come from a fit"):
        compare(line, xr.Dataset())
    with pytest.raises(
        ResultError, match=r"The fits differ in the dims of the data: \{'p': 12, 'x': 25\} and \{'p': 5"
    ):
        compare(line, fit(data[:5], Linear(), "x"))
    with pytest.raises(ResultError, match="The fits differ in the name of the data: 'Curves' and 'Other'"):
        compare(line, fit(data.rename("Other"), Linear(), "x"))
    with pytest.raises(ResultError, match="The fits differ in the absolute_sigma: False and True"):
        compare(line, fit(data, Linear(), "x", absolute_sigma=True))
    with pytest.raises(ResultError, match="has loss='cauchy'; chi2 compares fits with loss='linear' only"):
        compare(line, fit(data, Linear(), "x", loss="cauchy"))
    with pytest.raises(ResultError, match="The fits differ in the size of the results"):
        compare(line, line.isel(p=slice(3)))
    with pytest.raises(ResultError, match="The fit 'Linear' lacks 'chi2'"):
        compare(line, line.drop_vars("chi2"))
    with pytest.raises(ResultError, match="has neither 'samples' nor 'redchi'"):
        compare(line, line.drop_vars(["samples", "redchi"]))
    with pytest.raises(SelectionError, match=r"No criterion 'hqc'; choose one of \('aic', 'bic'\)"):
        compare(line, line, criterion="hqc")
    with pytest.raises(SelectionError, match=r"names: \['a'\] are not 2 different names"):
        compare(line, line, names=["a"])
