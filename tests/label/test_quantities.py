"""Units that travel with the values, as pint's do, become attributes and reach every result."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.label.quantities import holds_quantities, store_units


class Unit(str):
    """A unit that is written short, as pint writes it where it is asked for ``~P``."""

    def __format__(self, how: str) -> str:
        assert how == "~P"
        return self.removeprefix("long ")


class Quantity(np.lib.mixins.NDArrayOperatorsMixin):
    """As much of a quantity as xarray needs to keep it."""

    def __init__(self, magnitude: Any, unit: str) -> None:
        self.magnitude, self.units = magnitude, Unit(f"long {unit}")
        self.shape, self.dtype, self.ndim = magnitude.shape, magnitude.dtype, magnitude.ndim

    def __getitem__(self, key: Any) -> "Quantity":
        return Quantity(self.magnitude[key], self.units.removeprefix("long "))

    def __array_function__(self, *_: object) -> Any:
        return NotImplemented

    def __array_ufunc__(self, *_: object, **__: object) -> Any:
        return NotImplemented


VALUES = np.random.default_rng(0).random((4, 5, 6)) + 1


def make_cube(data: Any) -> xr.DataArray:
    places = {"Y": ("Y", np.arange(4) * 1e-6, {"units": "m"})}
    return usidx.set_roles(
        xr.DataArray(data, dims=("Y", "X", "Bias"), name="Raw_Data", coords=places), position=["Y", "X"]
    )


def test_values_are_bare_and_the_unit_is_an_attribute() -> None:
    given = make_cube(Quantity(VALUES, "mV"))
    assert holds_quantities(given)
    stored = store_units(given)
    np.testing.assert_array_equal(stored.values, VALUES)
    assert (stored.attrs["units"], stored.name, stored.Y.attrs["units"]) == ("mV", "Raw_Data", "m")
    whole = store_units(given.to_dataset(name="a"))
    assert whole["a"].attrs["units"] == "mV"
    bare = make_cube(VALUES)
    assert store_units(bare) is bare
    assert store_units("text") == "text"


def test_units_reach_results_and_files(tmp_path: Any) -> None:
    given = make_cube(Quantity(VALUES, "mV"))
    expected = make_cube(VALUES).usid.svd(2)
    found = given.usid.svd(2)
    assert found.scores.attrs["units"] == "mV"
    np.testing.assert_array_equal(found.scores, expected.scores)
    usidx.write(given, tmp_path / "scan.h5")
    assert usidx.open_main(tmp_path / "scan.h5").attrs["units"] == "mV"
    assert "  mV  " in usidx.summary(given)
    assert usidx.plot_map(given.isel(Bias=0)).axes[0].images


def test_pint_itself(tmp_path: Any) -> None:
    pytest.importorskip("pint_xarray")
    given = make_cube(VALUES).assign_attrs(units="V").pint.quantify().pint.to("mV")
    usidx.write(given, tmp_path / "scan.h5")
    opened = usidx.open_main(tmp_path / "scan.h5")
    assert (opened.attrs["units"], opened.Y.attrs["units"]) == ("mV", "m")
    np.testing.assert_allclose(opened.values, 1e3 * VALUES)
