"""A main dataset in an open file -> its Layout, every rule of the format checked."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from usidx.errors import LayoutError, NotMainError, UsidError, UsidWarning
from usidx.escapes import escape_controls
from usidx.format import names
from usidx.format.layout import Layout, Role, Side, decode_text
from usidx.io.read.place.identity import identify_object
from usidx.io.read.place.open_errors import DAMAGE
from usidx.io.read.usid.attributes import (
    has_attribute,
    read_attribute_if_any,
    read_attributes,
    read_json,
    read_text_attribute,
)
from usidx.io.read.usid.paths import find_source_beside, say_where
from usidx.io.read.usid.tables import Header, Table, Tables, read_required_attribute

__all__ = [
    "find_ancillaries",
    "find_source_main",
    "is_main",
    "looks_like_main",
    "read_header",
    "read_layout",
    "read_quantity_and_units",
    "say_where",
]

Ancillaries = Mapping[str, Table]

# pyUSID from this version on writes the slowest dimension first, older programs the fastest.
_SLOWEST_FIRST_SINCE = (0, 0, 7)
# Results of results whose quantity was cut off each time are followed so far.
_LONGEST_CHAIN = 8


def looks_like_main(dataset: h5py.Dataset) -> bool:
    """Say whether a dataset claims to be a main dataset (it may still break the rules)."""
    return any(has_attribute(dataset, name) for name in names.ANCILLARIES)


def is_main(dataset: h5py.Dataset) -> bool:
    """Say whether a dataset keeps the rules that can be checked without reading a matrix."""
    try:
        read_header(dataset, Tables())
    except UsidError:
        return False
    return True


def read_header(dataset: h5py.Dataset, tables: Tables) -> Header:
    """Check the rules that can be checked without reading a matrix.

    Raises
    ------
    NotMainError, LayoutError
        One is broken; the message names it.
    """
    identity = identify_object(dataset)
    if identity not in tables.headers:
        tables.headers[identity] = _check_header(dataset, tables)
    return tables.headers[identity]


def _check_header(dataset: h5py.Dataset, tables: Tables) -> Header:
    found = _find_tables(dataset, tables)
    quantity, units = (_read_text(dataset, name).strip() for name in (names.QUANTITY, names.UNITS))
    _check_shapes(dataset, found)
    for role, count_axis in (("Position", 1), ("Spectroscopic", 0)):
        _read_labels_and_units(found, role, found[f"{role}_Indices"].shape[count_axis])
    return Header(found, quantity, units)


def find_ancillaries(dataset: h5py.Dataset) -> dict[str, h5py.Dataset]:
    """Follow the four references of a main dataset; errors as in `read_header`."""
    return {name: table.dataset for name, table in _find_tables(dataset, Tables()).items()}


def _find_tables(dataset: h5py.Dataset, tables: Tables) -> dict[str, Table]:
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
            f"{say_where(dataset)} is not a main dataset: it has the shape {dataset.shape}, and a main dataset is 2-D "
            f"(positions, spectroscopic steps). List main datasets with usidx.list_mains(path)."
        )
    if missing:
        raise NotMainError(
            f"{say_where(dataset)} is not a main dataset: attribute {missing[0]!r} is missing. "
            f"List main datasets with usidx.list_mains(path)."
        )
    return {name: _follow(dataset, name, tables) for name in names.ANCILLARIES}


def _follow(dataset: h5py.Dataset, name: str, tables: Tables) -> Table:
    known = tables.referred_to(dataset, name)
    if known is not None:
        return known
    reference = read_required_attribute(dataset, name)
    if isinstance(reference, np.ndarray) and reference.size == 1:  # as programs in other languages write a scalar
        reference = reference.reshape(-1)[0]
    if not isinstance(reference, h5py.Reference) or isinstance(reference, h5py.RegionReference):
        raise LayoutError(
            f"{say_where(dataset)}: attribute {name!r} must be a reference to a dataset, "
            f"found {type(reference).__name__} {reference!r}."
        )
    try:
        # Not `file[reference]`, which makes objects for the file and its properties each time.
        target = h5py.h5r.dereference(reference, dataset.id) if reference else None
    except DAMAGE as err:
        raise LayoutError(f"{say_where(dataset)}: the reference {name!r} points to nothing ({err}).") from err
    if not isinstance(target, h5py.h5d.DatasetID):
        found = f"the group {h5py.Group(target).name!r}" if isinstance(target, h5py.h5g.GroupID) else "nothing"
        raise LayoutError(
            f"{say_where(dataset)}: the reference {name!r} must point to a dataset, it points to {found}."
        )
    return tables.of(target)


def _read_text(dataset: h5py.Dataset, name: str) -> str:
    """Return a text, empty where there is none: programs before 2018 told neither quantity nor units."""
    if not has_attribute(dataset, name):
        return ""
    raw = read_required_attribute(dataset, name)
    text = "" if isinstance(raw, h5py.Empty) else decode_text(raw)
    if text is None:
        raise NotMainError(
            f"{say_where(dataset)} is not a main dataset: attribute {name!r} must be a string, found {raw!r}."
        )
    return text


def _check_shapes(dataset: h5py.Dataset, found: Ancillaries) -> None:
    for role, axis in (("Position", 0), ("Spectroscopic", 1)):
        indices, values = found[f"{role}_Indices"], found[f"{role}_Values"]
        if len(indices.shape) != 2 or indices.shape != values.shape:
            raise LayoutError(
                f"{say_where(dataset)}: {role}_Indices {indices.path!r} has the shape {indices.shape} and "
                f"{role}_Values {values.path!r} {values.shape}; both must be 2-D and equal."
            )
        if indices.shape[axis] != dataset.shape[axis]:
            wanted = "(positions, dimensions)" if axis == 0 else "(dimensions, steps)"
            raise LayoutError(
                f"{say_where(dataset)} has the shape {dataset.shape}, but {role}_Indices {indices.path!r} has "
                f"{indices.shape}; it must be {wanted} with {dataset.shape[axis]} along axis {axis}."
            )


def _read_labels_and_units(found: Ancillaries, role: str, count: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    indices, values = found[f"{role}_Indices"], found[f"{role}_Values"]
    parsed = {}
    for attribute in (names.LABELS, names.UNITS):
        of_indices, of_values = indices.read_strings(attribute, count), values.read_strings(attribute, count)
        if of_indices is None and of_values is None and attribute == names.LABELS:
            raise LayoutError(f"{indices.where}: attribute {attribute!r} is missing, there and in {role}_Values.")
        if of_indices and of_values and [s.strip() for s in of_indices] != [s.strip() for s in of_values]:
            raise LayoutError(
                f"{indices.where}: {attribute} {list(of_indices)!r} differ from those of {role}_Values "
                f"{values.path!r}, {list(of_values)!r}; they must be equal."
            )
        parsed[attribute] = of_values or of_indices or ("",) * count
    return parsed[names.LABELS], parsed[names.UNITS]


def _warn_of_repairs(found: Ancillaries, role: str) -> None:
    """Say which attribute only one of the two ancillaries of a side has, or neither."""
    for attribute in (names.LABELS, names.UNITS):
        missing = [k for k in ("Indices", "Values") if not found[f"{role}_{k}"].has(attribute)]
        if len(missing) == 2:
            broken = found[f"{role}_Indices"].where
            text = f"{broken}: attribute {attribute!r} is missing, there and in {role}_Values; it is not known."
            warnings.warn(text, UsidWarning, stacklevel=4)
            continue
        for kind in missing:
            other = "Values" if kind == "Indices" else "Indices"
            broken = found[f"{role}_{kind}"].where
            warnings.warn(
                f"{broken}: attribute {attribute!r} is missing; that of {role}_{other} is taken.",
                UsidWarning,
                stacklevel=4,
            )


def read_layout(dataset: h5py.Dataset, tables: Tables | None = None) -> Layout:
    """Read everything of a main dataset but its data.

    Parameters
    ----------
    dataset : h5py.Dataset
        In a file that is open for reading.
    tables : Tables, optional
        What was read of the tables of this file for other mains.

    Raises
    ------
    NotMainError, LayoutError, GridError
        A rule of the format is broken; the message names it.
    """
    tables = Tables() if tables is None else tables
    header = read_header(dataset, tables)
    is_slowest_first = _read_version(dataset) >= _SLOWEST_FIRST_SINCE
    attributes = read_attributes(dataset, without=names.TAKEN - {names.ATTRIBUTE_TYPES}, paths=tables.paths)
    quantity, units = _take_from_source(dataset, header.quantity, header.units)
    hints = read_json(dataset, names.MAIN_HINTS) | _list_unknown_attributes(dataset)
    own = hints.get("own")
    keeping = names.BOOK_KEEPING - set(map(str, own if isinstance(own, list) else ()))
    return Layout(
        name=escape_controls(str(dataset.name).rsplit("/", 1)[-1]),
        quantity=quantity,
        units=units,
        shape=dataset.shape,
        dtype=dataset.dtype,
        position=_make_side(header.tables, "position", tables, slowest_first=is_slowest_first),
        spectroscopic=_make_side(header.tables, "spectroscopic", tables, slowest_first=is_slowest_first),
        attributes={k: v for k, v in attributes.items() if k not in keeping},
        book_keeping={k: v for k, v in attributes.items() if k in keeping},
        hints=hints,
    )


def _list_unknown_attributes(dataset: h5py.Dataset) -> dict[str, Any]:
    """Say which attributes an array is not to have, since the file lacks them; and warn of it."""
    missing = [name for name in (names.QUANTITY, names.UNITS) if not has_attribute(dataset, name)]
    for name in missing:
        text = f"{say_where(dataset)}: attribute {name!r} is missing; it is not known. Set it on the array."
        warnings.warn(text, UsidWarning, stacklevel=3)
    shown = {names.QUANTITY: "long_name", names.UNITS: "units"}
    return {"absent": [shown[name] for name in missing]} if missing else {}


def _make_side(found: Ancillaries, role: Role, tables: Tables, *, slowest_first: bool) -> Side:
    title = role.capitalize()
    key = (role, found[f"{title}_Indices"].identity, found[f"{title}_Values"].identity, slowest_first)
    if key not in tables.sides:
        tables.sides[key] = tables.shared(_read_side(found, role, slowest_first=slowest_first))
    _warn_of_repairs(found, title)
    return tables.sides[key]


def _read_side(found: Ancillaries, role: Role, *, slowest_first: bool) -> Side:
    title = role.capitalize()
    indices, values = found[f"{title}_Indices"], found[f"{title}_Values"]
    counters, numbers = indices.read_counters(role), values.matrix
    if numbers.dtype.kind not in "iufb":
        raise LayoutError(f"{values.where}: values must be real numbers, found the type {numbers.dtype}.")
    count = counters.shape[1]
    labels, units = _read_labels_and_units(found, title, count)
    return Side(
        role=role,
        labels=labels,
        units=units,
        indices=counters,
        values=numbers if role == "position" else numbers.T,
        types=indices.read_types(count),
        slowest_first=slowest_first,
        hints=values.hints | _leave_out_units(found, title, labels),
    )


def _leave_out_units(found: Ancillaries, title: str, labels: tuple[str, ...]) -> dict[str, Any]:
    """Leave a unit that the file does not tell out of the coordinates: an empty one would mean that there is none."""
    if any(found[f"{title}_{kind}"].has(names.UNITS) for kind in ("Indices", "Values")):
        return {}
    return {"coordinates": {label: {"attrs": {}} for label in labels}}


def _read_version(dataset: h5py.Dataset) -> tuple[int, ...]:
    text = read_text_attribute(dataset, names.PYUSID_VERSION)
    found = re.match(r"[0-9]{1,6}(\.[0-9]{1,6})*", text or "")
    return () if found is None else tuple(int(part) for part in found[0].split("."))


def read_quantity_and_units(dataset: h5py.Dataset, chain: int = _LONGEST_CHAIN) -> tuple[str, str]:
    """Return quantity and units; where an old program kept only their first letters, those of the source."""
    quantity, units = (_read_text(dataset, name).strip() for name in (names.QUANTITY, names.UNITS))
    return _take_from_source(dataset, quantity, units, chain)


def _take_from_source(dataset: h5py.Dataset, quantity: str, units: str, chain: int = _LONGEST_CHAIN) -> tuple[str, str]:
    if len(quantity) != 1 or chain == 0:
        return quantity, units
    source = find_source_main(dataset)
    if source is None or not is_main(source):
        return quantity, units
    source_quantity, source_units = read_quantity_and_units(source, chain - 1)
    if source_quantity.startswith(quantity):
        quantity = source_quantity
        units = source_units if len(units) == 1 and source_units.startswith(units) else units
    return quantity, units


def find_source_main(object_: h5py.Group | h5py.Dataset) -> h5py.Dataset | None:
    """Return the dataset that a result (or its group) was computed from, None where the file does not say.

    Where it lies beside the results group it is opened by its path, so that HDF5 knows its name.
    """
    group = object_.parent if isinstance(object_, h5py.Dataset) else object_
    try:
        reference = read_attribute_if_any(group, names.SOURCE)
        target: Any = None
        if isinstance(reference, h5py.Reference) and reference:
            target = object_.file[reference]
            target = find_source_beside(group, identify_object(target)) or target
        else:
            target = find_source_beside(group)
    except DAMAGE:
        return None
    return target if isinstance(target, h5py.Dataset) else None
