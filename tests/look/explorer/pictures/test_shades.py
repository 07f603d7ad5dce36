"""Colours follow what is chosen by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from usidx.look.explorer.pictures.shades import Taste, choose_mapper

pytest.importorskip("bokeh")

VALUES = np.linspace(1.0, 101.0, 101)
ARRAY = xr.DataArray(VALUES, dims="x", attrs={"units": "a.u."})


def test_limits_are_percentiles() -> None:
    _, mapper = choose_mapper(ARRAY, VALUES, Taste(low=10, high=80))
    assert (mapper.low, mapper.high) == pytest.approx((11, 81))


def test_a_logarithm_needs_positive_values() -> None:
    _, mapper = choose_mapper(ARRAY - 5, VALUES - 5, Taste(is_log=True))
    assert type(mapper).__name__ == "LogColorMapper"
    assert mapper.low == pytest.approx(1)
    _, mapper = choose_mapper(-ARRAY, -VALUES, Taste(is_log=True))
    assert type(mapper).__name__ == "LinearColorMapper"


def test_gamma_bends_the_colours() -> None:
    _, straight = choose_mapper(ARRAY, VALUES, Taste(colormap="gray"))
    _, bent = choose_mapper(ARRAY, VALUES, Taste(colormap="gray", gamma=2))
    assert straight.palette[128] == "#808080"
    assert bent.palette[128] == "#404040"


def test_groups_and_phases_keep_their_colours() -> None:
    labels = xr.DataArray(np.array([0, 1, 2, 1]), dims="x", name="labels")
    _, mapper = choose_mapper(labels, labels.values.astype(float), Taste(low=30, high=60))
    assert (len(mapper.palette), mapper.low, mapper.high) == (3, -0.5, 2.5)
    phase = xr.DataArray(np.linspace(-3, 3, 50), dims="x", name="Phase", attrs={"units": "rad"})
    _, mapper = choose_mapper(phase, phase.values, Taste(low=30, high=60))
    assert (mapper.low, mapper.high) == pytest.approx((-np.pi, np.pi))
