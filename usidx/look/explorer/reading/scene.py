"""Labelled array to what an explorer looks at: one map, one spectrum, each a single bounded read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from usidx.errors import RoleError
from usidx.label.roles import position_dims, spectroscopic_dims
from usidx.look.draw.downsample import find_common_unit, find_scattered, make_ruler, thin
from usidx.look.draw.maps import Grid, find_grid, find_places, scale_apart, scale_together

__all__ = [
    "PARTS",
    "Scene",
    "find_nearest",
    "make_scene",
    "read_map",
    "read_mean",
    "read_spectrum",
    "start_at",
    "take_part",
]

#: What of a complex value is shown.
PARTS = ("magnitude", "phase", "real", "imaginary")
Kind = Literal["image", "points", "line", "none"]

_LONGEST = 512
_MOST_POINTS = 20_000
# A mean over this many steps of each swept dim shows the same as one over all, at a fraction of the reading.
_MEAN_STEPS = 4


@dataclass(frozen=True)
class Scene:
    """What can be looked at: where one may point, and what was swept there.

    Attributes
    ----------
    array : DataArray
        All of it, lazy or not.
    kind : {"image", "points", "line", "none"}
        What the map is.
    places : tuple of str
        Dims of the map.
    swept : tuple of str
        All other dims, slowest first.
    y, x : ndarray
        Where each index of the map lies, as shown.
    y_label, x_label : str
        What the sides of the map say.
    grid : Grid or None
        Of an image.
    """

    array: xr.DataArray
    kind: Kind
    places: tuple[str, ...]
    swept: tuple[str, ...]
    y: NDArray[np.float64]
    x: NDArray[np.float64]
    y_label: str = ""
    x_label: str = ""
    grid: Grid | None = None

    @property
    def is_lazy(self) -> bool:
        """Whether looking means reading."""
        return self.array.chunks is not None

    @property
    def is_complex(self) -> bool:
        """Whether a part must be chosen."""
        return self.array.dtype.kind == "c"


def make_scene(array: xr.DataArray) -> Scene:
    """Find out what there is to look at; reads coordinates, never data.

    The two fastest position dims make the map. An array without roles is taken as a map over its first two dims if it
    has more than one.

    Raises
    ------
    RoleError
        The array is a single value, or holds neither numbers nor booleans.
    """
    if array.ndim == 0 or array.dtype.kind not in "biufc":
        raise RoleError(
            f"Array {array.name!r} of dtype {array.dtype} with dims {tuple(array.dims)} cannot be explored: "
            f"it needs numbers over at least one dim."
        )
    positions, swept = position_dims(array), spectroscopic_dims(array)
    if not positions and not swept and array.ndim > 1:
        positions = tuple(str(d) for d in array.dims[:2])
    places = positions[-2:]
    rest = tuple(str(d) for d in array.dims if d not in places)
    first = array.isel(dict.fromkeys(rest, 0)).transpose(*places)
    nothing = np.zeros(0)
    if not places:
        return Scene(array, "none", (), rest, nothing, nothing)
    return (
        _make_image_scene(array, places, rest, first)
        if len(places) == 2
        else _make_line_scene(array, places, rest, first)
    )


def _make_image_scene(
    array: xr.DataArray, places: tuple[str, ...], rest: tuple[str, ...], first: xr.DataArray
) -> Scene:
    grid = find_grid(first)
    return Scene(array, "image", places, rest, grid.y, grid.x, grid.y_label, grid.x_label, grid)


def _make_line_scene(array: xr.DataArray, places: tuple[str, ...], rest: tuple[str, ...], first: xr.DataArray) -> Scene:
    placed = find_scattered(first, places[0])
    if placed is None:
        x, x_label = make_ruler(first, places[0]).scale_values()
        return Scene(array, "line", places, rest, np.zeros(x.size), x, "", x_label)
    vertical, horizontal = (find_places(first, name) for name in placed)
    together = scale_together if find_common_unit(vertical, horizontal) is not None else scale_apart
    return Scene(array, "points", places, rest, *together(vertical, horizontal))


def start_at(scene: Scene, at: Mapping[str, Any] | None) -> dict[str, int]:
    """Return the index to begin with along every dim: the middle, or nearest to the given coordinate value.

    Components come in order of what they explain, so the first one is looked at first.

    Raises
    ------
    RoleError
        A given name is no dim.
    """
    begun = {str(d): 0 if d == "component" else n // 2 for d, n in scene.array.sizes.items()}
    for dim, value in (at or {}).items():
        if dim not in begun:
            raise RoleError(f"No dim {dim!r} to start at; the dims are {tuple(scene.array.dims)}.")
        begun[dim] = int(np.abs(make_ruler(scene.array, dim).values - float(value)).argmin())
    return begun


def find_nearest(scene: Scene, x: float | None, y: float | None) -> dict[str, int] | None:
    """Return the place nearest to a point of the map, None off the map."""
    if x is None or not math.isfinite(x) or scene.kind == "none":
        return None
    if scene.kind == "line":
        return {scene.places[0]: int(np.abs(scene.x - x).argmin())}
    if y is None or not math.isfinite(y):
        return None
    if scene.kind == "points":
        return {scene.places[0]: int(_measure_squared_distances(scene.x, x, scene.y, y).argmin())}
    return {
        dim: int(np.abs(v - p).argmin()) for dim, v, p in zip(scene.places, (scene.y, scene.x), (y, x), strict=True)
    }


def _measure_squared_distances(
    x: NDArray[np.float64], to_x: float, y: NDArray[np.float64], to_y: float
) -> NDArray[np.float64]:
    """Measure distances as the eye does: each side of the map as long as the other."""
    spans = [float(np.nanmax(v) - np.nanmin(v)) or 1.0 for v in (x, y)]
    far: NDArray[np.float64] = ((x - to_x) / spans[0]) ** 2 + ((y - to_y) / spans[1]) ** 2
    return np.where(np.isfinite(far), far, np.inf)


def read_map(scene: Scene, index: Mapping[str, int]) -> xr.DataArray:
    """Read one map: one index of every swept dim, at most 512 x 512 cells."""
    return _thin(scene, scene.array.isel({d: index[d] for d in scene.swept})).compute()


def read_mean(scene: Scene) -> xr.DataArray:
    """Read the mean over four evenly spread steps of each swept dim; of complex values, the mean magnitude."""
    steps = {d: _spread(scene.array.sizes[d]) for d in scene.swept}
    some = _thin(scene, scene.array.isel(steps))
    real = abs(some) if scene.is_complex else some.astype(np.float64)
    mean = real.mean(list(scene.swept), skipna=False).compute()
    return mean.rename(scene.array.name).assign_attrs(scene.array.attrs)


def _spread(size: int) -> list[int]:
    count = min(size, _MEAN_STEPS)
    return sorted({int((n + 0.5) * size / count) for n in range(count)})


def _thin(scene: Scene, array: xr.DataArray) -> xr.DataArray:
    limit = _LONGEST if scene.kind == "image" else _MOST_POINTS
    return thin(array.transpose(*scene.places, ...), scene.places, limit)[0]


def read_spectrum(scene: Scene, index: Mapping[str, int], along: str) -> xr.DataArray:
    """Read one line: everything along one dim at one index of all others."""
    return scene.array.isel({str(d): index[str(d)] for d in scene.array.dims if d != along}).compute()


def take_part(array: xr.DataArray, part: str) -> xr.DataArray:
    """Take the part of complex values that is to be seen; real ones come back as they are."""
    if array.dtype.kind != "c":
        return array
    take: dict[str, Any] = {"magnitude": np.abs, "phase": np.angle, "real": np.real, "imaginary": np.imag}
    values = take[part](array.values)
    unit = "rad" if part == "phase" else array.attrs.get("units", "")
    said = "Phase" if part == "phase" else f"{array.attrs.get('long_name') or array.name or ''} ({part})"
    return array.copy(data=values).assign_attrs(long_name=said, units=unit)
