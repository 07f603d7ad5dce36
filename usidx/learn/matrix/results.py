"""Arrays that a verb found -> the Dataset it returns: coordinates, quantities and units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import xarray as xr

from usidx.results.declarations import Quantity
from usidx.results.provenance import find_own_attrs
from usidx.results.verbs import add_quantity

__all__ = ["COMPONENTS", "DECOMPOSITION", "FACTORS", "ITERATED", "SCORES", "SINGULAR", "assemble"]

#: Quantities that the verbs share; each names its own beside them.
SCORES, COMPONENTS = Quantity("Scores", of_data=1), Quantity("Components")
FACTORS = {"scores": SCORES, "components": COMPONENTS, "mean": Quantity(of_data=1)}
SINGULAR = {
    "singular_values": Quantity("Singular values", of_data=1),
    "singular_values_error": Quantity("Estimated relative error of the singular values"),
    "explained_variance_ratio": Quantity("Explained variance ratio"),
    "scale": Quantity("Scale that each step was divided by"),
}
ITERATED = {
    "reconstruction_error": Quantity("Frobenius norm of the residual", of_data=1),
    "converged": Quantity("Whether the iteration settled"),
}
#: How a decomposition is called on disk.
DECOMPOSITION: Final[Mapping[str, Any]] = {
    "title": "Decomposition",
    "datasets": {"scores": "Projection", "components": "Components", "mean": "Mean"},
    "dims": {"component": "Endmember"},
    "algorithm": "decomposition_algorithm",
}

#: What factors are called where the components are responses as they would be measured, None: that of the data.
_UNMIXED = {"scores": "Abundance", "components": None}


def assemble(data: xr.DataArray, variables: Mapping[str, Any], *, units_in: str = "scores") -> xr.Dataset:
    """Return the Dataset of a verb on `data`, whose coordinates it keeps, those over both kinds of dims too.

    Quantities and units come from the declaration of the verb, but of factors that have their units the other way
    round: `units_in` says which factor of a decomposition has the units of the data, scores or components.
    A bare 1-D array lies along the dim ``component``, or ``cluster``, a bare 0-D array along none.
    """
    along = "cluster" if "labels" in variables else "component"
    labelled = {name: _label(found, along) for name, found in variables.items()}
    result = xr.Dataset(labelled)
    missing = [name for name in data.coords if name not in result.coords and set(data[name].dims) <= set(result.dims)]
    held = data.coords.to_dataset()
    result = result.assign_coords(held.drop_vars([name for name in held.coords if name not in missing]).coords)
    if units_in == "components":
        _set_unmixed(result, data)
    result.attrs |= find_own_attrs(data.attrs)
    return add_quantity(result, {k: v for k, v in data.attrs.items() if k in ("long_name", "units")})


def _label(found: Any, along: str) -> xr.DataArray:
    if isinstance(found, xr.DataArray):
        bare = found.copy(deep=False)
        bare.attrs = {}  # older xarray leaves them with `drop_attrs(deep=False)`
        return bare
    dims = (along,)[: found.ndim]
    coords = {dim: np.arange(len(found)) for dim in dims}
    return xr.DataArray(found, coords=coords, dims=dims)


def _set_unmixed(result: xr.Dataset, data: xr.DataArray) -> None:
    """Call components what the data is, in its units, and the scores how much of each there is."""
    for name, long_name in _UNMIXED.items():
        quantity = long_name or data.attrs.get("long_name", COMPONENTS.long_name)
        units = data.attrs.get("units") if name == "components" else ""
        result[name].attrs = {"long_name": quantity} | ({} if units is None else {"units": units})
