"""Work over two dims of any array: drift, flattening, windows, registration, other grids, atoms."""

from usidx.image.drift import correct_drift, estimate_drift
from usidx.image.finding import find_atoms
from usidx.image.flattening import flatten
from usidx.image.lattices import displacements, lattice, neighbours, strain
from usidx.image.moved import shift
from usidx.image.patches import denoise_patches
from usidx.image.profiles import profile, radial_mean
from usidx.image.refining import refine_atoms
from usidx.image.registration import register, resample_onto
from usidx.image.regridding import regrid
from usidx.image.scars import remove_scars
from usidx.image.windowing import windows

__all__ = [
    "correct_drift",
    "denoise_patches",
    "displacements",
    "estimate_drift",
    "find_atoms",
    "flatten",
    "lattice",
    "neighbours",
    "profile",
    "radial_mean",
    "refine_atoms",
    "register",
    "regrid",
    "remove_scars",
    "resample_onto",
    "shift",
    "strain",
    "windows",
]
