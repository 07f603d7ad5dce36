"""Data with known truth, for docs, demo and tests."""

from usidx.simulate.band_excitation import band_excitation
from usidx.simulate.spectra import gaussian_map, spectrum_image

__all__ = ["band_excitation", "gaussian_map", "spectrum_image"]
