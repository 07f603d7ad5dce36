"""Work over two dims of any array: drift, flattening, windows, registration, other grids, atoms."""

from usidx.image.drift import correct_drift, estimate_drift
from usidx.image.flattening import flatten
from usidx.image.moved import shift
from usidx.image.profiles import profile, radial_mean
from usidx.image.registration import register, resample_onto
from usidx.image.regridding import regrid
from usidx.image.scars import remove_scars
from usidx.image.windowing import windows

__all__ = [
    "correct_drift",
    "estimate_drift",
    "flatten",
    "profile",
    "radial_mean",
    "register",
    "regrid",
    "remove_scars",
    "resample_onto",
    "shift",
    "windows",
]
