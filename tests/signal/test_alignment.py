"""Shifts beside those that were put in."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr

import usidx
from usidx.errors import ResultError, UsidError

Array = npt.NDArray[Any]


def move(noise: float, *, spread: float = 3.0, step: float = 0.2) -> tuple[xr.DataArray, Array]:
    """Return spectra of several lines, each moved, and by how many samples."""
    random, place = np.random.default_rng(0), np.arange(300.0)
    shifts = random.normal(scale=spread, size=(5, 8))
    values = np.zeros((5, 8, 300))
    for center, height, width in ((60, 1.0, 3), (110, 0.6, 5), (140, 0.9, 3), (200, 1.0, 4), (240, 0.7, 3)):
        values += height * np.exp(-((place - center - shifts[..., None]) ** 2) / 2 / width**2)
    values += 2 + noise * random.normal(size=values.shape)
    energy = xr.DataArray(5 + step * place, dims="E", attrs={"units": "eV"})
    data = xr.DataArray(values, dims=("Y", "X", "E"), coords={"E": energy}, attrs={"units": "A"}, name="I")
    return usidx.set_roles(data, position=["Y", "X"], spectroscopic="E"), shifts


@pytest.mark.parametrize("step", [0.2, -0.2])
@pytest.mark.parametrize("reference", ["mean", "first", "given"])
def test_without_noise_shifts_are_exact(reference: str, step: float) -> None:
    data, shifts = move(0.0, step=step)
    target: Any = data[1, 2] if reference == "given" else reference
    found = usidx.signal.align(data, reference=target)
    zero = {"mean": (found["shift"].values / step - shifts).mean(), "first": -shifts[0, 0], "given": -shifts[1, 2]}
    np.testing.assert_allclose(found["shift"] / step, shifts + zero[reference], atol=0.02)
    assert found["shift"].units == "eV"
    assert found.aligned.units == "A"
    apart = found.aligned - found.aligned[0, 0]
    assert float(abs(apart).max()) < 0.01
    lazy = usidx.signal.align(data.chunk({"Y": 2, "E": 70}), reference=target)
    assert lazy.aligned.chunks is not None
    np.testing.assert_allclose(lazy["shift"], found["shift"], atol=1e-6)


def test_with_noise_they_are_as_good_as_can_be() -> None:
    data, shifts = move(0.2)
    found = usidx.signal.align(data)["shift"].values / 0.2 - shifts
    # By the slopes of the lines, which is what any estimate can know.
    slopes = np.gradient(move(0.0, spread=0.0)[0].values[0, 0])
    bound = 0.2 / np.sqrt((slopes**2).sum())
    assert found.std() < 1.25 * bound


def test_nothing_is_cropped_and_nothing_made_up() -> None:
    data, _ = move(0.0)
    found = usidx.signal.align(data, reference="first")
    gone = found.aligned.isnull().sum("E")
    np.testing.assert_array_equal(gone, np.ceil(abs(found["shift"].values) / 0.2 - 1e-6))
    assert not usidx.signal.align(data, reference="first", fill=0.0).aligned.isnull().any()
    held = usidx.signal.align(data, reference="first", max_shift=0.2)
    assert float(abs(held["shift"]).max()) <= 0.2 + 1e-9


def test_bad_spectra_and_options() -> None:
    data, _ = move(0.0)
    expected = usidx.signal.align(data, reference="first")["shift"].values
    data[2, 3, 7] = np.nan
    data[3, 3] = 4.0
    found = usidx.signal.align(data, reference="first")
    good = found["shift"].notnull().values
    assert (~good).sum() == 2
    np.testing.assert_allclose(found["shift"].values[good], expected[good], atol=1e-9)
    assert usidx.signal.align(data)["shift"].isnull().sum() == 2
    assert usidx.signal.align(data.astype("f4"))["aligned"].dtype == "f4"
    assert float(usidx.signal.align(data[0, 0], "E")["shift"]) == pytest.approx(0, abs=1e-9)
    with pytest.raises(UsidError, match="reference='last'"):
        usidx.signal.align(data, reference="last")
    with pytest.raises(ResultError, match="300 of 'E' are wanted"):
        usidx.signal.align(data, reference=data[0, 0, :10])
    with pytest.raises(ResultError, match="another axis"):
        usidx.signal.align(data, reference=data[0, 0].assign_coords(E=data.E + 1))
    with pytest.raises(UsidError, match="max_shift=-1"):
        usidx.signal.align(data, max_shift=-1)


def test_what_lies_beside_a_spectrum_has_no_part_in_its_shift() -> None:
    """Or a result that is made again in other blocks would be another one."""
    rng = np.random.default_rng(4)
    places = np.arange(48.0)
    peaks = np.exp(-(((places - 24 - rng.uniform(-2, 2, (30, 1))) / 3) ** 2))
    noisy = (1e3 + peaks + 0.1 * rng.standard_normal((30, 48))).astype("f4")
    data = xr.DataArray(noisy, {"E": places}, ("X", "E"))
    whole = usidx.signal.align(data, "E")
    parts = usidx.signal.align(data.chunk(X=7), "E").compute()
    np.testing.assert_allclose(parts["shift"], whole["shift"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(parts["aligned"], whole["aligned"], rtol=1e-7)


@pytest.mark.parametrize("scale", [1e-22, 1e-12, 1e9])
def test_the_unit_of_the_data_changes_nothing(scale: float) -> None:
    axis = np.arange(60.0)
    rows = np.exp(-(((axis - np.array([[25.0], [27.3], [30.0], [31.8]])) / 4) ** 2))
    data = xr.DataArray(rows, {"E": axis}, ("p", "E"))
    found = usidx.signal.align(scale * data, "E", reference="first")
    np.testing.assert_allclose(found["shift"], [0, 2.3, 5, 6.8], atol=1e-4)
