"""Calls of the verbs of single measurement modes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import xarray as xr

import usidx
from tests.kit.calls import Call, opened

__all__ = ["ALIKE", "CALLS", "make_sources"]


def make_sources() -> dict[str, xr.DataArray]:
    """Return the arrays that are written to files, by name."""
    currents, _ = usidx.simulate.giv((3, 4), 60)
    lines, _ = usidx.simulate.gmode_lines((3, 4), 24)
    deflections, _ = usidx.simulate.gkpfm((3, 3), 10, samples=16)
    return {"currents": currents, "lines": lines, "deflections": deflections}


currents, lines, deflections = partial(opened, "currents"), partial(opened, "lines"), partial(opened, "deflections")


def _transfer(data: xr.DataArray, factor: float = 1.0) -> xr.DataArray:
    known: xr.DataArray = usidx.simulate.gkpfm((1, 1), 2, samples=4)[1].transfer_function
    return (factor * known).assign_attrs(known.attrs)


CALLS = [
    Call("modes.giv", currents, {"frequency": 200.0, "steps": 22}, {
        "frequency": 300.0, "steps": 30, "extra_resistance": 100.0, "sigma": 0.1, "conductance": 2.0, "spread": 5.0,
        "capacitance": 0.1, "length": 2.0,
    }),
    Call("modes.gkpfm", deflections, {"transfer_function": partial(_transfer), "frequency": 4e3}, {
        "transfer_function": partial(_transfer, factor=2.0), "frequency": 5e3, "amplitude": 2.0, "phase": 0.1,
        "filters": usidx.signal.LowPass(11e3),
    }),
    Call("modes.lines_to_pixels", lines, {"n": 4}, {"n": 2, "name": "column", "spacing": 2.0, "units": "nm"}),
]  # fmt: skip
#: Parameters that have no other value beside what is given, with the reason.
ALIKE: Mapping[tuple[str, str], str] = {
    ("modes.giv", "dim"): "the one dim that is meant is recorded, named or not",
    ("modes.giv", "coordinate"): "there is one bias",
    ("modes.gkpfm", "dim"): "the one dim that is meant is recorded, named or not",
    ("modes.gkpfm", "coordinate"): "there is one bias",
    ("modes.lines_to_pixels", "dim"): "the one dim that is meant is recorded, named or not",
}
