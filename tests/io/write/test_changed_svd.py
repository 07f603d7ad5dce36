"""Scores are stored without the singular values; what was done to either must not lose a score."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import usidx

CHANGES: dict[str, Callable[[xr.Dataset], xr.Dataset]] = {
    "signs": lambda r: r.map(np.negative),
    "masked values": lambda r: r.assign(singular_values=r["singular_values"].where(r["component"] != 1)),
    "values at zero": lambda r: r.assign(singular_values=0 * r["singular_values"]),
    "values without end": lambda r: r.assign(singular_values=np.inf * r["singular_values"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_scores_of_a_changed_svd_come_back(change: str, tmp_path: Path) -> None:
    path = usidx.example_file(str(tmp_path / "scan.h5"))
    changed = CHANGES[change](usidx.open_main(path).usid.svd(3).compute())
    found = usidx.open_result(path, usidx.write(changed, path, progress=False))
    for name in ("scores", "singular_values"):
        expected = changed[name].transpose(*found[name].dims)
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-9)
