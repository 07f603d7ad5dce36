"""Work along one dim of any array: transforms, filters, baselines, spikes, peaks, shifts, scales."""

from usidx.signal.bands import BandPass, BandStop, Harmonics, HighPass, LowPass, NoiseFloor
from usidx.signal.baselines import baseline, remove_baseline
from usidx.signal.filtering import fft_filter
from usidx.signal.fourier import fft, ifft
from usidx.signal.smoothing import gaussian, median, savgol, total_variation
from usidx.signal.spectra import noise_floor, power_spectrum

__all__ = [
    "BandPass",
    "BandStop",
    "Harmonics",
    "HighPass",
    "LowPass",
    "NoiseFloor",
    "baseline",
    "fft",
    "fft_filter",
    "gaussian",
    "ifft",
    "median",
    "noise_floor",
    "power_spectrum",
    "remove_baseline",
    "savgol",
    "total_variation",
]
