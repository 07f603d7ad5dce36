"""Formulas written out in NumPy, to compare with."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def gaussian(x: Any, amplitude: Any, center: Any, sigma: Any, offset: Any = 0.0) -> Any:
    """Area-normalised Gaussian on a constant."""
    return amplitude / (sigma * np.sqrt(2 * np.pi)) * np.exp(-((x - center) ** 2) / (2 * sigma**2)) + offset


def lorentzian(x: Any, amplitude: Any, center: Any, sigma: Any) -> Any:
    """Area-normalised Lorentzian."""
    return amplitude / np.pi * sigma / ((x - center) ** 2 + sigma**2)


def oscillator(w: Any, amplitude: Any, frequency: Any, quality_factor: Any, phase: Any) -> Any:
    """Response of the damped oscillator."""
    with np.errstate(invalid="ignore"):  # complex division by nan warns
        below = w**2 - 1j * w * frequency / quality_factor - frequency**2
        return amplitude * np.exp(1j * phase) * frequency**2 / below
