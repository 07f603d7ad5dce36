"""The doors ``.usid`` on DataArray, Dataset and DataTree; each leads to a public function of usidx.

What a door leads to is loaded when it is first asked for. A new verb takes one line here, in the class of the objects
that it is for; one in the ``__all__`` of a family's module takes none. A new family is a property like `plot`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cached_property, wraps
from importlib import import_module
from types import MethodType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, overload

import xarray as xr

from usidx import public

if TYPE_CHECKING:
    from usidx.results.history import History

__all__ = ["Family", "FamilyOfMains", "UsidDataArrayAccessor", "UsidDataTreeAccessor", "UsidDatasetAccessor"]

P = ParamSpec("P")
R = TypeVar("R")
First = TypeVar("First")
Data = TypeVar("Data")
Module = TypeVar("Module", bound=str)


def _method_of(verb: Callable[..., Any], name: str, place: int = 0) -> Callable[..., Any]:
    """Make a method of a function that takes the object at this place among its arguments."""

    @wraps(verb)
    def method(self: _Holder[Any], /, *args: Any, **kwargs: Any) -> Any:
        return verb(*args[:place], self._data, *args[place:], **kwargs)

    signature = inspect.signature(verb)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    others = [parameter for n, parameter in enumerate(signature.parameters.values()) if n != place]
    # Else the signature would be read from the function, with the object among its parameters.
    method.__signature__ = signature.replace(parameters=[own, *others])  # type: ignore[attr-defined]
    method.__name__ = name
    return method


class _Holder(Generic[Data]):
    """Keep the object, and nothing else."""

    def __init__(self, data: Data) -> None:
        self._data: Any = data


class Family(_Holder[Data], Generic[Data, Module]):
    """The functions of a module as methods of one object.

    A name loses the family's own: ``plot_map`` of the family ``plot`` becomes ``map``.

    Parameters
    ----------
    data : DataArray, Dataset or DataTree
        What each function gets as its first argument.
    module : str
        Where the functions are; those in its ``__all__`` count.

    Examples
    --------
    >>> import usidx
    >>> scan, truth = usidx.simulate.band_excitation((16, 16), 8)
    >>> scan.usid.plot
    usidx.look.plot: atoms, clusters, dendrogram, fit, image_stack, loops, map, maps, scree, spectra
    """

    def __init__(self, data: Data, module: Module) -> None:
        super().__init__(data)
        self._module = module

    def _verbs(self) -> dict[str, Callable[..., Any]]:
        module = import_module(self._module)
        own = self._module.rpartition(".")[2] + "_"
        listed = ((name, getattr(module, name)) for name in module.__all__)
        return {name.removeprefix(own): verb for name, verb in listed if callable(verb) and not inspect.isclass(verb)}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return MethodType(_method_of(self._find(name), name), self)

    def _find(self, name: str) -> Callable[..., Any]:
        # Whoever copies or pickles asks for private names before there is a module.
        if name.startswith("_"):
            raise AttributeError(name)
        verbs = self._verbs()
        if name not in verbs:
            raise AttributeError(f"{self._module} has no verb {name!r}; it has {', '.join(sorted(verbs))}.")
        return verbs[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._verbs()]

    def __repr__(self) -> str:
        return f"{self._module}: {', '.join(sorted(self._verbs()))}"


class FamilyOfMains(_Holder[xr.DataTree]):
    """The functions of a module as methods of a tree, each called on all mains by :func:`usidx.map_mains`.

    They take `named` and `errors` beside their own arguments.

    Parameters
    ----------
    data : DataTree
        Whose mains are worked on.
    module : str
        Where the functions are; those in its ``__all__`` count.

    Examples
    --------
    >>> import usidx
    >>> tree = usidx.open_tree(usidx.example_file(kind="force_map"))
    >>> found = tree.usid.modes.force_curves(model="cone", half_angle=20.0)
    >>> [leaf.path for leaf in found.leaves]
    ['/Measurement_000/Channel_000/Raw_Data']
    """

    def __init__(self, data: xr.DataTree, module: str) -> None:
        super().__init__(data)
        self._family: Family[xr.DataTree, Any] = Family(data, module)

    def __getattr__(self, name: str) -> Callable[..., xr.DataTree]:
        # Before there is a family, as when this is copied, private names alone are asked for.
        if name.startswith("_"):
            raise AttributeError(name)
        return MethodType(_method_for_mains(self._family._find(name)), self)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._family._verbs()]

    def __repr__(self) -> str:
        return f"{self._family!r}, each on all mains"


def _method_for_mains(verb: Callable[..., Any]) -> Callable[..., xr.DataTree]:
    """Make a method of a tree that calls a function on each main."""

    @wraps(verb)
    def method(self: FamilyOfMains, /, *args: Any, **kwargs: Any) -> xr.DataTree:
        return public.map_mains(verb, self._data, *args, **kwargs)

    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    others = list(inspect.signature(verb).parameters.values())[1:]
    of_all = [inspect.signature(public.map_mains).parameters[name] for name in ("named", "errors")]
    rest = [p for p in others if p.kind is inspect.Parameter.VAR_KEYWORD]
    parameters = [own, *(p for p in others if p not in rest), *of_all, *rest]
    method.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return method


class _Door(Generic[First, P, R]):
    """A method of an accessor, made of the function that `load` gives when it is first asked for.

    `kind` tells checkers which object a function gets that returns the type that it was given.
    """

    def __init__(
        self,
        load: Callable[[], Callable[Concatenate[First, P], R]],
        kind: type[First] | None = None,
        *,
        place: int = 0,
    ) -> None:
        self._load: Callable[[], Callable[..., Any]] = load
        self._place = place

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, accessor: None, owner: type) -> Callable[Concatenate[Any, P], R]: ...
    @overload
    def __get__(self, accessor: _Holder[Any], owner: type) -> Callable[P, R]: ...
    def __get__(self, accessor: _Holder[Any] | None, owner: type) -> Callable[..., Any]:
        return self._method if accessor is None else MethodType(self._method, accessor)

    @cached_property
    def _method(self) -> Callable[..., Any]:
        return _method_of(self._load(), self._name, self._place)


def _second_door(
    load: Callable[[], Callable[Concatenate[First, Any, P], R]],
) -> _Door[Any, Concatenate[First, P], R]:
    """Make a door to a function that takes the object second, after a function of the user's."""
    return _Door(load, place=1)


