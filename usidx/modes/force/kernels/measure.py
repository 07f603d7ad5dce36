"""Force curves -> all their figures by name: parts, contact, pull-off, and what sticks; imports numba."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from usidx.modes.force.kernels.contact import fit_contacts
from usidx.modes.force.kernels.laws import CONE, JKR, SPHERE
from usidx.modes.force.kernels.pulling import PULLS, look_for_hold, measure_pulls
from usidx.modes.force.kernels.segments import find_parts
from usidx.modes.force.kernels.status import CONVERGED, FIGURES

__all__ = ["measure"]

Array = npt.NDArray[Any]
#: What the approach tells, and no fit of the retract.
_OF_APPROACH: Final = ("snap_in", "snap_in_stderr", "baseline", "tilt", "noise")


def measure(
    forces: Array, heights: Array, marks: Array | None, model: str, compliance: float, *, is_tilted: bool
) -> dict[str, Array]:
    """Measure force curves.

    Parameters
    ----------
    forces : ndarray, shape (row, sample)
        In N.
    heights : ndarray, shape (row or 1, sample)
        In m.
    marks : ndarray, shape (row or 1, sample), optional
        A number that changes from segment to segment.
    model : str
        hertz, cone or jkr.
    compliance : float
        Of the cantilever, in m/N.
    is_tilted : bool
        Whether the line before contact may be tilted.

    Returns
    -------
    dict of str to ndarray, shape (row,)
        In SI units; NaN where the fit did not converge.
    """
    parts = np.broadcast_to(find_parts(heights, marks), (len(forces), 4))
    ends = np.stack([parts[:, 0], np.maximum(parts[:, 1] - 1, parts[:, 0])], axis=1)
    free = np.full_like(ends, -1)
    law = CONE if model == "cone" else SPHERE
    held = look_for_hold(forces, heights, ends, parts[:, 2:], is_tilted=is_tilted)
    table = fit_contacts(forces, heights, np.hstack([ends, free]), law, compliance, is_tilted=is_tilted, pulls=held)
    found = dict(zip(FIGURES, table.T.copy(), strict=True))
    pulls = measure_pulls(forces, heights, parts[:, 2:], found["tilt"], found["tilt_stderr"], found["noise"])
    found |= dict(zip(PULLS, pulls.T.copy(), strict=True))
    if model == "jkr":
        _fit_retract(forces, heights, parts, compliance, found)
    missing = found["status"] != CONVERGED
    for name, values in found.items():
        if name != "status":
            values[missing] = np.nan
    return found | {"converged": (~missing).astype(np.float64)}


def _fit_retract(forces: Array, heights: Array, parts: Array, compliance: float, found: dict[str, Array]) -> None:
    """Put the figures of a fit of the retract in place of those of the approach, where the sample holds the tip."""
    held = np.flatnonzero(np.isfinite(found["holds"]) & (found["status"] == CONVERGED))
    found["pull_off"][:] = np.where(found["adhesion"] == 0.0, 0.0, np.nan)
    found["pull_off_stderr"][:] = found["adhesion_stderr"]
    if not held.size:
        return
    ends = np.stack([parts[held, 3] - 1, parts[held, 2], found["free"][held], found["holds"][held]], axis=1)
    rows = heights if len(heights) == 1 else heights[held]
    pulls, tilts = found["adhesion"][held], found["tilt"][held]
    own = ends.astype(np.int64)
    table = fit_contacts(forces[held], rows, own, JKR, compliance, is_tilted=False, tilts=tilts, pulls=pulls)
    for name, column in zip(FIGURES, table.T, strict=True):
        if name not in _OF_APPROACH:
            found[name][held] = column
