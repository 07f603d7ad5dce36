"""Where looking begins, and what counts as a pattern."""

from __future__ import annotations

from typing import Any

import pytest
import xarray as xr

from usidx.look.explorer.address import Address
from usidx.look.explorer.reading.scene import make_scene
from usidx.look.explorer.reading.subject import make_subject
from usidx.look.explorer.reading.work import Desk
from usidx.look.explorer.sides.looking import begin_at
from usidx.look.explorer.sides.pattern_side import PatternSide
from usidx.look.explorer.view import View
from usidx.simulate import band_excitation, diffraction

pytest.importorskip("bokeh")


def looked_at(array: xr.DataArray) -> View:
    ran: list[Any] = []
    desk = Desk(ran.append, ran.append, lambda _task, err: ran.append(err))
    return View(make_subject(array.to_dataset(name="Raw"), "Raw", is_result=False), desk, lambda: None, Address())


def test_an_address_of_nowhere_is_left_out() -> None:
    scene = make_scene(band_excitation((6, 8), 10)[0])
    assert begin_at(scene, {"Y": 5, "X": 800, "Z": 1}) == {"Y": 5, "X": 4, "Frequency": 5}


def test_a_pattern_is_a_signal_whose_two_dims_share_a_unit() -> None:
    assert isinstance(looked_at(diffraction((3, 4), (8, 8))[0]).side, PatternSide)
    assert not isinstance(looked_at(band_excitation((3, 4), 8, dc_steps=6)[0]).side, PatternSide)


def test_keys_stay_on_the_map() -> None:
    view = looked_at(band_excitation((6, 8), 10)[0])
    for key in ("up", "left"):
        for _ in range(9):
            view.move(key)
    assert (view.looking.index["Y"], view.looking.index["X"]) == (5, 0)
