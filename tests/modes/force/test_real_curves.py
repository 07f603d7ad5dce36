"""Force curves of instruments, beside nanite 4.2.3: its contact points lie as far apart as its estimators do."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.modes import force_curves

#: By number of the curve: lowest and highest contact point of six estimators and of a fit by Hertz (m, of the measured
#: height), and modulus of that fit (Pa), by nanite 4.2.3 for a sphere of 2.5 um.
NANITE = {
    0: (40.979e-6, 41.685e-6, 3328.0),
    9: (47.480e-6, 50.080e-6, 9489.0),
    90: (96.437e-6, 96.971e-6, 10628.0),
    99: (90.214e-6, 90.638e-6, 12687.0),
}


def pick(scan: xr.DataTree, name: str) -> xr.DataArray:
    found = scan[name][name]
    assert isinstance(found, xr.DataArray)
    return found


@pytest.mark.parametrize("told", ["segments", "height alone"])
def test_a_map_whose_curves_differ_in_length(told: str, real_files: Callable[[str], Path]) -> None:
    scan = usidx.read_instrument(real_files("jpk/force-map2x2-example.jpk-force-map"))
    force, height, segments = (pick(scan, n) for n in ("vDeflection", "capacitiveSensorHeight", "segment"))
    assert force.spring_constant == pytest.approx(0.015481694, rel=1e-6)
    found = force_curves(force, height=height, segments=segments if told == "segments" else None, radius=2.5e-6)
    assert all(v.chunks is not None for v in found.data_vars.values())
    found = found.compute()
    assert bool(found.converged.all())
    lowest, highest = height.min("sample").compute(), height.max("sample").compute()
    assert bool(((found.contact_point > lowest) & (found.contact_point < highest)).all())
    for number, (low, high, modulus) in NANITE.items():
        ((row, column),) = np.argwhere(found.curve.values == number)
        own = found.isel(Y=row, X=column)
        spread = high - low
        assert low - 0.1 * spread < own.contact_point.item() < high
        assert own.modulus.item() == pytest.approx(modulus, rel=0.25)
        assert own.contact_point_stderr.item() < 0.01 * spread
        assert own.r2.item() > 0.97


@pytest.mark.parametrize("channel", ["Force", "Defl"])
def test_a_curve_of_asylum_research(channel: str, real_files: Callable[[str], Path]) -> None:
    scan = usidx.read_instrument(real_files("ibw/force_distance.ibw"))
    height = pick(scan, "height_measured")
    found = force_curves(pick(scan, channel), height=height, radius=20e-9).compute()
    assert bool(found.converged)
    # The sample is as hard as the cantilever (1.18 N/m), the tip jumps onto it, and is torn off with 12.9 nN.
    assert found.adhesion.item() == pytest.approx(12.9e-9, rel=0.03)
    force = pick(scan, "Force").compute()
    assert found.adhesion.item() == pytest.approx(float(np.median(force[-200:]) - force.min()), rel=0.05)
    assert 0 < found.snap_in.item() < found.adhesion.item()
    assert found.stiffness.item() > 0.5
