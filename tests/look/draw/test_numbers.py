"""Numbers and units as a person reads them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usidx.look.draw.numbers import (
    choose_scale,
    find_finite_range,
    make_printable,
    write_extent,
    write_number,
    write_size,
    write_unit,
    write_with_unit,
)


@pytest.mark.parametrize(
    ("largest", "unit", "factor", "shown"),
    [
        (5e-6, "m", 1e6, "µm"),
        (5.0, "um", 1.0, "µm"),
        (0.004, "um", 1e3, "nm"),
        (340e3, "Hz", 1e-3, "kHz"),
        (0.5, "V", 1.0, "V"),
        (0.05, "V", 1e3, "mV"),
        (1000.0, "Hz", 1e-3, "kHz"),
        (999.0, "Hz", 1.0, "Hz"),
        (3e-12, "A", 1e12, "pA"),
        (2500.0, "meV", 1e-3, "eV"),
        (4e6, "Ohm", 1e-6, "MΩ"),
    ],
)
def test_units_take_the_prefix_that_suits(largest: float, unit: str, factor: float, shown: str) -> None:
    scale = choose_scale(largest, unit)
    assert scale.factor == pytest.approx(factor)
    assert scale.unit == shown


@pytest.mark.parametrize("unit", ["", "a.u.", "counts", "1/cm", "min", "cm", "rad", "deg", "V Hz", "%"])
def test_other_units_stay_as_they_are(unit: str) -> None:
    assert choose_scale(1e-7, unit).factor == 1
    assert choose_scale(1e-7, unit).unit == unit


@pytest.mark.parametrize("largest", [0.0, math.nan, math.inf, 1e-30, 1e40])
def test_what_no_prefix_reaches_is_not_scaled(largest: float) -> None:
    assert choose_scale(largest, "m").factor == 1


@given(st.floats(1e-14, 1e13), st.sampled_from(["m", "nm", "kHz", "V", "µA"]))
def test_scaled_values_are_short(largest: float, unit: str) -> None:
    scale = choose_scale(largest, unit)
    assert scale.factor == 1 or 0.99 <= largest * scale.factor < 1000.01


def test_extent() -> None:
    assert write_extent(0, 5e-6, "m") == "0–5 µm"
    assert write_extent(-8, 8, "V") == "-8 to 8 V"
    assert write_extent(3, 3, "") == "3"
    assert write_extent(200, 3200, "1/cm") == "200–3200 1/cm"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (320.0, "320"), (0.03333333, "0.03333"), (1.23e-7, "1.23e-07"), (5e9, "5e+09"), (math.nan, "nan")],
)
def test_number(value: float, text: str) -> None:
    assert write_number(value) == text


def test_with_unit_and_size() -> None:
    assert write_with_unit(-2e-9, "A") == "-2 nA"
    assert [write_size(n) for n in (0, 999, 65536, 134_217_728, 3 * 10**12)] == [
        "0 bytes",
        "999 bytes",
        "65.5 kB",
        "134 MB",
        "3 TB",
    ]


def test_pretty_units() -> None:
    assert [write_unit(u) for u in ("um", "V^2", " m\n", "kOhm", "1/cm")] == ["µm", "V²", "m", "kΩ", "1/cm"]


@given(st.text())
def test_plain_is_one_printable_line(text: str) -> None:
    line = make_printable(text, 20)
    assert len(line) <= 20
    assert "\n" not in line
    assert "\x00" not in line


def test_finite_range() -> None:
    assert find_finite_range([np.nan, 2.0, np.inf, -1.0]) == (-1.0, 2.0)
    assert find_finite_range([np.nan]) is None
    assert find_finite_range(np.array([3, 4], "uint8")) == (3.0, 4.0)
