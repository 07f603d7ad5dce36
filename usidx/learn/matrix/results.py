"""Arrays that a verb found -> the Dataset it returns: coordinates, quantities and units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from usidx.label.units import power

__all__ = ["assemble"]

#: long_name, and whether the variable has the units of the data; None: it is the quantity of the data itself.
_QUANTITIES: dict[str, tuple[str | None, bool]] = {
    "scores": ("Scores", True),
    "components": ("Components", False),
    "singular_values": ("Singular values", True),
    "singular_values_error": ("Estimated relative error of the singular values", False),
    "explained_variance_ratio": ("Explained variance ratio", False),
    "reconstruction_error": ("Frobenius norm of the residual", True),
    "converged": ("Whether the iteration settled", False),
    "relative_error": ("Norm of the residual over that of the data", False),
    "scale": ("Scale that each step was divided by", False),
    "mean": (None, True),
    "mean_response": (None, True),
    "labels": ("Cluster labels", False),
    "distance": ("Distance to the centre of the cluster", True),
    "inertia": ("Sum of squared distances", True),
    "size": ("Positions in the cluster", False),
    "linkage": ("Merges of clusters", False),
    "responsibilities": ("Probability of the cluster", False),
    "log_likelihood": ("Logarithm of the likelihood", False),
    "bic": ("Bayesian information criterion", False),
}


#: What factors are called where the components are responses as they would be measured, None: that of the data.
_UNMIXED = {"scores": "Abundance", "components": None}


def assemble(data: xr.DataArray, variables: Mapping[str, Any], *, units_in: str = "scores") -> xr.Dataset:
    """Return the Dataset of a verb on `data`, whose coordinates it keeps, those over both kinds of dims too.

    `units_in` says which factor of a decomposition has the units of the data, scores or components.
    A bare 1-D array lies along the dim ``component``, or ``cluster``, a bare 0-D array along none.
    """
    along = "cluster" if "labels" in variables else "component"
    labelled = {
        name: _label(found, along).assign_attrs(_make_attrs(data, name, units_in)) for name, found in variables.items()
    }
    result = xr.Dataset(labelled)
    missing = [name for name in data.coords if name not in result.coords and set(data[name].dims) <= set(result.dims)]
    held = data.coords.to_dataset()
    return result.assign_coords(held.drop_vars([name for name in held.coords if name not in missing]).coords)


def _label(found: Any, along: str) -> xr.DataArray:
    if isinstance(found, xr.DataArray):
        return found.drop_attrs(deep=False)
    dims = (along,)[: found.ndim]
    coords = {dim: np.arange(len(found)) for dim in dims}
    return xr.DataArray(found, coords=coords, dims=dims)


def _make_attrs(data: xr.DataArray, name: str, units_in: str) -> dict[str, Any]:
    long_name, has_units = _QUANTITIES[name]
    if units_in == "components" and name in _UNMIXED:
        long_name = _UNMIXED[name] or data.attrs.get("long_name", long_name)
    has_units = name == units_in if name in ("scores", "components") else has_units
    quantity = data.attrs.get("long_name") if long_name is None else long_name
    units = data.attrs.get("units") if has_units else ""
    units = power(units, 2) if units and name == "inertia" else units
    return {key: value for key, value in (("long_name", quantity), ("units", units)) if value is not None}