class _Accessor(_Holder[Data]):
    """The object at a glance, and out of usidx."""

    export = _Door(lambda: public.export)

    def __repr__(self) -> str:
        return public.summary(self._data)

    def _repr_html_(self) -> str:
        return public.summary_html(self._data)


class _Labelled(_Accessor[Data]):
    """What arrays and results share."""

    svd = _Door(lambda: public.svd)
    pca = _Door(lambda: public.pca)
    nmf = _Door(lambda: public.nmf)
    ica = _Door(lambda: public.ica)
    mcr_als = _Door(lambda: public.mcr_als)
    nfindr = _Door(lambda: public.nfindr)
    vca = _Door(lambda: public.vca)
    fcls = _Door(lambda: public.fcls)
    decompose = _Door(lambda: public.decompose)
    cluster = _Door(lambda: public.cluster)
    suggest_k = _Door(lambda: public.suggest_k)
    loop_fit = _Door(lambda: public.loop_fit)
    project_loops = _Door(lambda: public.project_loops)
    recipe = _Door(lambda: public.recipe)
    write = _Door(lambda: public.write)

    @property
    def plot(self) -> Family[Data, Literal["usidx.look.plot"]]:
        """Pictures: ``usidx.plot_map(data)`` is ``data.usid.plot.map()``; see :mod:`usidx.look.plot`."""
        return Family(self._data, "usidx.look.plot")

    @property
    def diffraction(self) -> Family[Data, Literal["usidx.diffraction"]]:
        """Work on diffraction patterns, and on centers of mass; see :mod:`usidx.diffraction`."""
        return Family(self._data, "usidx.diffraction")

    @property
    def image(self) -> Family[Data, Literal["usidx.image"]]:
        """Work over two dims, and on the atoms found there; see :mod:`usidx.image`."""
        return Family(self._data, "usidx.image")

    @property
    def modes(self) -> Family[Data, Literal["usidx.modes"]]:
        """What single measurement modes need; see :mod:`usidx.modes`."""
        return Family(self._data, "usidx.modes")

    @property
    def history(self) -> History:
        """Steps that made this object; see :func:`usidx.history`."""
        return public.history(self._data)

    @property
    def position_dims(self) -> tuple[str, ...]:
        """Dims that say where; see :func:`usidx.position_dims`."""
        return public.position_dims(self._data)

    @property
    def spectroscopic_dims(self) -> tuple[str, ...]:
        """Dims that say what was swept; see :func:`usidx.spectroscopic_dims`."""
        return public.spectroscopic_dims(self._data)


