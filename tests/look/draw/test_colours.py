"""Colours follow what is measured."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import xarray as xr

from usidx.look.draw.colours import choose_colours, list_category_colours

RNG = np.random.default_rng(0)


def chosen(values: Any, name: str = "value", **attrs: str) -> Any:
    array = xr.DataArray(np.asarray(values), dims="x", name=name, attrs=attrs)
    return choose_colours(array, array.values.astype(float))


def test_values_of_both_signs_part_at_zero() -> None:
    colours = chosen([-2.0, 1.0, 3.0])
    assert (colours.colormap.name, colours.low, colours.high) == ("RdBu_r", -3, 3)


@pytest.mark.parametrize("values", [[1.0, 2.0], [-2.0, -1.0], [-0.01, 5.0]])
def test_values_of_one_sign_do_not(values: list[float]) -> None:
    colours = chosen(values)
    assert (colours.colormap.name, colours.low, colours.high) == ("viridis", min(values), max(values))


def test_heights_do_not_part_at_zero() -> None:
    colours = chosen([-2e-9, 3e-9], units="m")
    assert colours.colormap.name == "viridis"
    assert colours.unit == "nm"
    assert (colours.low, colours.high) == (pytest.approx(-2), pytest.approx(3))


@pytest.mark.parametrize(
    ("values", "units", "low", "high"),
    [
        ([-3.0, 3.0], "rad", -math.pi, math.pi),
        ([0.1, 6.0], "rad", 0, 2 * math.pi),
        ([-170.0, 10.0], "deg", -180, 180),
        ([10.0, 350.0], "deg", 0, 360),
        ([-90.0, 250.0], "m", -100, 260),
    ],
)
def test_phases_come_round(values: list[float], units: str, low: float, high: float) -> None:
    colours = chosen(values, "PhaseRetrace", units=units)
    assert colours.colormap.name == "twilight"
    assert (colours.low, colours.high) == (pytest.approx(low), pytest.approx(high))
    assert colours.unit == units


def test_the_error_of_a_phase_does_not_come_round() -> None:
    assert chosen([0.1, 0.2], "phase_stderr", units="rad").colormap.name == "viridis"


def test_codes_below_zero_are_codes() -> None:
    assert chosen([-1, 0, 1], "status").tick_labels == ("-1", "0", "1")
    assert chosen([-1, 0, 1], "labels").tick_labels == ("none", "0", "1")


def test_an_unwrapped_phase_does_not() -> None:
    assert chosen([0.0, 40.0], "phase", units="rad").colormap.name == "viridis"


def test_stray_cells_do_not_hide_the_rest() -> None:
    values = RNG.normal(10, 1, 10_000)
    values[3] = 1e6
    colours = chosen(values)
    assert colours.extend == "max"
    assert colours.high < 15
    assert chosen(RNG.normal(10, 1, 10_000)).extend == "neither"


def test_rounding_is_no_structure() -> None:
    colours = chosen(1e-5 * (1 + 1e-8 * RNG.uniform(-1, 1, 80)), units="V")
    assert colours.remark == "constant"
    assert colours.high - colours.low > 0.5
    assert chosen(320e3 + 0.1 * RNG.uniform(-1, 1, 80), units="Hz").remark == ""


def test_a_stray_cell_of_a_small_map_is_one_too() -> None:
    values = RNG.uniform(5, 15, 120)
    values[3] = 350.0
    colours = chosen(values)
    assert colours.extend == "max"
    assert colours.high <= 15
    assert chosen([*range(10), 350.0]).extend == "neither"


def test_categories() -> None:
    colours = chosen([0, 1, 2], "labels")
    assert list(colours.colormap.colors) == list_category_colours(3)
    assert (colours.low, colours.high) == (-0.5, 2.5)
    assert colours.tick_labels == ("0", "1", "2")
    assert chosen([True, False]).tick_labels == ("no", "yes")
    assert chosen([3, 5], "labels").categories == (3, 4, 5)
    assert chosen([0, 100_000], "labels").categories == ()


@pytest.mark.parametrize("count", [1, 8, 9, 20, 21, 60])
def test_category_colours_differ(count: int) -> None:
    assert len(set(list_category_colours(count))) == count
