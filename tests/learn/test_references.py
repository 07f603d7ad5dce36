"""Fits of reference spectra against scipy and NumPy, spectrum by spectrum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from scipy.optimize import nnls

import usidx
from usidx.errors import ResultError, RoleError, UnitsError, UsidError

Array = npt.NDArray[Any]
E = np.linspace(0.0, 10.0, 40)
PURE = np.array([np.exp(-((E - 3) ** 2)), np.exp(-(((E - 5) / 2) ** 2)), 0.05 * E, np.ones(40)])
NAMES = ["iron", "oxide", "slope", "level"]


def references() -> xr.DataArray:
    return xr.DataArray(PURE, dims=("component", "E"), coords={"E": E, "component": NAMES}, attrs={"units": "counts"})


def mixtures(kind: str = "numpy", *, noise: float = 0.05, holes: bool = False) -> xr.DataArray:
    rng = np.random.default_rng(0)
    shares = rng.uniform(-0.5, 2.0, (5, 6, 4))
    values = shares @ PURE + noise * rng.normal(size=(5, 6, 40))
    if holes:
        values[rng.random(values.shape) < 0.1] = np.nan
    made = xr.DataArray(
        values, dims=("Y", "X", "E"), coords={"E": E, "Y": np.arange(5.0)}, name="Loss", attrs={"units": "counts"}
    )
    made = usidx.set_roles(made, position=["Y", "X"], spectroscopic="E")
    return made if kind == "numpy" else made.chunk({"Y": 2, "E": 17})


def sigmas(which: str) -> Any:
    rng = np.random.default_rng(1)
    return {
        "none": None,
        "one": 0.3,
        "steps": xr.DataArray(rng.uniform(0.1, 1, 40), dims="E", coords={"E": E}),
        "all": xr.DataArray(rng.uniform(0.1, 1, (5, 6, 40)), dims=("Y", "X", "E")),
    }[which]


@pytest.mark.parametrize("kind", ["numpy", "dask"])
@pytest.mark.parametrize("which", ["none", "one", "steps", "all"])
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("nonnegative", [False, True])
def test_each_spectrum_is_that_of_scipy(kind: str, which: str, holes: bool, nonnegative: bool) -> None:
    data, sigma = mixtures(kind, holes=holes), sigmas(which)
    found = usidx.fit_references(data, references(), nonnegative=nonnegative, sigma=sigma)
    assert (found.scores.chunks is None) is (kind == "numpy")
    found = found.compute()
    for y, x in np.ndindex(5, 6):
        row = data.values[y, x]
        used = np.isfinite(row)
        weight = 1 / np.asarray(sigmas_at(sigma, y, x))[used]
        matrix, values = (PURE[:, used] * weight).T, row[used] * weight
        expected = nnls(matrix, values)[0] if nonnegative else np.linalg.lstsq(matrix, values, rcond=None)[0]
        np.testing.assert_allclose(found.scores[y, x], expected, rtol=1e-7, atol=1e-9)
        chi2 = float(((values - matrix @ expected) ** 2).sum())
        assert float(found.chi2[y, x]) == pytest.approx(chi2, rel=1e-7)
        assert int(found.samples[y, x]) == used.sum()
        free = expected > 0 if nonnegative else np.ones(4, bool)
        covariance = np.linalg.inv(matrix[:, free].T @ matrix[:, free]) * chi2 / (used.sum() - 4)
        np.testing.assert_allclose(found.scores_stderr[y, x][free], np.sqrt(np.diag(covariance)), rtol=1e-6)
        assert np.isnan(found.scores_stderr[y, x][~free]).all()


def sigmas_at(sigma: Any, y: int, x: int) -> Array:
    if sigma is None or isinstance(sigma, float):
        return np.full(40, 1.0 if sigma is None else sigma)
    return np.asarray(sigma.values if sigma.ndim == 1 else sigma.values[y, x])


def test_errors_cover_the_scatter() -> None:
    rng = np.random.default_rng(2)
    truth = np.array([1.0, 0.5, 0.2, 2.0])
    sigma = np.linspace(0.02, 0.2, 40)
    values = truth @ PURE + sigma * rng.normal(size=(3000, 40))
    data = xr.DataArray(values, dims=("p", "E"), coords={"E": E})
    known = xr.DataArray(sigma, dims="E", coords={"E": E})
    found = usidx.fit_references(data, references(), sigma=known, absolute_sigma=True)
    np.testing.assert_allclose(found.scores.std("p"), found.scores_stderr.mean("p"), rtol=0.06)
    np.testing.assert_allclose(found.scores.mean("p"), truth, atol=0.01)
    assert float(found.redchi.mean()) == pytest.approx(1.0, abs=0.02)


def test_labels_decide_and_names_stay() -> None:
    data = mixtures()
    plain = usidx.fit_references(data, references())
    assert plain.scores.dims == ("Y", "X", "component")
    assert plain.component.values.tolist() == NAMES
    assert (plain.scores.units, plain.components.units, plain.chi2.units) == ("", "counts", "counts^2")
    turned = usidx.fit_references(data, references().sortby("E", ascending=False))
    np.testing.assert_allclose(turned.scores, plain.scores, rtol=1e-9)
    more = references().reindex(E=np.sort(np.append(E, [11.0, 12.0])), fill_value=7.0)
    np.testing.assert_allclose(usidx.fit_references(data, more).scores, plain.scores, rtol=1e-9)
    with pytest.raises(ResultError, match=r"The set of references has no cell at E=10\.0, which the data has"):
        usidx.fit_references(data, references().isel(E=slice(0, 39)))


def test_masks_and_holes_in_references() -> None:
    data = mixtures()
    hidden = xr.DataArray((E > 4) & (E < 5), dims="E", coords={"E": E})
    part = usidx.fit_references(data.isel(E=~hidden.values), references().isel(E=~hidden.values))
    for found in (
        usidx.fit_references(data.where(~hidden, 1e9), references(), mask=hidden),
        usidx.fit_references(data.where(~hidden, 1e9), references().where(~hidden)),
    ):
        np.testing.assert_allclose(found.scores, part.scores, rtol=1e-9)
        assert (found.samples == (~hidden).sum()).all()
    few = usidx.fit_references(data.where(E[3] > data.E), references())
    assert np.isnan(few.scores).all()
    assert np.isnan(few.chi2).all()


@pytest.mark.parametrize("nonnegative", [False, True])
def test_references_that_do_not_tell_apart_give_nothing(nonnegative: bool) -> None:
    twice = xr.DataArray(PURE[[0, 1, 1]], dims=("component", "E"), coords={"E": E})
    found = usidx.fit_references(mixtures(), twice, nonnegative=nonnegative)
    assert np.isnan(found.scores).all()
    assert np.isnan(found.scores_stderr).all()


@pytest.mark.parametrize("scale", [1e-12, 1e9])
def test_units_do_not_matter(scale: float) -> None:
    data = mixtures()
    stretch = np.array([1.0, 1e-9, 1e6, 1.0])[:, None]
    found = usidx.fit_references(scale * data, scale * references() * stretch, nonnegative=True)
    plain = usidx.fit_references(data, references(), nonnegative=True)
    np.testing.assert_allclose(found.scores * stretch[:, 0], plain.scores, rtol=1e-6, atol=1e-12)


def test_results_are_written_reconstructed_and_projected(tmp_path: Path) -> None:
    data = mixtures()
    usidx.write(data, tmp_path / "loss.h5", progress=False)
    raw = usidx.open_main(tmp_path / "loss.h5")
    found = raw.usid.fit_references(references(), nonnegative=True)
    np.testing.assert_allclose(found.usid.reconstruct(), found.scores.compute().values @ PURE, atol=1e-9)
    np.testing.assert_allclose(found.usid.project(data), found.scores, rtol=1e-6, atol=1e-9)
    again = usidx.open_result(tmp_path / "loss.h5", found.usid.write(progress=False))
    xr.testing.assert_allclose(again.scores_stderr.drop_attrs(), found.scores_stderr.compute().drop_attrs())
    assert usidx.history(again)[-1]["parameters"]["nonnegative"] is True


def test_what_cannot_be_fitted_is_refused() -> None:
    data = mixtures()
    with pytest.raises(ResultError, match="References have the dims"):
        usidx.fit_references(data, references()[0].drop_vars("component"))
    with pytest.raises(ResultError, match="references are fitted to real data"):
        usidx.fit_references(data * 1j, references())
    with pytest.raises(UnitsError, match="is in 'counts', the references in 'V'"):
        usidx.fit_references(data, references().assign_attrs(units="V"))
    with pytest.raises(RoleError, match="No dim 'Q' here"):
        usidx.fit_references(data, references().rename(E="Q"))
    with pytest.raises(UsidError, match="standard deviation of zero or less"):
        usidx.fit_references(data, references(), sigma=0.0)
