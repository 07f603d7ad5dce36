"""Fits end whatever the damping does."""

from __future__ import annotations

import numpy as np
import xarray as xr

import usidx


def test_a_fit_that_two_dampings_pass_to_each_other_ends() -> None:
    # Less damping makes the equations singular, and more of it promises nothing.
    band = np.linspace(300e3, 340e3, 8)
    real = [-0.00469182, -0.76298383, 0.98112743, 1.53456904, 1.64450138, -1.34072371, 0.34082118, -0.07230186]
    imag = [0.60058881, 0.6404054, -0.24336301, -1.00581324, 2.80759465, 1.1716985, -0.95170932, 0.35784005]
    data = xr.DataArray(np.array(real) + 1j * np.array(imag), dims="Frequency", coords={"Frequency": band})
    found = usidx.sho_fit(data)
    assert int(found.nfev) < 1000  # from all starts that were tried
    assert int(found.status) == -3
