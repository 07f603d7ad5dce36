"""Work along one dim of any array: transforms, filters, baselines, spikes, peaks, shifts, scales."""

from usidx.signal.bands import BandPass, BandStop, Harmonics, HighPass, LowPass, NoiseFloor
from usidx.signal.filtering import fft_filter
from usidx.signal.fourier import fft, ifft
from usidx.signal.spectra import noise_floor, power_spectrum

__all__ = [
    "BandPass",
    "BandStop",
    "Harmonics",
    "HighPass",
    "LowPass",
    "NoiseFloor",
    "fft",
    "fft_filter",
    "ifft",
    "noise_floor",
    "power_spectrum",
]
