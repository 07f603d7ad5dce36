"""A main or a result to what can be looked at: arrays for the map, and the curves that belong to a place of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np
import xarray as xr

from usidx.errors import UsidError
from usidx.io.read.open import open_dataset
from usidx.io.read.results import open_result
from usidx.look.draw.colours import list_category_colours
from usidx.look.draw.downsample import make_ruler
from usidx.look.explorer.reading.scene import Scene, read_spectrum
from usidx.results.provenance import Step, find_source, read_steps

__all__ = [
    "BLUE",
    "GREY",
    "ORANGE",
    "RED",
    "Curve",
    "Subject",
    "locate_atoms",
    "make_subject",
    "open_subject",
    "read_curves",
]

Kind = Literal["main", "fit", "components", "clusters", "atoms", "result"]

BLUE, ORANGE, RED, GREY = "#0072b2", "#e69f00", "#d55e00", "#8c8c8c"
#: Which variable of a result is shown first.
_FIRST: Final = {"components": "scores", "clusters": "labels"}
# Places at which a fit is drawn, about: between them nobody sees it bend.
_SMOOTH = 400
# More lines at once are not told apart.
_MOST_LINES = 12


@dataclass(frozen=True)
class Subject:
    """What is looked at.

    Attributes
    ----------
    kind : {"main", "fit", "components", "clusters", "atoms", "result"}
        What it is, by what it holds.
    data : Dataset
        Lazy, without blocks: what is taken of it is read.
    title : str
        Where it is, or what made it.
    arrays : dict of str to DataArray
        What maps can be made of, the best first.
    source : DataArray or None
        What a fit was fitted to, or what atoms were found in.
    others : mapping of str to callable
        Opens other mains that were measured at the same places.
    """

    kind: Kind
    data: xr.Dataset
    title: str
    arrays: dict[str, xr.DataArray]
    source: xr.DataArray | None = None
    others: Mapping[str, Callable[[], xr.DataArray]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """What maps can be made of."""
        return list(self.arrays)

    @property
    def atoms(self) -> xr.Dataset | None:
        """The atoms, where their image is the map."""
        return self.data if self.kind == "atoms" and self.source is not None else None

    @property
    def first(self) -> str:
        """The variable to begin with."""
        wanted = _FIRST.get(self.kind, "")
        return wanted if wanted in self.names else self.names[0]


@dataclass(frozen=True)
class Curve:
    """Values along one dim, and how they are drawn.

    Attributes
    ----------
    values : DataArray
        Over one dim.
    name : str
        What it is called in the legend.
    color : str
        Of the line.
    style : {"line", "points", "faint", "other", "residual"}
        How it is drawn; a residual has a panel of its own.
    spread : DataArray, optional
        The standard deviation around it.
    every : int
        Which of the values belong to what was measured: each, or every so many where a smooth curve has more.
    """

    values: xr.DataArray
    name: str
    color: str
    style: Literal["line", "points", "faint", "other", "residual"] = "line"
    spread: xr.DataArray | None = None
    every: int = 1


def open_subject(
    file: str | os.PathLike[str],
    path: str,
    *,
    is_result: bool,
    others: Mapping[str, Callable[[], xr.DataArray]] | None = None,
) -> Subject:
    """Open a main or a result to look at, with other mains of the same places; reads no data.

    Raises
    ------
    UsidError
        It cannot be read, or there is nothing in it to look at.
    """
    data = open_result(file, path, chunks=None) if is_result else open_dataset(file, path, chunks=None)
    return replace(make_subject(data, path, file, is_result=is_result), others=others or {})


def make_subject(
    data: xr.Dataset,
    title: str,
    file: str | os.PathLike[str] | None = None,
    *,
    is_result: bool = True,
    source: xr.DataArray | None = None,
) -> Subject:
    """Find out what a Dataset holds; what it was made of is sought in the file where it is not given."""
    kind = _find_kind(data) if is_result else "main"
    if source is None and kind in ("fit", "atoms"):
        source = _open_source(data, file)
    arrays = {str(name): v for name, v in data.data_vars.items() if _is_drawable(v)}
    swept = _find_fitted_dim(data) if kind == "fit" else ""
    # Errors come after what they belong to, and so do arrays that are no parameter; both are least first seen.
    ordered = dict(sorted(arrays.items(), key=lambda item: (item[0].endswith("_stderr"), swept in item[1].dims)))
    if kind == "atoms" and source is not None and source.ndim == 2:
        ordered = {str(source.name): source}
    if not ordered:
        raise UsidError(f"{title!r} holds no numbers over a dim, so there is nothing to look at.")
    return Subject(kind, data, title, ordered, source)


def _is_drawable(array: xr.DataArray) -> bool:
    return array.ndim > 0 and array.dtype.kind in "biufc" and array.size > 0


def _find_kind(data: xr.Dataset) -> Kind:
    if {"scores", "components"} <= set(data.data_vars):
        return "components"
    if {"labels", "mean_response"} <= set(data.data_vars):
        return "clusters"
    if "atom" in data.dims and {"y", "x"} <= set(data.variables):
        return "atoms"
    return "fit" if any(_names_model(step) for step in read_steps(data)) else "result"


def _names_model(step: Step) -> bool:
    told = step.get("parameters")
    return isinstance(told, dict) and isinstance(told.get("model"), dict) and isinstance(step.get("input"), dict)


def _open_source(data: xr.Dataset, file: str | os.PathLike[str] | None) -> xr.DataArray | None:
    """Open what a result was made of, where the very file has it: the path that a stored text names is history."""
    named = find_source(data)
    if named is None or file is None:
        return None
    try:
        held = open_dataset(file, named[1], chunks=None)
    except UsidError:
        return None
    return next(iter(held.data_vars.values())) if len(held.data_vars) == 1 else None


def read_curves(subject: Subject, scene: Scene, index: Mapping[str, int], along: str) -> list[Curve]:
    """Read the curves that belong to a place: few, and each along one dim."""
    readers = {"fit": _read_fit, "components": _read_components, "clusters": _read_means, "atoms": _read_atoms}
    read = readers.get(subject.kind)
    curves = read(subject, scene, index, along) if read is not None else []
    if not curves and along in scene.array.dims:
        others = {d: n for d, n in index.items() if d != along}
        curves = [Curve(read_spectrum(scene, others, along), "", BLUE)]
    return curves


def _read_fit(subject: Subject, scene: Scene, index: Mapping[str, int], along: str) -> list[Curve]:
    """Read the data at a place, the fit over it, and what is left."""
    from usidx.fitting.evaluate import evaluate  # takes long to load, and not everybody looks at fits

    dim = _find_fitted_dim(subject.data)
    place = {d: index[d] for d in map(str, subject.data.dims) if d in index and d != dim}
    one = subject.data.isel(place).compute()
    data = _find_measured(subject, place, dim)
    every = 1 if data is None else max(1, -(-_SMOOTH // max(data.size - 1, 1)))
    try:
        fitted = evaluate(one) if data is None else evaluate(one, _refine(data[dim], every))
    except UsidError:
        # A model that was a Python function is not in the file.
        fitted = None
    if fitted is not None and fitted.ndim != 1:
        fitted = None
    curves = [] if data is None else [Curve(data, "measured", GREY, "points")]
    if fitted is not None:
        curves.append(Curve(fitted, "fitted", RED, every=every))
    if data is not None and fitted is not None and data.shape == fitted[::every].shape:
        left = data.copy(data=data.values - fitted.values[::every]).assign_attrs(long_name="Residual")
        curves.append(Curve(left, "residual", BLUE, "residual"))
    return curves


def _refine(coord: xr.DataArray, every: int) -> xr.DataArray:
    """Put places between those of a coordinate, on the way from each to the next; it may go back and forth."""
    among = np.arange((coord.size - 1) * every + 1) / every
    values = np.interp(among, np.arange(coord.size), coord.values.astype(np.float64))
    return xr.DataArray(values, {coord.dims[0]: (coord.dims, values, coord.attrs)}, coord.dims, attrs=coord.attrs)


def _find_fitted_dim(result: xr.Dataset) -> str:
    """Return the dim along which was fitted; empty where there were several."""
    fitting = next(step for step in reversed(read_steps(result)) if _names_model(step))
    told = fitting["parameters"].get("dim")
    dims = [told] if isinstance(told, str) else told
    return str(dims[0]) if isinstance(dims, list | tuple) and len(dims) == 1 else ""


def _find_measured(subject: Subject, place: Mapping[str, int], dim: str) -> xr.DataArray | None:
    """Read what was fitted at a place: of a loop the projected one, else the spectrum of the source."""
    source = subject.data.get("projected_loops", subject.source)
    if source is None or any(source.sizes.get(d) != subject.data.sizes[d] for d in place):
        return None
    spectrum = source.isel(place)
    return spectrum.compute() if spectrum.dims == (dim,) and dim in spectrum.coords else None


def _read_atoms(subject: Subject, scene: Scene, index: Mapping[str, int], along: str) -> list[Curve]:
    """Count how many atoms have which amplitude."""
    name = "amplitude" if "amplitude" in subject.data else "y"
    values = np.asarray(subject.data[name].values, np.float64).ravel()
    known = values[np.isfinite(values)]
    if not known.size:
        return []
    counts, edges = np.histogram(known, min(40, 1 + known.size // 4))
    attrs = {"long_name": name.capitalize(), "units": subject.data[name].attrs.get("units", "")}
    coord = xr.Variable("value", (edges[1:] + edges[:-1]) / 2, attrs)
    return [Curve(xr.DataArray(counts, {"value": coord}, ("value",), attrs={"long_name": "Number of atoms"}), "", BLUE)]


def _read_components(subject: Subject, scene: Scene, index: Mapping[str, int], along: str) -> list[Curve]:
    """Read the components, that of the map last and strong."""
    components = _take_lines(subject.data["components"], "component")
    chosen = min(index.get("component", 0), components.sizes["component"] - 1)
    first = max(0, min(chosen - _MOST_LINES // 2, components.sizes["component"] - _MOST_LINES))
    shown = range(first, min(first + _MOST_LINES, components.sizes["component"]))
    read = components.isel(component=slice(shown.start, shown.stop)).compute()
    faint = [Curve(read.isel(component=n - first), f"{n}", GREY, "faint") for n in shown if n != chosen]
    return [*faint, Curve(read.isel(component=chosen - first), f"component {chosen}", BLUE)]


def _read_means(subject: Subject, scene: Scene, index: Mapping[str, int], along: str) -> list[Curve]:
    """Read the mean response of each cluster, in the colours of the map; that of the place is strong."""
    means = _take_lines(subject.data["mean_response"], "cluster").compute()
    place = {d: index[d] for d in map(str, subject.data["labels"].dims) if d in index}
    mine = subject.data["labels"].isel(place).values
    groups = [int(n) for n in means["cluster"].values] if "cluster" in means.coords else list(range(len(means)))
    colors = list_category_colours(len(groups))
    here = int(mine) if np.ndim(mine) == 0 else None
    return [
        Curve(means.isel(cluster=n), f"cluster {g}", colors[n], "line" if g == here or here is None else "other")
        for n, g in enumerate(groups)
    ]


def _take_lines(array: xr.DataArray, of: str) -> xr.DataArray:
    """Take lines along the last dim, the middle of all others."""
    others = [str(d) for d in array.dims if d != of]
    cut: dict[Any, int] = {d: array.sizes[d] // 2 for d in others[:-1]}
    return array.isel(cut).transpose(of, ...)


def locate_atoms(atoms: xr.Dataset, scene: Scene) -> tuple[Any, Any]:
    """Return where atoms lie on the map of their image, x first, in the unit of its axes."""
    placed = []
    for name, dim, shown in (("x", scene.places[-1], scene.x), ("y", scene.places[0], scene.y)):
        found = make_ruler(scene.array, dim).values
        # The axes of the map are the coordinates times a power of ten.
        factor = (shown[-1] - shown[0]) / (found[-1] - found[0]) if found.size > 1 else 1.0
        placed.append(shown[0] + (np.asarray(atoms[name].values, np.float64) - found[0]) * factor)
    return placed[0], placed[1]
