"""NSID: the real file of pycroscopy, read by ranges."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.kit.listed_values import assert_as_listed
from usidx.instruments.bridges.hdf5.nsid import READER

PLACE = "Measurement_000/Channel_000/IV_BFO"


def test_a_real_file_has_the_values_dims_and_roles_of_the_file(real_files: Callable[[str], Path]) -> None:
    path = real_files("nsid/bfo_iv_final.hf5")
    main = READER(path)[PLACE]["IV_BFO"]
    assert_as_listed(main, path, f"{PLACE}/IV_BFO")
    assert main.dims == ("x", "y", r"$\sqrt E$")
    assert [main[dim].attrs["usid_role"] for dim in main.dims] == ["position", "position", "spectroscopic"]
    np.testing.assert_allclose(main.x[-1], 5e-9)
    assert (main.attrs["units"], main.x.attrs["units"], main.attrs["long_name"]) == ("$A/m^2$", "m", "log J")
    assert main.chunks is not None
