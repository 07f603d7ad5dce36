"""A function of one spectrum that a user may have."""

from typing import Any

import numpy as np
import numpy.typing as npt


def find_swing(spectrum: npt.NDArray[Any]) -> Any:
    """Return how far apart the ends of a spectrum are."""
    return np.abs(spectrum).max() - np.abs(spectrum).min()
