"""Work along one dim of any array: transforms, filters, baselines, spikes, peaks, shifts, scales."""

from usidx.signal.alignment import align
from usidx.signal.background import remove_power_law
from usidx.signal.bands import BandPass, BandStop, Harmonics, HighPass, LowPass, NoiseFloor
from usidx.signal.baselines import baseline, remove_baseline
from usidx.signal.filtering import fft_filter
from usidx.signal.fourier import fft, ifft
from usidx.signal.peaks import find_peaks
from usidx.signal.scaling import calibrate, normalize, resample
from usidx.signal.smoothing import gaussian, median, savgol, total_variation
from usidx.signal.spectra import noise_floor, power_spectrum
from usidx.signal.spikes import find_spikes, remove_spikes

__all__ = [
    "BandPass",
    "BandStop",
    "Harmonics",
    "HighPass",
    "LowPass",
    "NoiseFloor",
    "align",
    "baseline",
    "calibrate",
    "fft",
    "fft_filter",
    "find_peaks",
    "find_spikes",
    "gaussian",
    "ifft",
    "median",
    "noise_floor",
    "normalize",
    "power_spectrum",
    "remove_baseline",
    "remove_power_law",
    "remove_spikes",
    "resample",
    "savgol",
    "total_variation",
]
