"""Work along one dim of any array: transforms, filters, baselines, spikes, peaks, shifts, scales."""

from usidx.signal.fourier import fft, ifft

__all__ = ["fft", "ifft"]