@xr.register_dataarray_accessor("usid")  # type: ignore[no-untyped-call]
class UsidDataArrayAccessor(_Labelled[xr.DataArray]):
    """Verbs on a labelled array."""

    set_roles = _Door(lambda: public.set_roles, xr.DataArray)
    fit = _Door(lambda: public.fit)
    fit_references = _Door(lambda: public.fit_references)
    sho_fit = _Door(lambda: public.sho_fit)
    relaxation_fit = _Door(lambda: public.relaxation_fit)
    didv = _Door(lambda: public.didv)
    normalized_conductance = _Door(lambda: public.normalized_conductance)
    gap = _Door(lambda: public.gap)
    to_grid = _Door(lambda: public.to_grid)
    to_hyperspy = _Door(lambda: public.to_hyperspy)
    to_pyusid = _Door(lambda: public.to_pyusid)
    to_sidpy = _Door(lambda: public.to_sidpy)
    explore = _Door(lambda: public.explore)
    map_positions = _second_door(lambda: public.map_positions)

    @property
    def signal(self) -> Family[xr.DataArray, Literal["usidx.signal"]]:
        """Filters and transforms along one dim; see :mod:`usidx.signal`."""
        return Family(self._data, "usidx.signal")


@xr.register_dataset_accessor("usid")  # type: ignore[no-untyped-call]
class UsidDatasetAccessor(_Labelled[xr.Dataset]):
    """Verbs on a result."""

    set_roles = _Door(lambda: public.set_roles, xr.Dataset)
    reconstruct = _Door(lambda: public.reconstruct)
    project = _Door(lambda: public.project)
    rotate = _Door(lambda: public.rotate)
    scree = _Door(lambda: public.scree)
    suggest_n = _Door(lambda: public.suggest_n)
    evaluate = _Door(lambda: public.evaluate)
    evaluate_terms = _Door(lambda: public.evaluate_terms)
    measure_peaks = _Door(lambda: public.measure_peaks)
    residual = _Door(lambda: public.residual)
    compare = _Door(lambda: public.compare)
    explore = _Door(lambda: public.explore)
    phase_offset = _Door(lambda: public.phase_offset)
    correct_phase = _Door(lambda: public.correct_phase)
    response = _Door(lambda: public.response)


@xr.register_datatree_accessor("usid")  # type: ignore[no-untyped-call]
class UsidDataTreeAccessor(_Accessor[xr.DataTree]):
    """What a file holds at a glance."""

    explore = _Door(lambda: public.explore)
    map_mains = _second_door(lambda: public.map_mains)
    write = _Door(lambda: public.write)

    @property
    def diffraction(self) -> FamilyOfMains:
        """Work on the diffraction patterns of all mains; see :mod:`usidx.diffraction`."""
        return FamilyOfMains(self._data, "usidx.diffraction")

    @property
    def image(self) -> FamilyOfMains:
        """Work over two dims of all mains; see :mod:`usidx.image`."""
        return FamilyOfMains(self._data, "usidx.image")

    @property
    def modes(self) -> FamilyOfMains:
        """What single measurement modes need, for all mains; see :mod:`usidx.modes`."""
        return FamilyOfMains(self._data, "usidx.modes")

    @property
    def signal(self) -> FamilyOfMains:
        """Filters and transforms along one dim of all mains; see :mod:`usidx.signal`."""
        return FamilyOfMains(self._data, "usidx.signal")
