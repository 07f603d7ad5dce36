"""A fit and the truth it should have found to a table of how far apart they are."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from usidx.errors import ResultError
from usidx.look.draw.numbers import choose_scale, find_quantity, find_unit, write_number
from usidx.look.report import Table

__all__ = ["build_truth_table"]

_FULL_TURN = {"rad": 2 * math.pi, "deg": 360.0}


def build_truth_table(truth: xr.Dataset, fit: xr.Dataset, *, caption: str = "") -> Table:
    """Compare every parameter that a fit and the truth have in common.

    Computes both. Differences of a phase are taken the short way round. Cells that are not finite in the fit are
    counted as missing and compared no further.

    Parameters
    ----------
    truth, fit : Dataset
        Variables of the same name are compared; their dims must broadcast.
    caption : str, optional
        Caption of the table.

    Returns
    -------
    Table
        A row per parameter: its median truth, the median of the signed and of the absolute error, the absolute error
        that 95 of 100 cells stay below, the cells compared and the cells missing.

    Raises
    ------
    ResultError
        No variable is in both.

    Examples
    --------
    >>> import xarray as xr
    >>> truth = xr.Dataset({"center": ("x", [1.0, 2.0, 3.0])})
    >>> build_truth_table(truth, truth + 0.5).rows
    (('center', '2', '0.5', '0.5 (25 %)', '0.5', '3', '0'),)
    """
    common = [str(name) for name in truth.data_vars if name in fit.data_vars]
    if not common:
        raise ResultError(
            f"Fit and truth have no variable in common: {list(map(str, fit.data_vars))} and "
            f"{list(map(str, truth.data_vars))}. Rename the variables of the truth."
        )
    columns = ("Parameter", "True (median)", "Bias (median)", "Error (median)", "Error (95 %)", "Cells", "Missing")
    return Table(tuple(_make_row(truth[name], fit[name]) for name in common), columns, caption)


def _make_row(truth: xr.DataArray, fit: xr.DataArray) -> tuple[str, ...]:
    expected, found = (np.asarray(a.values, np.float64) for a in xr.broadcast(truth, fit))
    known = np.isfinite(expected)
    compared = known & np.isfinite(found)
    missing = int(known.sum() - compared.sum())
    quantity = find_quantity(truth)
    if not compared.any():
        return (quantity, "-", "-", "-", "-", "0", str(missing))
    error = _take_short_way(found[compared] - expected[compared], find_unit(truth))
    typical, level = float(np.median(np.abs(error))), float(np.median(expected[compared]))
    spread = float(np.percentile(np.abs(error), 95))
    relative = f" ({write_number(100 * typical / abs(level), 2)} %)" if level and not _turn(find_unit(truth)) else ""
    shown = [_write_value(v, find_unit(truth)) for v in (level, float(np.median(error)), typical, spread)]
    return (quantity, shown[0], shown[1], shown[2] + relative, shown[3], str(int(compared.sum())), str(missing))


def _turn(unit: str) -> float | None:
    return _FULL_TURN.get(unit)


def _take_short_way(error: NDArray[np.float64], unit: str) -> NDArray[np.float64]:
    turn = _turn(unit)
    return error if turn is None else (error + turn / 2) % turn - turn / 2


def _write_value(value: float, unit: str) -> str:
    scale = choose_scale(abs(value), unit)
    return f"{write_number(value * scale.factor, 3)} {scale.unit}".strip()
