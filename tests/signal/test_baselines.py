"""Baselines beside pybaselines', spectrum by spectrum, and beside what was simulated."""

from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr

import usidx
from usidx.errors import MissingExtraError, UsidError

pybaselines = pytest.importorskip("pybaselines")
Array = npt.NDArray[Any]


def simulate(size: int = 300, rows: tuple[int, int] = (3, 5)) -> tuple[xr.DataArray, Array]:
    """Return lines on curved baselines with noise, and the baselines."""
    random, place = np.random.default_rng(0), np.linspace(0, 1, size)
    under = 5 + random.uniform(-2, 2, (*rows, 1)) * np.exp(-2 * place) + 2 * random.random((*rows, 1)) * place
    lines = sum(
        random.uniform(1, 9, (*rows, 1)) * np.exp(-((place - c) ** 2) / 2 / 0.01**2) for c in (0.2, 0.43, 0.5, 0.81)
    )
    values = under + lines + 0.05 * random.normal(size=(*rows, size))
    data = xr.DataArray(
        values, dims=("Y", "X", "Raman"), coords={"Raman": 100 + 900 * place}, attrs={"units": "counts"}
    )
    return usidx.set_roles(data, position=["Y", "X"], spectroscopic="Raman"), under


def call_one_by_one(data: xr.DataArray, method: str, **parameters: Any) -> Array:
    fitter, rows = pybaselines.Baseline(data.Raman.values), data.values.reshape(-1, data.sizes["Raman"])
    return np.array([getattr(fitter, method)(row, **parameters)[0] for row in rows]).reshape(data.shape)


CASES: list[tuple[str, dict[str, Any]]] = [
    ("arpls", {}), ("arpls", {"lam": 1e3, "tol": 1e-5, "max_iter": 9}), ("asls", {}), ("asls", {"lam": 1e4, "p": 0.05}),
    ("psalsa", {}), ("psalsa", {"lam": 1e4, "p": 0.2, "k": 0.7}), ("iarpls", {}), ("iarpls", {"lam": 1e6}),
    ("snip", {"max_half_window": 20}), ("imodpoly", {"poly_order": 3}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "parameters"), CASES)
@pytest.mark.filterwarnings("ignore::pybaselines.utils.ParameterWarning")
def test_it_is_that_of_pybaselines(method: str, parameters: dict[str, Any]) -> None:
    data, _ = simulate()
    expected = call_one_by_one(data, method, **parameters)
    found = usidx.signal.baseline(data, method, **parameters)
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(data.values).max())
    assert found.units == "counts"
    flat = usidx.signal.remove_baseline(data.chunk({"Raman": 80, "X": 2}), method, **parameters)
    np.testing.assert_allclose(flat, data.values - expected, atol=1e-6 * np.abs(data.values).max())


@pytest.mark.parametrize("size", [3, 4, 5, 17])
@pytest.mark.parametrize("method", ["arpls", "asls", "psalsa", "iarpls"])
@pytest.mark.filterwarnings("ignore::pybaselines.utils.ParameterWarning")
def test_short_spectra(method: str, size: int) -> None:
    data, _ = simulate(size, (2, 5))
    found = usidx.signal.baseline(data, method, lam=10.0)
    assert np.isfinite(found).all()
    if version("pybaselines").startswith("1.1."):
        pytest.skip("pybaselines of before 1.2 fails at spectra of 4 or 5 samples, or gives other values")
    np.testing.assert_allclose(found, call_one_by_one(data, method, lam=10.0), atol=1e-6)


@pytest.mark.parametrize("dtype", ["f4", "i4", ">f8"])
def test_types_stay(dtype: str) -> None:
    data, _ = simulate()
    given = (1000 * data).astype(dtype)
    found = usidx.signal.baseline(given)
    assert found.dtype == {"f4": "f4"}.get(dtype, "f8")
    np.testing.assert_allclose(found, call_one_by_one(given.astype("f8"), "arpls"), rtol=1e-5)


