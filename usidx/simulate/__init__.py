"""Data with known truth, for docs, demo and tests."""

from usidx.simulate.cantilevers import gkpfm
from usidx.simulate.contacts import giv, gmode_lines
from usidx.simulate.decays import relaxation
from usidx.simulate.forces import force_map
from usidx.simulate.images import drifting_stack, stepped_surface
from usidx.simulate.junctions import current_voltage
from usidx.simulate.lattices import atoms
from usidx.simulate.patterns import diffraction
from usidx.simulate.resonances import band_excitation
from usidx.simulate.spectra import gaussian_map, spectrum_image
from usidx.simulate.switching import beps, ckpfm

__all__ = [
    "atoms",
    "band_excitation",
    "beps",
    "ckpfm",
    "current_voltage",
    "diffraction",
    "drifting_stack",
    "force_map",
    "gaussian_map",
    "giv",
    "gkpfm",
    "gmode_lines",
    "relaxation",
    "spectrum_image",
    "stepped_surface",
]
