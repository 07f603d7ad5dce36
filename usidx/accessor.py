"""The doors ``.usid`` on DataArray, Dataset and DataTree; each method is a public function of usidx."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import xarray as xr

import usidx
from usidx.results.history import History

__all__ = ["UsidDataArrayAccessor", "UsidDataTreeAccessor", "UsidDatasetAccessor"]

P = ParamSpec("P")
R = TypeVar("R")


def _door(function: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[_Accessor, P], R]:
    """Make a method of a function: it takes the accessor's object first, and keeps signature and docstring."""

    @wraps(function)
    def method(self: _Accessor, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return function(self._data, *args, **kwargs)

    signature = inspect.signature(function)
    _, *rest = signature.parameters.values()
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    method.__signature__ = signature.replace(parameters=[own, *rest])  # type: ignore[attr-defined]
    return method


def _second_door(verb: Callable[Concatenate[Any, Any, P], R]) -> Callable[Concatenate[_Accessor, Any, P], R]:
    """Make a method of a function that takes the object second, after a function of the user's."""

    @wraps(verb)
    def method(self: _Accessor, function: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return verb(function, self._data, *args, **kwargs)

    signature = inspect.signature(verb)
    first, _, *rest = signature.parameters.values()
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    method.__signature__ = signature.replace(parameters=[own, first, *rest])  # type: ignore[attr-defined]
    return method


class _Accessor:
    """Keep the object, and nothing else."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def __repr__(self) -> str:
        return usidx.summary(self._data)

    def _repr_html_(self) -> str:
        return usidx.summary_html(self._data)


class _Labelled(_Accessor):
    """What arrays and results share."""

    set_roles = _door(usidx.set_roles)
    svd = _door(usidx.svd)
    pca = _door(usidx.pca)
    nmf = _door(usidx.nmf)
    ica = _door(usidx.ica)
    mcr_als = _door(usidx.mcr_als)
    nfindr = _door(usidx.nfindr)
    vca = _door(usidx.vca)
    fcls = _door(usidx.fcls)
    decompose = _door(usidx.decompose)
    cluster = _door(usidx.cluster)
    suggest_k = _door(usidx.suggest_k)
    loop_fit = _door(usidx.loop_fit)
    project_loops = _door(usidx.project_loops)
    write = _door(usidx.write)
    plot_maps = _door(usidx.plot_maps)

    @property
    def history(self) -> History:
        """Steps that made this object; see :func:`usidx.history`."""
        return usidx.history(self._data)

    @property
    def position_dims(self) -> tuple[str, ...]:
        """Dims that say where; see :func:`usidx.position_dims`."""
        return usidx.position_dims(self._data)

    @property
    def spectroscopic_dims(self) -> tuple[str, ...]:
        """Dims that say what was swept; see :func:`usidx.spectroscopic_dims`."""
        return usidx.spectroscopic_dims(self._data)


@xr.register_dataarray_accessor("usid")  # type: ignore[no-untyped-call]
class UsidDataArrayAccessor(_Labelled):
    """Verbs on a labelled array."""

    fit = _door(usidx.fit)
    sho_fit = _door(usidx.sho_fit)
    relaxation_fit = _door(usidx.relaxation_fit)
    didv = _door(usidx.didv)
    normalized_conductance = _door(usidx.normalized_conductance)
    gap = _door(usidx.gap)
    to_grid = _door(usidx.to_grid)
    explore = _door(usidx.explore)
    plot_map = _door(usidx.plot_map)
    plot_spectra = _door(usidx.plot_spectra)
    plot_fit = _door(usidx.plot_fit)
    map_positions = _second_door(usidx.map_positions)


@xr.register_dataset_accessor("usid")  # type: ignore[no-untyped-call]
class UsidDatasetAccessor(_Labelled):
    """Verbs on a result."""

    reconstruct = _door(usidx.reconstruct)
    project = _door(usidx.project)
    rotate = _door(usidx.rotate)
    scree = _door(usidx.scree)
    suggest_n = _door(usidx.suggest_n)
    evaluate = _door(usidx.evaluate)
    residual = _door(usidx.residual)
    compare = _door(usidx.compare)
    phase_offset = _door(usidx.phase_offset)
    correct_phase = _door(usidx.correct_phase)
    response = _door(usidx.response)
    plot_scree = _door(usidx.plot_scree)
    plot_clusters = _door(usidx.plot_clusters)
    plot_dendrogram = _door(usidx.plot_dendrogram)


@xr.register_datatree_accessor("usid")  # type: ignore[no-untyped-call]
class UsidDataTreeAccessor(_Accessor):
    """What a file holds at a glance."""
