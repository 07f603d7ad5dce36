"""Table of figures and the spectra -> which fits are to be doubted: those that failed, or left a pattern behind.

What a right model leaves of a spectrum is noise: no sample knows of the one before it. What a fit in a wrong minimum
leaves goes up and down slowly. So the scatter of what is left is compared with the scatter of its differences from
sample to sample, which a pattern hardly takes part in. That asks for no other spectrum, so a doubt does not depend on
how a map is cut into blocks.

References
----------
J. von Neumann, Ann. Math. Stat. 12, 367 (1941).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from usidx.fitting.kernels.columns import CONVERGED, CONVERGED_ON_BOUND, TOO_FEW_SAMPLES, Columns
from usidx.fitting.models.model import Model
from usidx.fitting.solver.compiled import evaluate_block
from usidx.tasks.pool import share_slices

__all__ = ["find_doubtful", "measure_pattern"]

Array = npt.NDArray[np.float64]
_FAR: Final = 2.5  # standard deviations that the ratio of scatters has around one
_ROUNDING: Final = 1e-24  # of the sum of squares: less than that left over is nothing


def find_doubtful(
    model: Model,
    free: int,
    table: Array,
    y: npt.NDArray[Any],
    x: Array,
    weight: Array | None,
    threads: int | None = None,
) -> npt.NDArray[np.bool_]:
    """Say which of the fits failed where another start may help, or left more than noise behind.

    The arguments are those of `solver.compiled.solve_block`, and the table that came of them; `free` counts the
    parameters that were fitted.
    """
    at, out = Columns(len(model.names)), np.zeros(len(table), bool)
    failed = ~(table[:, at.status] > 0) & (table[:, at.status] != TOO_FEW_SAMPLES)
    judged = np.isin(table[:, at.status], (CONVERGED, CONVERGED_ON_BOUND))

    def run(part: slice) -> None:
        own_x = x if x.shape[0] == 1 else x[part]
        left = y[part] - evaluate_block(model, own_x, table[part, at.parameters], 1)
        if weight is not None:
            with np.errstate(invalid="ignore"):
                left = left * (weight if weight.shape[0] == 1 else weight[part])
        far = measure_pattern(_sort(model, own_x, left), free) > _FAR
        energy = table[part, at.samples] * np.nanmax(abs(y[part]), axis=1, initial=0.0) ** 2
        out[part] = far & judged[part] & (table[part, at.chi2] > _ROUNDING * (energy if weight is None else 0.0))

    share_slices(run, len(table), threads)
    return np.asarray(out | (failed & np.isfinite(y).any(axis=1)))


def measure_pattern(left: npt.NDArray[Any], free: int) -> Array:
    """Return by how many standard deviations rows are smoother than noise; samples that are not finite are left out."""
    if np.iscomplexobj(left):
        return np.asarray((measure_pattern(left.real, free) + measure_pattern(left.imag, free)) / np.sqrt(2.0))
    with np.errstate(all="ignore"):
        if np.isfinite(left).all():
            count = np.full(len(left), float(left.shape[1]))
            total, steps = np.einsum("ij,ij->i", left, left), np.diff(left, axis=1)
            moved = np.einsum("ij,ij->i", steps, steps)
        else:
            count, total = np.isfinite(left).sum(axis=1).astype(float), np.nansum(left**2, axis=1)
            moved = (
                np.nansum(np.diff(left, axis=1) ** 2, axis=1) * count / np.isfinite(np.diff(left, axis=1)).sum(axis=1)
            )
        scatter = total / np.maximum(count - free, 1.0)
        noise = moved / (2.0 * np.maximum(count - 1.0, 1.0))
        found: Array = np.nan_to_num((scatter / noise - 1.0) * np.sqrt(count), nan=0.0)
    return found


def _sort(model: Model, x: Array, left: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return samples in the order of a single coordinate."""
    if model.variables > 1 or model.derived or bool((np.diff(x[:, 0], axis=1) >= 0.0).all()):
        return left
    order = np.argsort(x[:, 0], axis=1, kind="stable")
    return np.asarray(np.take_along_axis(left, np.broadcast_to(order, left.shape), axis=1))