def test_many_rows_are_as_each_by_itself() -> None:
    """A lane that is used again knows nothing of the spectrum before."""
    data, _ = simulate(60, (7, 9))
    together = usidx.signal.baseline(data, lam=1e3)
    for y, x in ((0, 0), (3, 4), (6, 8)):
        alone = usidx.signal.baseline(data[y, x], dim="Raman", lam=1e3)
        np.testing.assert_allclose(together[y, x], alone, rtol=1e-9)


def test_hopeless_spectra_are_nan_and_harm_no_others() -> None:
    data, _ = simulate()
    expected = usidx.signal.baseline(data).values
    data[0, 0] = np.nan
    data[0, 1, 5] = np.inf
    data[1, 2, 7] = np.nan
    for method in ("arpls", "asls", "psalsa", "iarpls", "polynomial", "modpoly"):
        found = usidx.signal.baseline(data.chunk({"Y": 1}), method).compute()
        gone = found.isnull()
        assert gone.all("Raman").values.sum() == gone.any("Raman").values.sum() == 3
    kept = np.isfinite(data.values).all(axis=-1)
    np.testing.assert_allclose(usidx.signal.baseline(data).values[kept], expected[kept], rtol=1e-9)
    constant = xr.full_like(data, 3.0)
    for method in ("arpls", "psalsa", "iarpls", "polynomial"):
        np.testing.assert_allclose(usidx.signal.baseline(constant, method), 3.0, rtol=1e-6)


def test_the_polynomial_lies_under_the_lines() -> None:
    data, under = simulate()
    found = usidx.signal.baseline(data, "polynomial", poly_order=3)
    assert np.sqrt(np.mean((found.values - under) ** 2)) < 0.05
    turned = usidx.signal.baseline(data.isel(Raman=slice(None, None, -1)), "polynomial", poly_order=3)
    np.testing.assert_allclose(turned.isel(Raman=slice(None, None, -1)), found, atol=1e-9)
    place = data.Raman.values
    exact = xr.zeros_like(data) + (2 + 1e-3 * place - 3e-6 * place**2) + 50 * (np.arange(300) == 40)
    np.testing.assert_allclose(
        usidx.signal.baseline(exact, "polynomial"), (2 + 1e-3 * place - 3e-6 * place**2) * np.ones((3, 5, 1)), atol=1e-9
    )


def test_what_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    data, _ = simulate(50)
    with pytest.raises(UsidError, match=r"'lamb' is no parameter of the baseline 'arpls'; it has lam, max_iter, tol"):
        usidx.signal.baseline(data, lamb=3.0)
    with pytest.raises(UsidError, match="'mu' is no parameter of the baseline 'snip'"):
        usidx.signal.remove_baseline(data, "snip", mu=3.0)
    with pytest.raises(UsidError, match="no baseline 'arpl'"):
        usidx.signal.baseline(data, "arpl")
    with pytest.raises(UsidError, match="no baseline '_setup"):
        usidx.signal.baseline(data, "_setup_whittaker")
    for wrong in ({"lam": 0.0}, {"lam": -1.0}, {"lam": np.nan}, {"lam": "big"}, {"max_iter": -1}):
        with pytest.raises(UsidError, match="of a baseline; it should be a number above 0"):
            usidx.signal.baseline(data, **wrong)
    with pytest.raises(UsidError, match=r"p=1.0 .* below 1"):
        usidx.signal.baseline(data, "asls", p=1.0)
    with pytest.raises(UsidError, match="needs 3 or more"):
        usidx.signal.baseline(data[..., :2], dim="Raman")
    with pytest.raises(UsidError, match="is complex"):
        usidx.signal.baseline(data + 1j)
    monkeypatch.setitem(__import__("sys").modules, "pybaselines", None)
    with pytest.raises(MissingExtraError, match=r"usidx\[signal\]"):
        usidx.signal.baseline(data, "snip")
    assert usidx.signal.baseline(data).shape == data.shape
