"""A main dataset in an open file -> its Layout, every rule of the format checked."""

from __future__ import annotations

import re
import warnings
from collections.abc import MutableMapping
from typing import Any

import h5py
import numpy as np

from usidx.errors import LayoutError, NotMainError, UsidError, UsidWarning
from usidx.format import names
from usidx.format.layout import Array, Layout, Role, Side, parse_counters, parse_labels, text_of
from usidx.io.read.chunks.plugins import bring_filters, lacking, lies_elsewhere
from usidx.io.read.place.identity import address_of
from usidx.io.read.place.open_errors import DAMAGE
from usidx.io.read.usid.attributes import (
    attribute_if_any,
    has_attribute,
    plain_attributes,
    read_attribute,
    stored_json,
    text_attribute,
)

__all__ = [
    "Ancillaries",
    "ancillaries_of",
    "check_stored",
    "is_main",
    "looks_like_main",
    "quantity_and_units",
    "read_layout",
    "source_main",
    "where",
]

Ancillaries = dict[str, h5py.Dataset]
Cache = MutableMapping[tuple[int, str], Array]

# pyUSID from this version on writes the slowest dimension first, older programs the fastest.
_SLOWEST_FIRST_SINCE = (0, 0, 7)
# Matrices above this size must be stored, compressed no more than any filter compresses counters.
_FREELY_READ = 256 * 1024 * 1024
_MOST_COMPRESSED = 5000
# Results of results whose quantity was cut off each time are followed so far.
_LONGEST_CHAIN = 8


def where(object_: h5py.Group | h5py.Dataset) -> str:
    """Name an object for a message."""
    return f"{object_.name!r} in {object_.file.filename!r}"


def looks_like_main(dataset: h5py.Dataset) -> bool:
    """Say whether a dataset claims to be a main dataset (it may still break the rules)."""
    return any(has_attribute(dataset, name) for name in names.ANCILLARIES)


def is_main(dataset: h5py.Dataset) -> bool:
    """Say whether a dataset keeps the rules that can be checked without reading a matrix."""
    try:
        _check_header(dataset)
    except UsidError:
        return False
    return True


def _check_header(dataset: h5py.Dataset) -> Ancillaries:
    found = ancillaries_of(dataset)
    for name in (names.QUANTITY, names.UNITS):
        _text(dataset, name)
    _check_shapes(dataset, found)
    for role, count_axis in (("Position", 1), ("Spectroscopic", 0)):
        _labels_and_units(found, role, found[f"{role}_Indices"].shape[count_axis])
    return found


def ancillaries_of(dataset: h5py.Dataset) -> Ancillaries:
    """Follow the four references of a main dataset.

    Raises
    ------
    NotMainError
        The dataset is not 2-D or has none of the references.
    LayoutError
        A reference is missing, is no reference, or points nowhere.
    """
    missing = [name for name in names.ANCILLARIES if not has_attribute(dataset, name)]
    if dataset.shape is None or len(dataset.shape) != 2:
        raise NotMainError(
            f"{where(dataset)} is not a main dataset: it has the shape {dataset.shape}, and a main dataset is 2-D "
            f"(positions, spectroscopic steps). List main datasets with usidx.list_mains(path)."
        )
    if missing:
        raise NotMainError(
            f"{where(dataset)} is not a main dataset: attribute {missing[0]!r} is missing. "
            f"List main datasets with usidx.list_mains(path)."
        )
    return {name: _follow(dataset, name) for name in names.ANCILLARIES}


def _follow(dataset: h5py.Dataset, name: str) -> h5py.Dataset:
    reference = _attribute(dataset, name)
    if isinstance(reference, np.ndarray) and reference.size == 1:  # as programs in other languages write a scalar
        reference = reference.reshape(-1)[0]
    if not isinstance(reference, h5py.Reference) or isinstance(reference, h5py.RegionReference):
        raise LayoutError(
            f"{where(dataset)}: attribute {name!r} must be a reference to a dataset, "
            f"found {type(reference).__name__} {reference!r}."
        )
    try:
        target = dataset.file[reference] if reference else None
    except DAMAGE as err:
        raise LayoutError(f"{where(dataset)}: the reference {name!r} points to nothing ({err}).") from err
    if not isinstance(target, h5py.Dataset):
        found = "nothing" if target is None else f"the group {target.name!r}"
        raise LayoutError(f"{where(dataset)}: the reference {name!r} must point to a dataset, it points to {found}.")
    return target


def _attribute(object_: h5py.Dataset, name: str) -> Any:
    try:
        return read_attribute(object_, name)
    except DAMAGE as err:
        raise LayoutError(f"{where(object_)}: attribute {name!r} cannot be read ({err}).") from err


def _text(dataset: h5py.Dataset, name: str) -> str:
    """Return a text, empty where there is none: programs before 2018 told neither quantity nor units."""
    if not has_attribute(dataset, name):
        return ""
    raw = _attribute(dataset, name)
    text = "" if isinstance(raw, h5py.Empty) else text_of(raw)
    if text is None:
        raise NotMainError(
            f"{where(dataset)} is not a main dataset: attribute {name!r} must be a string, found {raw!r}."
        )
    return text


