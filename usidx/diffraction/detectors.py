"""Shapes of virtual detectors -> how much each pixel counts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.diffraction.frame import Center, Frame, read_center
from usidx.errors import RoleError, UsidError

__all__ = ["Annulus", "Detector", "Disk", "Mask"]

Array = npt.NDArray[Any]


class Detector(ABC):
    """Which pixels count, and how much."""

    @abstractmethod
    def weigh(self, frame: Frame) -> Array:
        """Return how much each pixel counts, (y, x): bool, or numbers."""

    @abstractmethod
    def describe(self) -> Any:
        """Return all that the detector is, as a record holds it."""


class Annulus(Detector):
    """Count the pixels between two circles.

    Parameters
    ----------
    center : (y, x) or Dataset
        In the units of the detector's coordinates; or what `find_center` returns, which is computed.
    inner, outer : float
        Radii, ``inner <= r < outer``, in the same units. Neighbours without a gap share no pixel.

    Raises
    ------
    UsidError
        The center is not two finite numbers, or the radii are not ``0 <= inner < outer``.

    Examples
    --------
    >>> import usidx
    >>> usidx.diffraction.Annulus((0, 0), 5, 20)
    Annulus(center=(0.0, 0.0), inner=5.0, outer=20.0)
    """

    def __init__(self, center: Center, inner: float, outer: float) -> None:
        self.center, self.inner, self.outer = read_center(center), float(inner), float(outer)
        if not 0 <= self.inner < self.outer:
            raise UsidError(f"inner={inner!r}, outer={outer!r}; they should be 0 <= inner < outer.")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(center={self.center}, inner={self.inner}, outer={self.outer})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and repr(other) == repr(self)

    def __hash__(self) -> int:
        return hash(repr(self))

    def describe(self) -> str:
        """Return the call that makes it."""
        return repr(self)

    def weigh(self, frame: Frame) -> Array:
        """Return which pixels lie between the circles."""
        distance = frame.find_distance(self.center)
        return np.asarray((distance >= self.inner) & (distance < self.outer))


class Disk(Annulus):
    """Count the pixels inside a circle.

    Parameters
    ----------
    center : (y, x) or Dataset
        In the units of the detector's coordinates; or what `find_center` returns, which is computed.
    radius : float
        ``r < radius``, in the same units.

    Raises
    ------
    UsidError
        The center is not two finite numbers, or the radius is not more than 0.

    Examples
    --------
    >>> import usidx
    >>> usidx.diffraction.Disk((0, 0), 5)
    Disk(center=(0.0, 0.0), radius=5.0)
    """

    def __init__(self, center: Center, radius: float) -> None:
        if not radius > 0:
            raise UsidError(f"radius={radius!r}; it should be more than 0.")
        super().__init__(center, 0.0, radius)

    def __repr__(self) -> str:
        return f"Disk(center={self.center}, radius={self.outer})"


class Mask(Detector):
    """Count each pixel as an array says.

    Parameters
    ----------
    array : array-like or DataArray
        True where a pixel counts, or how much it counts: numbers of either sign. Of the detector's shape, (y, x); a
        DataArray in any order of its dims.

    Raises
    ------
    UsidError
        It is not 2-D, or not of finite numbers.

    Examples
    --------
    >>> import numpy as np, usidx
    >>> usidx.diffraction.Mask(np.eye(4, dtype=bool))
    Mask(4 x 4 of bool)
    """

    def __init__(self, array: npt.ArrayLike | xr.DataArray) -> None:
        self.array: Any = array if isinstance(array, xr.DataArray) else np.asarray(array)
        if self.array.ndim != 2 or self.array.dtype.kind not in "biuf" or not np.isfinite(self.array).all():
            raise UsidError(f"A mask is 2-D, of bool or finite numbers; this is {self.array.dtype} of "
                            f"{self.array.ndim} dims.")  # fmt: skip

    def __repr__(self) -> str:
        return f"Mask({' x '.join(map(str, self.array.shape))} of {self.array.dtype})"

    def describe(self) -> dict[str, Any]:
        """Return the array."""
        return {"mask": self.array}

    def weigh(self, frame: Frame) -> Array:
        """Return the array."""
        is_labelled = isinstance(self.array, xr.DataArray)
        if is_labelled and set(self.array.dims) != set(frame.dims):
            raise RoleError(f"The mask has the dims {self.array.dims}, and the detector {frame.dims}.")
        array = np.asarray(self.array.transpose(*frame.dims) if is_labelled else self.array)
        if array.shape != frame.shape:
            raise RoleError(f"The mask has {array.shape} pixels, and the detector {frame.shape}.")
        return array if array.dtype == bool else array.astype(np.float64)
