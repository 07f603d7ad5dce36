"""Each analysis does what the line of Python says that it shows."""

from __future__ import annotations

import math
from typing import Any

import pytest
import xarray as xr

import usidx
from usidx.look.app.analyses import ANALYSES, Analysis, list_analyses
from usidx.simulate import atoms, band_excitation, diffraction, drifting_stack, gaussian_map


def make_data() -> dict[str, xr.DataArray]:
    resonances, _ = band_excitation((4, 5), 16)
    loops = band_excitation((3, 3), 12, dc_steps=16)[0]
    return {
        "resonances": resonances,
        "loops": abs(loops).isel(Frequency=6, drop=True).assign_attrs(loops.attrs),
        "peaks": gaussian_map((4, 5))[0],
        "stack": drifting_stack((24, 24), 4)[0],
        "image": atoms((48, 48))[0],
        "patterns": diffraction((3, 4), (16, 16))[0],
    }


DATA = make_data()
CASES = [(name, analysis) for name, data in DATA.items() for analysis in list_analyses(data)]


def test_every_analysis_applies_to_something() -> None:
    assert {a.title for _, a in CASES} == {a.title for a in ANALYSES}


@pytest.mark.parametrize(("name", "analysis"), CASES, ids=lambda one: one if isinstance(one, str) else one.title)
def test_the_line_of_python_is_what_is_run(name: str, analysis: Analysis) -> None:
    data, chosen = DATA[name].chunk(), {s.name: 2 for s in analysis.settings if isinstance(s.value, int)}
    line = analysis.write_call(data, chosen, "data")
    told = eval(line, {"usidx": usidx, "data": data, "abs": abs, "math": math})
    made: Any = analysis.run(data, chosen)
    assert told.usid.history[-1] == made.usid.history[-1]
    assert told.sizes == made.sizes
