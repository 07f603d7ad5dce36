"""Work on diffraction patterns, one at each position: virtual detectors, centers of mass, phase, rings."""

from usidx.diffraction.calibration import calibrate
from usidx.diffraction.centers import find_center
from usidx.diffraction.detectors import Annulus, Disk, Mask
from usidx.diffraction.hot_pixels import find_hot_pixels, remove_hot_pixels
from usidx.diffraction.integration import phase_contrast
from usidx.diffraction.moments import center_of_mass
from usidx.diffraction.patterns import mean_pattern
from usidx.diffraction.rings import radial_mean
from usidx.diffraction.virtual import virtual_image

__all__ = [
    "Annulus",
    "Disk",
    "Mask",
    "calibrate",
    "center_of_mass",
    "find_center",
    "find_hot_pixels",
    "mean_pattern",
    "phase_contrast",
    "radial_mean",
    "remove_hot_pixels",
    "virtual_image",
]
