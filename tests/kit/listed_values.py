"""What the list of real files says that another reader found in each, to compare with."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr

__all__ = ["assert_as_listed", "get_leaf"]


def assert_as_listed(values: npt.ArrayLike, copied: Path, result: str, rtol: float = 1e-6) -> None:
    """Compare mean, standard deviation and single cells with those that the list has.

    Parameters
    ----------
    values : array
        As usidx reads them; NaN are left out.
    copied : Path
        The file, as the fixture `real_files` gave it.
    result : str
        How the list's text about the result begins.
    rtol : float
        For single cells; sums are compared in the list's own digits.
    """
    row = _find_row(f"{copied.parent.name}/{copied.name}", result)
    flat: Any = np.asarray(values).ravel()
    flat = flat[~np.isnan(flat)] if flat.dtype.kind in "fc" else flat
    wide = flat.astype("c16" if flat.dtype.kind == "c" else "f8")
    spread = float(row["std"])
    np.testing.assert_allclose(wide.mean(), float(row["mean"]), rtol=1e-5, atol=1e-5 * spread)
    np.testing.assert_allclose(wide.std(), spread, rtol=1e-5)
    for name, value in row.items():
        found = re.fullmatch(r"flat\[(-?\d+)\]", name)
        if found is not None:
            np.testing.assert_allclose(flat[int(found.group(1))], float(value), rtol=rtol, err_msg=name)


def get_leaf(tree: xr.DataTree, path: str) -> xr.DataArray:
    """Return the one array of a leaf, which has the name of the leaf."""
    found = tree[path][path.rsplit("/", 1)[-1]]
    assert isinstance(found, xr.DataArray)
    return found


def _find_row(path: str, result: str) -> dict[str, str]:
    from tests.conftest import sample_data

    with (sample_data() / "MANIFEST.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["path"] == path and row["result (shape/dims/units)"].startswith(result):
                return dict(one.split("=", 1) for one in row["check_values"].split(";"))
    pytest.fail(f"the list of real files has no row of {path!r} that begins with {result!r}")
