from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from usidx.results.verbs import record_step
from usidx.testing.assertions import assert_same


def scan(**changes: Any) -> xr.DataArray:
    parts: dict[str, Any] = {
        "data": np.arange(3.0),
        "dims": "x",
        "coords": {"x": [0.0, 1.0, 2.0]},
        "name": "z",
        "attrs": {"units": "m"},
    }
    return xr.DataArray(**(parts | changes))


@pytest.mark.parametrize("wrap", [lambda a: a, lambda a: a.to_dataset()])
def test_where_it_came_from_does_not_matter(wrap: Callable[[xr.DataArray], xr.DataArray]) -> None:
    recorded = record_step(wrap(scan()), scan(), "smooth", {})
    before = dict(recorded.attrs)
    assert_same(recorded, wrap(scan()))
    assert recorded.attrs == before


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (scan(data=np.arange(3.0) + 1), "not identical"),
        (scan(attrs={"units": "V"}), "not identical"),
        (scan(data=np.arange(3.0, dtype="f4")), "dtypes differ: {'z'"),
        (scan(coords={"x": np.array([0, 1, 2], dtype="f4")}), "dtypes differ: {'x'"),
        (scan(coords=xr.Coordinates({"x": ("x", [0.0, 1.0, 2.0])}, indexes={})), "(?i)index"),
    ],
)
def test_differences_are_named(other: xr.DataArray, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        assert_same(scan(), other)
    with pytest.raises(AssertionError):
        assert_same(scan().to_dataset(), other.to_dataset())


def test_byte_order_does_not_matter() -> None:
    assert_same(scan(), scan(data=np.arange(3.0).astype(">f8")))
