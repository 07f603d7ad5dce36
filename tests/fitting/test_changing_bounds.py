"""Bounds that change from spectrum to spectrum: each is fitted as it is alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import RoleError, UsidError
from usidx.models import Constant, Gaussian

X = np.linspace(-4.0, 4.0, 50)
PEAK = Gaussian("height") + Constant()


def peaks(kind: str = "numpy") -> tuple[xr.DataArray, xr.DataArray]:
    rng = np.random.default_rng(0)
    center = xr.DataArray(rng.uniform(-1.5, 1.5, (3, 4)), dims=("Y", "X"), coords={"Y": [10.0, 20, 30]})
    x = xr.DataArray(X, dims="x", coords={"x": X})
    away: Any = (x - center) / 0.6
    clean = (2 * np.exp(-0.5 * away**2) + 0.3).transpose("Y", "X", "x")
    data = clean + 0.05 * rng.normal(size=(3, 4, 50))
    return (data if kind == "numpy" else data.chunk({"Y": 1})), center


def limits(center: xr.DataArray) -> Any:
    """Return narrow bounds, such that some of the fits end on them."""
    middle = center.round(1)
    return (middle - 0.04, middle + 0.04)


@pytest.mark.parametrize("kind", ["numpy", "dask"])
def test_each_spectrum_has_its_own_bounds(kind: str) -> None:
    data, center = peaks(kind)
    low, high = limits(center)
    options: dict[str, Any] = {"retry": "neighbours", "covariance": True}
    found = usidx.fit(data, PEAK, "x", bounds={"center": (low, high), "sigma": (0.1, high + 5)}, **options)
    assert (found.center.chunks is None) is (kind == "numpy")
    found = found.compute()
    assert found.converged.all()
    ended = found.status == 2
    assert 0 < int(ended.sum()) < 12
    for y, x in np.ndindex(3, 4):
        pair = (float(low[y, x]), float(high[y, x]))
        alone = usidx.fit(data[y, x].compute(), PEAK, "x", bounds={"center": pair, "sigma": (0.1, pair[1] + 5)})
        for name in ("center", "sigma", "amplitude", "center_stderr", "chi2"):
            assert float(found[name][y, x]) == pytest.approx(float(alone[name]), rel=1e-9, nan_ok=True)
        assert pair[0] <= float(found.center[y, x]) <= pair[1]


def test_bounds_of_lines_and_what_is_not_told() -> None:
    data, center = peaks()
    plain = usidx.fit(data, PEAK, "x")
    low = xr.DataArray([-np.inf, 5.0, np.nan], dims="Y", coords={"Y": data.Y})
    found = usidx.fit(data, PEAK, "x", bounds={"center": (low, np.inf)})
    for y in (0, 2):
        np.testing.assert_allclose(found.center[y], plain.center[y], rtol=1e-6)
    assert (found.center[1] >= 5).all()
    counts = usidx.fit((100 * data).round().clip(0), PEAK, "x", bounds={"center": limits(center)}, loss="poisson")
    assert float(abs(counts.center - center).max()) < 0.1
    same = usidx.fit(data, PEAK, "x", bounds={"center": (xr.DataArray(-2.0), xr.DataArray(2.0))})
    np.testing.assert_allclose(same.center, plain.center, rtol=1e-6)


def test_bounds_are_those_of_the_same_cells() -> None:
    data, center = peaks()
    low, high = limits(center)
    with pytest.raises(RoleError, match="bounds: its coordinate along 'Y' is not that of the data"):
        usidx.fit(data, PEAK, "x", bounds={"center": (low[::-1], high[::-1])})
    with pytest.raises(RoleError, match="bounds: dim 'x' is not among the dims"):
        usidx.fit(data, PEAK, "x", bounds={"center": (data.x - 9, 9.0)})
    with pytest.raises(UsidError, match="bounds: 'center' has 12 pairs whose first is not the lower one"):
        usidx.fit(data, PEAK, "x", bounds={"center": (high, low)})
    with pytest.raises(UsidError, match="bounds: 'center' has a DataArray and a str; write numbers"):
        usidx.fit(data, PEAK, "x", bounds={"center": (low, "9")})  # type: ignore[dict-item]
    lazy = usidx.fit(data, PEAK, "x", bounds={"center": (high.where(high.Y > 10, low).chunk(), high)})
    assert lazy.converged.values.tolist() == [[True] * 4, [False] * 4, [False] * 4]
    assert (lazy.status.values[1:] == -4).all()


def test_two_calls_with_other_bounds_are_told_apart() -> None:
    data, center = peaks()
    low, high = limits(center)
    steps = [
        usidx.history(usidx.fit(data, PEAK, "x", bounds={"center": p}))[-1] for p in ((low, high), (low, high + 1))
    ]
    assert steps[0]["parameters"]["bounds"] != steps[1]["parameters"]["bounds"]
