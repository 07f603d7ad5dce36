"""Objects of other libraries in memory -> a tree, without a copy: HyperSpy signals, sidpy Datasets.

They are known by what they have, so neither library is imported.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import xarray as xr

from usidx.errors import TranslationError
from usidx.instruments.bridges.role_hints import Hint, Role, find_roles
from usidx.instruments.channel import Axis, Channel, build_tree

__all__ = ["is_readable_object", "read_object"]

#: What sidpy calls the kinds of its dims that say where.
_SPATIAL: Final = {"SPATIAL", "POINT_CLOUD"}


def is_readable_object(found: object) -> bool:
    """Say whether an object is a signal of HyperSpy or a Dataset of sidpy."""
    return hasattr(found, "axes_manager") or (hasattr(found, "_axes") and hasattr(found, "data_type"))


def read_object(found: Any) -> xr.DataTree:
    """Return a signal or Dataset as a tree of one array, which shares its memory, or stays lazy.

    Raises
    ------
    TranslationError
        It is neither, or is ragged.
    """
    if hasattr(found, "axes_manager"):
        return build_tree([_describe_signal(found)])
    if hasattr(found, "_axes") and hasattr(found, "data_type"):
        return build_tree([_describe_dataset(found)])
    raise TranslationError(f"a {type(found).__name__} is no signal of HyperSpy and no Dataset of sidpy")


def _describe_signal(signal: Any) -> Channel:
    if getattr(signal, "ragged", False):
        raise TranslationError("the signal is ragged: its spectra have different lengths")
    # As NumPy counts; HyperSpy's own order has the fastest axis first.
    axes = list(signal.axes_manager._axes)
    names = [_clean(one.name) or f"dim_{number}" for number, one in enumerate(axes)]
    units = [_clean(one.units) for one in axes]
    hints = [Hint(name, unit, bool(one.navigate)) for name, unit, one in zip(names, units, axes, strict=True)]
    title = _clean(signal.metadata.get_item("General.title", "")) or "signal"
    quantity, _, unit = _clean(signal.metadata.get_item("Signal.quantity", "")).partition("(")
    values = [np.asarray(one.axis, dtype="f8") for one in axes]
    made = _make_axes(names, values, units, find_roles(hints))
    told = signal.metadata.as_dictionary()
    attrs = {"signal_type": _clean(told.get("Signal", {}).get("signal_type", ""))}
    return _turn(title, signal.data, made, quantity.strip(), unit.removesuffix(")").strip(), attrs)


def _describe_dataset(found: Any) -> Channel:
    dims = [found._axes[number] for number in range(found.ndim)]
    roles: list[Role] = [_find_role(one) for one in dims]
    made = _make_axes(
        [str(one.name) for one in dims],
        [np.asarray(one.values) for one in dims],
        [_clean(one.units) for one in dims],
        roles,
    )
    # The array within: a Dataset of sidpy is a dask array, and indexing it makes Datasets.
    data = found.view_as_dask() if hasattr(found, "view_as_dask") else _strip(found)
    attrs = {k: v for k, v in dict(getattr(found, "metadata", {}) or {}).items() if isinstance(v, str | int | float)}
    return _turn(str(found.title or "data"), data, made, _clean(found.quantity), _clean(found.units), attrs)


def _strip(found: Any) -> Any:
    import dask.array as da

    return da.Array(found.dask, found.name, found.chunks, found.dtype)


def _find_role(dim: Any) -> Role:
    kind = str(getattr(dim.dimension_type, "name", dim.dimension_type)).upper()
    if kind in _SPATIAL:
        return "position"
    return "unknown" if kind in {"", "UNKNOWN"} else "spectroscopic"


def _make_axes(names: list[str], values: list[Any], units: list[str], roles: Any) -> list[Axis]:
    unique = [name if names.count(name) == 1 else f"{name}_{number}" for number, name in enumerate(names)]
    return [Axis(*one) for one in zip(unique, values, units, roles, strict=True)]


def _turn(name: str, data: Any, axes: list[Axis], quantity: str, units: str, attrs: dict[str, Any]) -> Channel:
    """Put positions first."""
    order = sorted(range(len(axes)), key=lambda number: axes[number].role != "position")
    turned = data if order == list(range(len(axes))) else data.transpose(order)
    return Channel(name.replace("/", "_"), turned, tuple(axes[k] for k in order), quantity, units, attrs=attrs)


def _clean(text: Any) -> str:
    found = "" if text is None else str(text).strip()
    return "" if found in {"<undefined>", "None", "generic"} else found
