"""What cannot be simulated is said; one pixel, one line or one step can be where that has a meaning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import usidx
from usidx.errors import UsidError

#: The smallest second size of each simulator that has one.
SMALLEST: dict[str, Any] = {
    "band_excitation": 1, "beps": 1, "ckpfm": 1, "current_voltage": 1, "force_map": 1, "gaussian_map": 1, "giv": 1,
    "gkpfm": 1, "gmode_lines": 1, "relaxation": 1, "spectrum_image": 1, "drifting_stack": 1, "diffraction": (1, 1),
}  # fmt: skip


def make(name: str, *given: Any, **named: Any) -> Any:
    return getattr(usidx.simulate, name)(*given, **named)


@pytest.mark.parametrize("name", SMALLEST)
def test_one_pixel_and_one_step_are_finite(name: str) -> None:
    data, truth = make(name, (1, 1), SMALLEST[name])
    assert np.isfinite(data.values).all()
    assert all(np.isfinite(v.values).all() for v in truth.data_vars.values() if v.dtype.kind in "fc")


@pytest.mark.parametrize("name", SMALLEST)
@pytest.mark.parametrize("shape", [(0, 3), (2.5, 3), (3, -1)])
def test_shapes_of_no_pixels_are_refused(name: str, shape: Any) -> None:
    with pytest.raises(UsidError, match="give a whole number of 1 or more"):
        make(name, shape)


@pytest.mark.parametrize("name", [name for name in SMALLEST if name != "diffraction"])
@pytest.mark.parametrize("size", [0, 2.5, "a", None])
def test_sizes_that_are_none_are_refused(name: str, size: Any) -> None:
    with pytest.raises(UsidError, match="give a whole number of 1 or more"):
        make(name, (2, 2), size)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("gkpfm", {"frequency": 0.0}),
        ("giv", {"frequency": 0.0}),
        ("gmode_lines", {"frequency": -1.0}),
        ("force_map", {"spring_constant": 0.0}),
        ("diffraction", {"radius": 0.0}),
    ],
)
def test_what_is_divided_by_is_above_zero(name: str, given: dict[str, float]) -> None:
    with pytest.raises(UsidError, match="give a number above 0"):
        make(name, (2, 2), **given)


@pytest.mark.parametrize("detector", [5, (8,), (8, 8, 8), None])
def test_a_detector_has_two_sizes(detector: Any) -> None:
    with pytest.raises(UsidError, match="it should be two sizes"):
        make("diffraction", (2, 2), detector)
