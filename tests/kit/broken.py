"""Sound files with one fault each: what a reader must refuse, or survive, with a message that names the fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from usidx.testing.files import Expected
from usidx.testing.measurements import snake_file

__all__ = ["FAULTS", "broken_file"]

Damage = Callable[[h5py.Dataset], None]

REFERENCES = ("Position_Indices", "Position_Values", "Spectroscopic_Indices", "Spectroscopic_Values")


def broken_file(path: str | Path, fault: str) -> Expected:
    """Build a file whose main dataset breaks one rule of the format.

    Parameters
    ----------
    path : str or Path
        The file to make.
    fault : str
        A key of `FAULTS`.

    Returns
    -------
    Expected
        What the file would hold if it were sound: `snake_file`.

    Examples
    --------
    >>> import tempfile
    >>> broken_file(tempfile.mkdtemp() + "/broken.h5", "units missing").main
    '/Measurement_000/Channel_000/Raw_Data'
    """
    built = snake_file(path)
    with h5py.File(path, "r+") as file:
        FAULTS[fault](file[built.main])
    return built


def _without_attribute(name: str) -> Damage:
    def damage(main: h5py.Dataset) -> None:
        del main.attrs[name]

    return damage


def _with_attribute(name: str, value: Any) -> Damage:
    def damage(main: h5py.Dataset) -> None:
        main.attrs[name] = value

    return damage


def _on_ancillary(reference: str, attribute: str, value: Any) -> Damage:
    """Set an attribute of an ancillary; None removes it."""

    def damage(main: h5py.Dataset) -> None:
        ancillary = main.file[main.attrs[reference]]
        del ancillary.attrs[attribute]
        if value is not None:
            ancillary.attrs[attribute] = value

    return damage


def _with_table(reference: str, change: Callable[[Any], Any]) -> Damage:
    """Replace an ancillary by a changed copy."""

    def damage(main: h5py.Dataset) -> None:
        old = main.file[main.attrs[reference]]
        table, attributes, path = old[()], dict(old.attrs), old.name
        del main.file[path]
        new = main.file.create_dataset(path, data=change(table))
        new.attrs.update(attributes)
        main.attrs[reference] = new.ref

    return damage


def _with_main(change: Callable[[Any], Any]) -> Damage:
    """Replace the main by a changed copy."""

    def damage(main: h5py.Dataset) -> None:
        file, path, data, attributes = main.file, main.name, main[()], dict(main.attrs)
        del file[path]
        file.create_dataset(path, data=change(data)).attrs.update(attributes)

    return damage


def _refer_to_group(main: h5py.Dataset) -> None:
    main.attrs["Position_Indices"] = main.parent.ref


def _refer_to_nothing(main: h5py.Dataset) -> None:
    """Let a reference hold an address behind the end of the file."""
    del main.attrs["Position_Indices"]
    space, kind = h5py.h5s.create(h5py.h5s.SCALAR), h5py.h5t.STD_REF_OBJ
    attribute = h5py.h5a.create(main.id, b"Position_Indices", kind, space)
    attribute.write(np.array(2**40, "u8"), mtype=kind)


def _refer_to_deleted(main: h5py.Dataset) -> None:
    """Unlink a table; HDF5 may still find it there until its place is used for something else."""
    del main.file[main.file[main.attrs["Position_Indices"]].name]


def _refer_to_itself(main: h5py.Dataset) -> None:
    main.attrs["Position_Values"] = main.ref


def _first_entry(value: Any, dtype: str | None = None) -> Callable[[Any], Any]:
    def change(table: Any) -> Any:
        table = table.astype(dtype or table.dtype)
        table[0, 0] = value
        return table

    return change


def _repeat_first_row(table: Any) -> Any:
    table[1] = table[0]
    return table


#: Each fault by name, and what does it to a sound main dataset.
FAULTS: dict[str, Damage] = {
    "quantity missing": _without_attribute("quantity"),
    "units missing": _without_attribute("units"),
    "quantity not a string": _with_attribute("quantity", 3.5),
    "units not a string": _with_attribute("units", np.array([1, 2])),
    **{f"{name} missing": _without_attribute(name) for name in REFERENCES},
    "reference is a string": _with_attribute("Position_Indices", "/Measurement_000/Position_Indices"),
    "reference is null": _with_attribute("Position_Indices", h5py.Reference()),
    "reference to nothing": _refer_to_nothing,
    "reference to a deleted table": _refer_to_deleted,
    "reference to a group": _refer_to_group,
    "reference to itself": _refer_to_itself,
    "main has 1 dimension": _with_main(lambda data: data[:, 0]),
    "main has 3 dimensions": _with_main(lambda data: data[:, :, None]),
    "main has no rows": _with_main(lambda data: data[:0]),
    "main lacks a row": _with_main(lambda data: data[1:]),
    "main lacks a column": _with_main(lambda data: data[:, 1:]),
    "labels missing": _on_ancillary("Position_Indices", "labels", None),
    "ancillary units missing": _on_ancillary("Spectroscopic_Values", "units", None),
    "too few labels": _on_ancillary("Position_Indices", "labels", np.array([b"X"])),
    "too many ancillary units": _on_ancillary("Position_Values", "units", np.array([b"m", b"m", b"m"])),
    "labels are numbers": _on_ancillary("Position_Indices", "labels", np.array([1, 2])),
    "labels disagree": _on_ancillary("Position_Values", "labels", np.array([b"X", b"Z"])),
    "indices transposed": _with_table("Position_Indices", lambda table: table.T),
    "values lack a column": _with_table("Position_Values", lambda table: table[:, :1]),
    "indices and values disagree": _with_table("Spectroscopic_Values", lambda table: table[:, :-1]),
    "indices have 1 dimension": _with_table("Position_Indices", lambda table: table[:, 0]),
    "indices are text": _with_table("Position_Indices", lambda table: table.astype("S4")),
    "indices not whole": _with_table("Position_Indices", _first_entry(0.5, "f8")),
    "index is not a number": _with_table("Position_Indices", _first_entry(np.nan, "f8")),
    "index negative": _with_table("Position_Indices", _first_entry(-1, "i4")),
    "index huge": _with_table("Position_Indices", _first_entry(2**32 - 1)),
    "duplicate cells": _with_table("Position_Indices", _repeat_first_row),
}
