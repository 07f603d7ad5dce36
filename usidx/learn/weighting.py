"""Array -> the factors that even out its noise before it is decomposed; and the decomposition back to its units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import ResultError
from usidx.label.units import raise_to_power
from usidx.learn.factors.products import choose_dtype
from usidx.learn.matrix.even import Evening, EvenPasses
from usidx.learn.matrix.matrix import Matrix, choose_working_dtype, to_matrix
from usidx.learn.matrix.missing import sift
from usidx.learn.matrix.results import assemble
from usidx.learn.matrix.sample import refuse_negative
from usidx.learn.reconstruct import find_scores
from usidx.tasks.blocks import cut_pieces
from usidx.tasks.passes import Passes, plan_passes

__all__ = ["SCALES", "Even", "decompose_scaled"]

Array = npt.NDArray[Any]

SCALES = ("poisson", "std")

#: The power of the units of the data that a variable has, where it is another than without a scale.
_OWN_UNITS: dict[str, dict[str, float]] = {
    "poisson": {"singular_values": 0.5, "reconstruction_error": 0.5},
    "std": {"scores": 0, "components": 1, "singular_values": 0, "scale": 1, "reconstruction_error": 0},
}


#: What has the precision of the data, or more.
_RESULTS = {"scores", "components", "mean"}


@dataclass(frozen=True, slots=True)
class _Columns:
    """Count, sum and sum of squares about the mean, of each column over the rows that count."""

    holes: npt.NDArray[np.bool_]
    count: int
    mean: Array
    square: Array


@dataclass(frozen=True, slots=True)
class Even:
    """How data is divided: `labelled` (*spectroscopic) is the scale of the steps, `factors` what passes know of it."""

    labelled: xr.DataArray
    factors: Any
    evening: Evening

    def find_level(self, data: xr.DataArray) -> xr.DataArray:
        """Return the root of the mean count of each position; an empty position keeps its scale."""
        level = data.mean(list(self.labelled.dims), skipna=True)
        return (level.where(level > 0, 1.0) ** 0.5).astype(self.evening.dtype)

    def divide(self, data: xr.DataArray) -> xr.DataArray:
        """Return the divided data, for who cannot look at it divided."""
        even = data / self.labelled.variable
        return (even / self.find_level(data) if self.evening.by_row else even).transpose(*data.dims)

    def see(self, passes: Passes) -> Passes:
        """Return passes that see the data divided."""
        return cast(Passes, EvenPasses(passes, self.factors, self.evening))


def decompose_scaled(
    data: xr.DataArray,
    features: tuple[str, ...],
    scale: str,
    decompose: Callable[[xr.DataArray, Even], xr.Dataset],
    *,
    reproject: bool = True,
) -> xr.Dataset:
    """Decompose the array seen divided by its scale, and give the components their scale back.

    The scores are those of the unscaled data in the least squares weighted by 1 / scale² (`reproject`); or those of the
    scaled data, given back what their position was divided by. A standard deviation has the units of the data: the
    components carry them then, and the scores are numbers.
    """
    matrix = to_matrix(data, features)
    _check(data, scale)
    even, again = _find_step_scale(matrix, scale)
    read, steps = again.transpose(*data.dims), even.labelled
    found = decompose(read, even)
    # Counts may be multiplied in single precision; results are as of the data.
    found = found.assign(
        {n: found[n].astype(choose_working_dtype(data.dtype)) for n in _RESULTS & found.data_vars.keys()}
    )
    found["components"] = found["components"] * steps.variable
    if "mean" in found:
        found["mean"] = found["mean"] * steps.variable
    found["scale"] = steps
    if reproject:
        found["scores"] = find_scores(found, data, "linear")
    elif even.evening.by_row:
        level = even.find_level(read)
        found["scores"] = (found["scores"] * level).astype(found["scores"].dtype).transpose(*found["scores"].dims)
    made = assemble(data, {str(name): found[name] for name in found.data_vars})
    units = data.attrs.get("units", "")
    for name in made.data_vars.keys() & (_OWN_UNITS[scale].keys() if units else ()):
        made[name].attrs["units"] = raise_to_power(units, _OWN_UNITS[scale][str(name)])
    return made


def _check(data: xr.DataArray, scale: str) -> None:
    if scale not in SCALES:
        raise ResultError(f"No scale {scale!r}: it is one of {SCALES}, or None.")
    if scale == "poisson" and data.dtype.kind == "c":
        raise ResultError(
            f"Array {data.name!r} is {data.dtype}: Poisson noise is that of counts, which are not complex."
        )


def _find_step_scale(matrix: Matrix, scale: str) -> tuple[Even, xr.DataArray]:
    """Return the scale of each spectroscopic step, one pass; and the data as it is read after that."""
    passes = plan_passes(matrix.values)
    moments = passes.fold(_sum_columns, _join, scale == "poisson")
    factors = passes.call(_find_mean_root if scale == "poisson" else _find_deviation, moments)
    # A scale of double precision would make all that is divided by it double, and every pass take twice as long.
    dtype = choose_dtype(matrix.values.dtype, double=False)
    steps = passes.pick_array(factors, None, (1, matrix.values.shape[1]), dtype.type(0).real.dtype)
    even = Even(matrix.label_cells(steps, matrix.columns), factors, Evening(dtype, scale == "poisson"))
    return even, matrix.unfold(passes.read_again(factors))


def _sum_columns(block: Array, counts: bool) -> _Columns:
    if counts:
        refuse_negative(block)
    rows, holes = sift(block)
    wide = np.result_type(rows.dtype, np.float64)
    found = _Columns(holes, 0, np.zeros(rows.shape[1], wide), np.zeros(rows.shape[1]))
    for part in cut_pieces(len(rows), rows.shape[1] * wide.itemsize):
        found = _join(found, _sum_piece(rows[part].astype(wide), holes, counts))
    return found


def _sum_piece(rows: Array, holes: npt.NDArray[np.bool_], counts: bool) -> _Columns:
    mean = rows.mean(axis=0)
    square = np.zeros(rows.shape[1]) if counts else (np.abs(rows - mean) ** 2).sum(axis=0)  # counts need none
    return _Columns(holes, len(rows), mean, square)


def _join(first: _Columns, second: _Columns) -> _Columns:
    holes = first.holes & second.holes
    used = [c for c in (first, second) if c.count and (c.holes == holes).all()]
    if not used:
        return _Columns(holes, 0, np.zeros_like(first.mean), np.zeros_like(first.square))
    if len(used) == 1:
        return used[0]
    count = first.count + second.count
    between = second.mean - first.mean
    # Squares about each mean, and what they lack to those about the common one (Chan, Golub and LeVeque, 1983).
    square = first.square + second.square + np.abs(between) ** 2 * (first.count * second.count / count)
    return _Columns(holes, count, first.mean + between * (second.count / count), square)


def _find_mean_root(found: _Columns) -> Array:
    """Return the root of the mean count, about one; an empty step keeps its scale."""
    level = found.mean.real / (found.mean.real[found.mean.real > 0].mean() if (found.mean.real > 0).any() else 1.0)
    return np.sqrt(np.where(level > 0, level, 1.0))


def _find_deviation(found: _Columns) -> Array:
    """Return the standard deviation; a constant step keeps its scale."""
    deviation = np.sqrt(found.square / max(found.count, 1))
    return np.where(deviation > 0, deviation, 1.0)
