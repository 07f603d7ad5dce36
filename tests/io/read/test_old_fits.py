"""Fits of the old programs know their model: they are evaluated, compared with the data, and drawn."""

from pathlib import Path

import h5py
import matplotlib as mpl
import numpy as np
import pytest

import usidx
from tests.kit.legacy import add_sho_fit
from tests.kit.legacy_loops import add_loop_fit
from tests.kit.truth import oscillator
from usidx.errors import ResultError
from usidx.models import HysteresisLoop
from usidx.testing.measurements import beps_file

mpl.use("agg")


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_an_oscillator_fit_is_evaluated_over_the_frequencies_of_its_source(tmp_path: Path, dtype: str) -> None:
    built = beps_file(tmp_path / "scan.h5")
    stored = add_sho_fit(built, dtype=dtype)["Fit"]
    fit, raw = usidx.open_result(built.path, "SHO_Fit_000"), usidx.open_main(built.path, built.main)
    assert fit.chunks
    values = usidx.evaluate(fit)
    assert values.chunks
    assert values.attrs["units"] == raw.attrs["units"]
    fields = dict(zip(("amplitude", "frequency", "quality_factor", "phase"), stored.dtype.names or (), strict=False))
    dims = [d for d in built.dims if d != "Frequency"]
    numbers = [stored[f].astype(float)[..., None] for f in fields.values()]
    expected = oscillator(raw.Frequency.values, *numbers)
    np.testing.assert_allclose(values.transpose(*dims, "Frequency"), expected, rtol=1e-5)
    left = usidx.residual(fit, raw)
    assert left.dims == raw.dims
    np.testing.assert_allclose(left.values, (raw - values).transpose(*raw.dims).values, rtol=1e-6)
    assert abs(raw).usid.plot.fit(abs(values).transpose(*raw.dims)) is not None


def test_a_loop_fit_is_evaluated_over_its_voltage(tmp_path: Path) -> None:
    built = beps_file(tmp_path / "scan.h5")
    add_sho_fit(built)
    add_loop_fit(built)
    fit = usidx.open_result(built.path, "Fit-Loop_Fit_000").compute()
    values = usidx.evaluate(fit)
    assert values.sizes == fit.projected_loops.transpose(*values.dims).sizes
    first = dict.fromkeys(fit.v_plus.dims, 0)
    numbers = {n: fit[n].isel(first).item() for n in HysteresisLoop().names}
    expected = HysteresisLoop()(fit.DC_Offset.values.astype(float), **numbers)
    np.testing.assert_allclose(values.isel(first), expected, rtol=1e-6)
    left = usidx.residual(fit, fit.projected_loops)
    np.testing.assert_allclose(left, fit.projected_loops - values.transpose(*left.dims), rtol=1e-6)


def test_without_its_source_a_fit_opens_and_says_what_it_lacks(tmp_path: Path) -> None:
    built = beps_file(tmp_path / "scan.h5")
    add_sho_fit(built)
    with h5py.File(built.path, "r+") as file:
        del file[built.main]
    fit = usidx.open_result(built.path, "SHO_Fit_000")
    assert "frequency" in fit
    with pytest.raises(ResultError, match="does not come from a fit"):
        usidx.evaluate(fit)
