"""Bands of frequencies -> the factor of each frequency, as the filters of pycroscopy place them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import erf

from usidx.errors import UsidError

__all__ = ["Band", "BandPass", "BandStop", "Harmonics", "HighPass", "LowPass", "NoiseFloor", "combine"]

Array = npt.NDArray[np.float64]


class Band(ABC):
    """Which frequencies pass, by what factor."""

    def __post_init__(self) -> None:
        """Refuse what is no frequency."""
        for one in fields(self):  # type: ignore[arg-type]
            value = getattr(self, one.name)
            if value is not None and not 0 <= value < np.inf:
                raise UsidError(f"{one.name}={value!r} of {type(self).__name__}; it should be 0 or more.")

    @abstractmethod
    def pass_bins(self, bins: npt.NDArray[np.intp], per_bin: float, size: int) -> Array:
        """Return the factors of frequencies, counted in bins from 0 up, of a transform of so many samples."""


def _count(frequency: float, per_bin: float) -> int:
    return _round(frequency / per_bin)


def _round(bins: float) -> int:
    """Round as if the step of the axis had no rounding of its own, which would decide of halves."""
    return round(round(bins, 6))


@dataclass(frozen=True)
class LowPass(Band):
    """Keep what is slower.

    Parameters
    ----------
    cut_off : float
        From here on nothing passes, in the reciprocal unit of the axis: Hz where it is in s.
    width : float, optional
        Over which the factor falls from 1 to 0, ending at `cut_off`, along an error function; by default a twentieth
        of it.

    Examples
    --------
    >>> import usidx
    >>> usidx.signal.LowPass(50e3)
    LowPass(cut_off=50000.0, width=None)
    """

    cut_off: float
    width: float | None = None

    def pass_bins(self, bins: npt.NDArray[np.intp], per_bin: float, size: int) -> Array:
        """Return 1, the fall, and 0."""
        last = _count(self.cut_off, per_bin)
        fall = _count(0.05 * self.cut_off if self.width is None else self.width, per_bin)
        rising = 0.5 * (1 + erf(np.linspace(-2.5, 2.5, fall)))
        found = (bins <= last).astype(np.float64)
        inside = (bins <= last) & (bins > last - fall)
        found[inside] = rising[last - bins[inside]]
        return found


@dataclass(frozen=True)
class HighPass(Band):
    """Keep what is faster: all that :class:`LowPass` takes away.

    Parameters
    ----------
    cut_off : float
        From here on all passes, in the reciprocal unit of the axis.
    width : float, optional
        Over which the factor rises, ending at `cut_off`; by default a twentieth of it.
    """

    cut_off: float
    width: float | None = None

    def pass_bins(self, bins: npt.NDArray[np.intp], per_bin: float, size: int) -> Array:
        """Return what is left of 1."""
        return 1.0 - LowPass(self.cut_off, self.width).pass_bins(bins, per_bin, size)


@dataclass(frozen=True)
class BandPass(Band):
    """Keep a band.

    Parameters
    ----------
    center, width : float
        Its middle, and its whole width, in the reciprocal unit of the axis.
    """

    center: float
    width: float

    def pass_bins(self, bins: npt.NDArray[np.intp], per_bin: float, size: int) -> Array:
        """Return 1 within the band, both ends included, else 0."""
        half = _round(round(0.5 * size) * self.width / (per_bin * size))
        return (np.abs(bins - _count(self.center, per_bin)) <= half).astype(np.float64)


@dataclass(frozen=True)
class BandStop(Band):
    """Take a band away, of a disturbance: all that :class:`BandPass` keeps.

    Parameters
    ----------
    center, width : float
        Its middle, and its whole width, in the reciprocal unit of the axis.
    """

    center: float
    width: float

    def pass_bins(self, bins: npt.NDArray[np.intp], per_bin: float, size: int) -> Array:
        """Return what is left of 1."""
        return 1.0 - BandPass(self.center, self.width).pass_bins(bins, per_bin, size)


@dataclass(frozen=True)
class Harmonics(Band):
    """Keep bands around a frequency and its multiples; frequency 0 goes.

    Parameters
    ----------
    first, width : float
        The frequency, and the whole width of each band, in the reciprocal unit of the axis.
    count : int
        How many, the first among them.
    """

    first: float
    width: float
    count: int

    def pass_bins(self, bins: npt.NDArray[np.intp], per_bin: float, size: int) -> Array:
        """Return 1 in the bands, else 0."""
        bands = [BandPass(n * self.first, self.width) for n in range(1, int(self.count) + 1)]
        found = np.zeros(bins.shape)
        for band in bands:
            found = np.maximum(found, band.pass_bins(bins, per_bin, size))
        return found


@dataclass(frozen=True)
class NoiseFloor:
    """Take away the frequencies of each spectrum whose amplitude is below its noise floor.

    Parameters
    ----------
    tolerance : float
        As of :func:`usidx.signal.noise_floor`, between 0 and 1.
    """

    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        """Refuse what is no probability."""
        if not 0 < self.tolerance < 1:
            raise UsidError(f"tolerance={self.tolerance!r} of NoiseFloor; it should be between 0 and 1.")


def combine(filters: tuple[Any, ...], size: int, per_bin: float) -> Array:
    """Return the product of the factors for the bins 0 to half the size."""
    bins = np.arange(size // 2 + 1)
    found = np.ones(bins.size)
    for band in filters:
        if isinstance(band, Band):
            found *= band.pass_bins(bins, per_bin, size)
    return found
