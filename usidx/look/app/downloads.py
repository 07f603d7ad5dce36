"""What is on the page to files: figures for papers, tables, netCDF, a notebook, a recipe."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from usidx.errors import UsidError
from usidx.look.app.jobs import write_notebook, write_recipe
from usidx.look.app.outcome import Outcome
from usidx.look.draw.downsample import make_ruler
from usidx.look.draw.numbers import find_quantity, find_unit, write_label
from usidx.look.explorer.reading.scene import take_part
from usidx.look.explorer.reading.subject import Curve
from usidx.look.explorer.sides.curve_side import CurveSide
from usidx.look.explorer.view import View
from usidx.look.plot import plot_map

__all__ = ["make_download"]

_DPI = 200


def make_download(what: str, view: View, outcome: Outcome | None) -> tuple[str, str, bytes]:
    """Make a file of what is on the page; return its name, its kind and what is in it.

    Raises
    ------
    UsidError
        There is nothing of the kind on the page.
    """
    stem = view.subject.title.strip("/").replace("/", "-").replace(" (not written)", "") or "usidx"
    kinds: dict[str, tuple[str, Callable[[], bytes]]] = {
        "png": ("image/png", lambda: _draw(view, "png")),
        "svg": ("image/svg+xml", lambda: _draw(view, "svg")),
        "pdf": ("application/pdf", lambda: _draw(view, "pdf")),
        "map.csv": ("text/csv", lambda: _write_map(view)),
        "curve.csv": ("text/csv", lambda: _write_curves(view)),
        "nc": ("application/x-netcdf", lambda: _write_netcdf(view)),
        "ipynb": ("application/x-ipynb+json", lambda: write_notebook(_demand(outcome), stem)),
        "toml": ("application/toml", lambda: write_recipe(_demand(outcome))),
    }
    if what not in kinds:
        raise UsidError(f"{what!r} cannot be downloaded.")
    kind, make = kinds[what]
    return f"{stem}.{what}", kind, make()


def _demand(outcome: Outcome | None) -> Outcome:
    if outcome is None:
        raise UsidError("Run an analysis first.")
    return outcome


def _take_map(view: View) -> xr.DataArray:
    if view.map_values is None:
        raise UsidError("There is no map on the page.")
    return take_part(view.map_values, view.looking.part)


def _draw(view: View, form: str) -> bytes:
    """Draw the map, for paper."""
    figure = plot_map(_take_map(view))
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, dpi=_DPI)
    return buffer.getvalue()


def _write_map(view: View) -> bytes:
    """Write a map as a table of places and values."""
    values = _take_map(view)
    rulers = [make_ruler(values, str(d)) for d in values.dims]
    heads = [write_label(r.quantity, r.unit) for r in rulers] + [write_label(find_quantity(values), find_unit(values))]
    places = np.meshgrid(*(r.values for r in rulers), indexing="ij")
    return _write_table(heads, [*places, values.values])


def _list_curves(view: View) -> list[Curve]:
    return view.side.picture.curves if isinstance(view.side, CurveSide) else []


def _write_curves(view: View) -> bytes:
    """Write the curves on the page as columns over their axis."""
    drawn = _list_curves(view)
    curves = [c for c in drawn if c.values[:: c.every].shape == drawn[0].values[:: drawn[0].every].shape]
    if not curves:
        raise UsidError("There is no curve on the page.")
    first = curves[0].values[:: curves[0].every]
    ruler = make_ruler(first, str(first.dims[0]))
    heads, columns = [write_label(ruler.quantity, ruler.unit)], [ruler.values]
    for curve in curves:
        values = take_part(curve.values[:: curve.every], view.looking.part)
        heads.append(write_label(f"{find_quantity(values)} {curve.name}".strip(), find_unit(values)))
        columns.append(values.values)
    return _write_table(heads, columns)


def _write_table(heads: list[str], columns: list[Any]) -> bytes:
    rows = np.column_stack([np.asarray(c, np.float64).ravel() for c in columns])
    buffer = io.StringIO()
    quoted = ",".join(f'"{head}"' for head in (h.replace('"', "'") for h in heads))
    np.savetxt(buffer, rows, delimiter=",", header=quoted, comments="", fmt="%.9g")
    return buffer.getvalue().encode()


def _write_netcdf(view: View) -> bytes:
    """Write the map and the curves as they were read, with coordinates and units."""
    held = {"map": _split(_take_map(view))} if view.map_values is not None else {}
    for number, curve in enumerate(_list_curves(view)):
        values = _split(take_part(curve.values[:: curve.every], view.looking.part))
        held[f"curve_{number}"] = values.rename({d: f"{d}" for d in values.dims}).assign_attrs(name=curve.name)
    data = xr.merge([v.rename(k).reset_coords(drop=True) for k, v in held.items()], compat="override", join="outer")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "taken.nc"
        data.to_netcdf(path, engine="h5netcdf", invalid_netcdf=False)
        return path.read_bytes()


def _split(values: xr.DataArray) -> xr.DataArray:
    """Return an array with attributes that netCDF holds."""
    plain = {k: v for k, v in values.attrs.items() if isinstance(v, str | int | float)}
    bare = values.copy(deep=False)
    bare.attrs = plain
    return bare
