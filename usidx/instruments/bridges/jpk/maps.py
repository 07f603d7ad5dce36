"""Where the curves of a JPK map were taken -> the grid they fill, or the places one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from usidx.format.layout import Array
from usidx.instruments.bridges.jpk.headers import Properties
from usidx.instruments.channel import Axis
from usidx.instruments.scan_frame import describe_frame

__all__ = ["Grid", "find_grid", "read_place"]


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """How the curves lie.

    Attributes
    ----------
    axes : tuple of Axis
        (Y, X), or one of positions where they fill no grid.
    order : ndarray of int
        Which curve of the file lies at each cell, row by row.
    numbers : ndarray of int
        Of the curves in that order, as the instrument counted them.
    places : dict of str to ndarray
        ``X`` and ``Y`` of each curve where they fill no grid.
    frame : dict of str to Variable
        Centre, size and angle.
    """

    axes: tuple[Axis, ...]
    order: Array
    numbers: Array
    places: dict[str, Array]
    frame: dict[str, xr.Variable]

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns, or how many positions."""
        return tuple(axis.values.size for axis in self.axes)

    def coords(self, counts: Sequence[Sequence[int]]) -> dict[str, xr.Variable]:
        """Return what belongs to each curve, in the order of the grid: number, samples, and place off a grid."""
        dims = tuple(axis.name for axis in self.axes)
        totals = np.array([sum(own) for own in counts])
        held = {"curve": self.numbers, "samples": totals}
        found = {name: xr.Variable(dims, values.reshape(self.shape)) for name, values in held.items()}
        found |= {name: xr.Variable(dims, values, {"units": "m"}) for name, values in self.places.items()}
        return found | self.frame


def find_grid(general: Properties, headers: Sequence[Properties]) -> Grid:
    """Return how the curves of a map lie.

    Parameters
    ----------
    general : mapping
        The header of the map.
    headers : sequence of mapping
        That of each curve, with its number as ``index``.
    """
    numbers = np.array([_find_number(header) for header in headers])
    told = _find_pattern(general)
    places = {"Y": _read_places(headers, "y"), "X": _read_places(headers, "x")}
    frame = {}
    if told:
        center, size = (told["ycenter"], told["xcenter"]), (told["vlength"], told["ulength"])
        frame = describe_frame("m", center=center, size=size, angle=np.degrees(told["theta"]))
        found = _fill_grid(told, numbers, frame)
        if found is not None:
            return found
    axis = Axis("position", np.arange(len(numbers), dtype="f8"), "", "position")
    known = {name: values for name, values in places.items() if np.isfinite(values).all()}
    return Grid((axis,), np.arange(len(numbers)), numbers, known, frame)


def _fill_grid(told: Mapping[str, float], numbers: Array, frame: dict[str, xr.Variable]) -> Grid | None:
    """Return the grid that the curves fill, all of it or some rows and columns; None if there are holes."""
    columns = int(told["ilength"])
    if columns <= 0 or int(told["jlength"]) <= 0 or numbers.max() >= columns * int(told["jlength"]):
        return None
    row, column = np.divmod(numbers, columns)
    if told["back-and-forth"]:
        column = np.where(row % 2 == 1, columns - 1 - column, column)
    rows, used = np.unique(row), np.unique(column)
    if rows.size * used.size != numbers.size:
        return None
    order = np.lexsort((column, row))
    axes = (
        Axis("Y", _place_pixels(told["ycenter"], told["vlength"], int(told["jlength"]))[rows], "m", "position"),
        Axis("X", _place_pixels(told["xcenter"], told["ulength"], columns)[used], "m", "position"),
    )
    return Grid(axes, order, numbers[order], {}, frame)


def _place_pixels(center: float, length: float, count: int) -> Array:
    placed: Array = center - length / 2 + (np.arange(count) + 0.5) * length / count
    return placed


def _find_pattern(general: Properties) -> dict[str, float]:
    """Return the grid that was asked for, empty where the header names none."""
    mark = ".position-pattern.grid."
    found = {name.partition(mark)[2]: value for name, value in general.items() if mark in name}
    wanted = ("xcenter", "ycenter", "ulength", "vlength", "ilength", "jlength")
    if not all(name in found for name in wanted):
        return {}
    back = any(k.endswith("position-pattern.back-and-forth") and v == "true" for k, v in general.items())
    told = {name: float(found[name]) for name in wanted}
    return {**told, "theta": float(found.get("theta", "0")), "back-and-forth": float(back)}


def _find_number(header: Properties) -> int:
    """Return which place of the pattern a curve was taken at: maps of which some curves were kept count them anew."""
    told = next((value for name, value in header.items() if name.endswith(".position-index")), header["index"])
    return int(told)


def _read_places(headers: Sequence[Properties], axis: str) -> Array:
    end = f".position.{axis}"
    return np.array([float(next((v for k, v in h.items() if k.endswith(end)), "nan")) for h in headers])


def read_place(header: Properties) -> dict[str, xr.Variable]:
    """Return where a single curve was taken."""
    found = {axis: float(_read_places([header], axis.lower())[0]) for axis in ("Y", "X")}
    return {axis: xr.Variable((), value, {"units": "m"}) for axis, value in found.items() if np.isfinite(value)}
