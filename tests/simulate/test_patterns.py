"""Simulated patterns: the same for any blocks, and as the truth says."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from usidx.errors import UsidError
from usidx.simulate import diffraction


@pytest.mark.parametrize("noise", ["poisson", "none"])
def test_blocks_change_nothing(noise: Any) -> None:
    whole, truth = diffraction((5, 4), (12, 14), radius=3.0, noise=noise)
    lazy, lazy_truth = diffraction(
        (5, 4),
        (12, 14),
        radius=3.0,
        noise=noise,
        chunks={"Y": 2, "X": 3, "detector_X": 5},
    )
    assert lazy.chunks is not None
    xr.testing.assert_identical(lazy.compute(), whole)
    xr.testing.assert_identical(lazy_truth.compute(), truth)
    assert not whole.equals(diffraction((5, 4), (12, 14), radius=3.0, seed=1)[0])


def test_counts_and_slopes_are_those_asked_for() -> None:
    scan, truth = diffraction((40, 40), (40, 40), deflection=1.5, counts=5e3, noise="none", dtype="f8")
    np.testing.assert_allclose(scan.sum(["detector_Y", "detector_X"]), 5e3, rtol=0.02)
    rms = np.sqrt((truth.deflection_y**2 + truth.deflection_x**2).mean() / 2)
    assert float(rms) == pytest.approx(1.5)
    for name in "YX":
        slope = truth.phase.differentiate(name)[1:-1, 1:-1]
        assert float(abs(slope - truth[f"deflection_{name.lower()}"]).max()) < 0.2
    ring = np.hypot(scan.detector_Y, scan.detector_X) > 12
    scattered = scan.where(ring).sum(["detector_Y", "detector_X"])
    assert np.corrcoef(scattered.values.ravel(), truth.density.values.ravel())[0, 1] > 0.99


def test_what_cannot_be_simulated() -> None:
    with pytest.raises(UsidError, match="give a whole number"):
        diffraction((0, 2))
    with pytest.raises(UsidError, match="noise='gaussian'"):
        diffraction((2, 2), noise="gaussian")  # type: ignore[arg-type]
    assert diffraction((1, 1), (8, 8))[0].shape == (1, 1, 8, 8)