def _check_shapes(dataset: h5py.Dataset, found: Ancillaries) -> None:
    for role, axis in (("Position", 0), ("Spectroscopic", 1)):
        indices, values = found[f"{role}_Indices"], found[f"{role}_Values"]
        if len(indices.shape or ()) != 2 or indices.shape != values.shape:
            raise LayoutError(
                f"{where(dataset)}: {role}_Indices {indices.name!r} has the shape {indices.shape} and {role}_Values "
                f"{values.name!r} {values.shape}; both must be 2-D and equal."
            )
        if indices.shape[axis] != dataset.shape[axis]:
            wanted = "(positions, dimensions)" if axis == 0 else "(dimensions, steps)"
            raise LayoutError(
                f"{where(dataset)} has the shape {dataset.shape}, but {role}_Indices {indices.name!r} has "
                f"{indices.shape}; it must be {wanted} with {dataset.shape[axis]} along axis {axis}."
            )


def _labels_and_units(found: Ancillaries, role: str, count: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    parsed = {}
    for attribute in (names.LABELS, names.UNITS):
        of_indices, of_values = (_strings(found[f"{role}_{kind}"], attribute, count) for kind in ("Indices", "Values"))
        if of_indices is None and of_values is None and attribute == names.LABELS:
            raise LayoutError(
                f"{where(found[f'{role}_Indices'])}: attribute {attribute!r} is missing, there and in {role}_Values."
            )
        if of_indices and of_values and [s.strip() for s in of_indices] != [s.strip() for s in of_values]:
            raise LayoutError(
                f"{where(found[f'{role}_Indices'])}: {attribute} {list(of_indices)!r} differ from those of "
                f"{role}_Values {found[f'{role}_Values'].name!r}, {list(of_values)!r}; they must be equal."
            )
        parsed[attribute] = of_values or of_indices or ("",) * count
    return parsed[names.LABELS], parsed[names.UNITS]


def _warn_of_repairs(found: Ancillaries, role: str) -> None:
    """Say which attribute only one of the two ancillaries of a side has, or neither."""
    for attribute in (names.LABELS, names.UNITS):
        missing = [k for k in ("Indices", "Values") if not has_attribute(found[f"{role}_{k}"], attribute)]
        if len(missing) == 2:
            broken = where(found[f"{role}_Indices"])
            text = f"{broken}: attribute {attribute!r} is missing, there and in {role}_Values; it is not known."
            warnings.warn(text, UsidWarning, stacklevel=4)
            continue
        for kind in missing:
            other = "Values" if kind == "Indices" else "Indices"
            broken = where(found[f"{role}_{kind}"])
            warnings.warn(
                f"{broken}: attribute {attribute!r} is missing; that of {role}_{other} is taken.",
                UsidWarning,
                stacklevel=4,
            )


def _strings(dataset: h5py.Dataset, attribute: str, count: int) -> tuple[str, ...] | None:
    if not has_attribute(dataset, attribute):
        return None
    return parse_labels(_attribute(dataset, attribute), count, where(dataset), attribute)


def read_layout(dataset: h5py.Dataset, cache: Cache | None = None) -> Layout:
    """Read everything of a main dataset but its data.

    Parameters
    ----------
    dataset : h5py.Dataset
        In a file that is open for reading.
    cache : mutable mapping, optional
        Matrices of ancillaries by address, shared by the mains of one file.

    Raises
    ------
    NotMainError, LayoutError, GridError
        A rule of the format is broken; the message names it.
    """
    found = _check_header(dataset)
    cache = {} if cache is None else cache
    version = _version(dataset)
    attributes = plain_attributes(dataset)
    taken = {*names.ANCILLARIES, names.QUANTITY, names.UNITS, names.MAIN_HINTS, *names.BOOK_KEEPING}
    quantity, units = quantity_and_units(dataset)
    hints = stored_json(dataset, names.MAIN_HINTS) | _unknown(dataset)
    return Layout(
        name=str(dataset.name).rsplit("/", 1)[-1],
        quantity=quantity,
        units=units,
        shape=dataset.shape,
        dtype=dataset.dtype,
        position=_side(found, "position", version, cache),
        spectroscopic=_side(found, "spectroscopic", version, cache),
        attributes={k: v for k, v in attributes.items() if k not in taken},
        book_keeping={k: v for k, v in attributes.items() if k in names.BOOK_KEEPING},
        hints=hints,
    )


def _unknown(dataset: h5py.Dataset) -> dict[str, Any]:
    """Say which attributes an array is not to have, since the file lacks them; and warn of it."""
    missing = [name for name in (names.QUANTITY, names.UNITS) if not has_attribute(dataset, name)]
    for name in missing:
        text = f"{where(dataset)}: attribute {name!r} is missing; it is not known. Set it on the array."
        warnings.warn(text, UsidWarning, stacklevel=3)
    shown = {names.QUANTITY: "long_name", names.UNITS: "units"}
    return {"absent": [shown[name] for name in missing]} if missing else {}


def _side(found: Ancillaries, role: Role, version: tuple[int, ...], cache: Cache) -> Side:
    title = role.capitalize()
    indices, values = found[f"{title}_Indices"], found[f"{title}_Values"]
    counters = _matrix(indices, cache)
    numbers = _matrix(values, cache)
    if role == "spectroscopic":
        counters, numbers = counters.T, numbers.T
    if numbers.dtype.kind not in "iufb":
        raise LayoutError(f"{where(values)}: values must be real numbers, found the type {numbers.dtype}.")
    labels, units = _labels_and_units(found, title, counters.shape[1])
    _warn_of_repairs(found, title)
    return Side(
        role=role,
        labels=labels,
        units=units,
        indices=parse_counters(counters, where(indices)),
        values=numbers,
        types=_types(indices, counters.shape[1]),
        slowest_first=version >= _SLOWEST_FIRST_SINCE,
        hints=stored_json(values, names.COORDINATE_HINTS) | _without_units(found, title, labels),
    )


def _without_units(found: Ancillaries, title: str, labels: tuple[str, ...]) -> dict[str, Any]:
    """Leave a unit that the file does not tell out of the coordinates: an empty one would mean that there is none."""
    if any(has_attribute(found[f"{title}_{kind}"], names.UNITS) for kind in ("Indices", "Values")):
        return {}
    return {"coordinates": {label: {"attrs": {}} for label in labels}}


def _matrix(dataset: h5py.Dataset, cache: Cache) -> Array:
    key = (address_of(dataset), dataset.file.filename)
    if key not in cache:
        check_stored(dataset)
        bring_filters(dataset)
        try:
            matrix = np.asarray(dataset[()])
        except (OSError, RuntimeError) as err:
            reason = lacking(dataset) or f" It is damaged. ({err})"
            raise LayoutError(f"{where(dataset)} cannot be read.{reason}") from err
        cache[key] = matrix.astype(matrix.dtype.newbyteorder("="), copy=False)
    return cache[key]


def check_stored(dataset: h5py.Dataset) -> None:
    """Refuse a matrix that claims to be far larger than what is stored can hold, before memory is taken for it.

    Raises
    ------
    LayoutError
        It does, or it is made of files that cannot be followed.
    """
    if lies_elsewhere(dataset):
        raise LayoutError(f"{where(dataset)} is made of other files, which cannot be followed from a URL.")
    stored = dataset.id.get_storage_size()
    if dataset.nbytes > _FREELY_READ and dataset.nbytes > _MOST_COMPRESSED * stored:
        raise LayoutError(
            f"{where(dataset)} has the shape {dataset.shape}, {dataset.nbytes} bytes, but only {stored} bytes of it "
            f"are stored; it should hold a number for every position or step."
        )


def _types(indices: h5py.Dataset, count: int) -> tuple[int, ...]:
    raw = np.asarray(_attribute(indices, names.DIMENSION_TYPE) if has_attribute(indices, names.DIMENSION_TYPE) else ())
    return tuple(int(t) for t in raw.reshape(-1)) if raw.dtype.kind in "iu" and raw.size == count else ()


def _version(dataset: h5py.Dataset) -> tuple[int, ...]:
    text = text_attribute(dataset, names.PYUSID_VERSION)
    found = re.match(r"[0-9]{1,6}(\.[0-9]{1,6})*", text or "")
    return () if found is None else tuple(int(part) for part in found[0].split("."))


def quantity_and_units(dataset: h5py.Dataset, chain: int = _LONGEST_CHAIN) -> tuple[str, str]:
    """Return quantity and units; where an old program kept only their first letters, those of the source."""
    quantity, units = (_text(dataset, name).strip() for name in (names.QUANTITY, names.UNITS))
    if len(quantity) != 1 or chain == 0:
        return quantity, units
    source = source_main(dataset)
    if source is None or not is_main(source):
        return quantity, units
    source_quantity, source_units = quantity_and_units(source, chain - 1)
    if source_quantity.startswith(quantity):
        quantity = source_quantity
        units = source_units if len(units) == 1 and source_units.startswith(units) else units
    return quantity, units


def source_main(object_: h5py.Group | h5py.Dataset) -> h5py.Dataset | None:
    """Return the dataset that a result (or its group) was computed from, None where the file does not say."""
    group = object_.parent if isinstance(object_, h5py.Dataset) else object_
    try:
        reference = attribute_if_any(group, names.SOURCE)
        if isinstance(reference, h5py.Reference) and reference:
            target: Any = object_.file[reference]
        else:
            name = str(group.name).rsplit("/", 1)[-1]
            target = group.parent.get(name.split("-", 1)[0]) if "-" in name else None
    except DAMAGE:
        return None
    return target if isinstance(target, h5py.Dataset) else None
