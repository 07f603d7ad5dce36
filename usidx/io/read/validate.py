"""A file -> every rule of the format that it breaks."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import h5py
import numpy as np

from usidx.errors import MissingFileError, UsidError, UsidWarning
from usidx.escapes import escape_controls
from usidx.format import names
from usidx.format.grid import find_grid
from usidx.format.layout import Layout, Side
from usidx.io.read.chunks.bounded import read_part
from usidx.io.read.chunks.elsewhere import is_made_of_others, list_links_elsewhere
from usidx.io.read.chunks.plugins import lies_elsewhere
from usidx.io.read.place.open_errors import DAMAGE
from usidx.io.read.place.opened import open_file_at
from usidx.io.read.place.place import FilePath, Options
from usidx.io.read.usid.attributes import read_attribute_if_any
from usidx.io.read.usid.inventory import Inventory, take_inventory
from usidx.io.read.usid.main import read_header, read_layout
from usidx.io.read.usid.paths import Paths
from usidx.io.read.usid.tables import Header, Tables, check_stored

__all__ = ["Problem", "validate"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One rule that one object breaks.

    Attributes
    ----------
    path : str
        HDF5 path of the object.
    rule : str
        Short name of the rule.
    message : str
        What was found, and what was expected.
    is_error : bool
        False where the data still opens rightly.
    """

    path: str
    rule: str
    message: str
    is_error: bool = True

    def __str__(self) -> str:
        return escape_controls(f"{'error' if self.is_error else 'warning'} [{self.rule}] {self.message}")


def validate(path: FilePath, *, storage_options: Options = None) -> list[Problem]:
    """Check a file against the rules of the format.

    Reads the ancillary matrices and no data.

    Parameters
    ----------
    path : path or URL
        A USID file.
    storage_options : mapping, optional
        What fsspec needs to reach a URL, as in :func:`usidx.open_main`.

    Returns
    -------
    list of Problem
        Empty where all is well. Warnings are about what still opens rightly.

    Raises
    ------
    MissingFileError
        There is no such file.

    References
    ----------
    USID, https://pycroscopy.github.io/USID/h5_usid.html

    Examples
    --------
    >>> import usidx
    >>> usidx.validate(usidx.example_file())
    []
    """
    try:
        with open_file_at(path, storage_options) as file:
            return _list_problems(file)
    except MissingFileError:
        raise
    except UsidError as err:
        return [Problem("/", "hdf5", str(err))]


def _list_problems(file: h5py.File) -> list[Problem]:
    tables = Tables()
    found = take_inventory(file, tables)
    problems = []
    known: dict[int, list[tuple[str, str]]] = {}  # of sides, which `tables` keeps
    if not found.mains and not found.broken:
        problems.append(Problem("/", "main", f"{file.filename!r} has no main dataset."))
    for path, said in found.damaged.items():
        text = f"{path!r} is damaged ({said}); nothing is known of what lies in it."
        problems.append(Problem(path, "damage", text))
    problems += _list_what_lies_elsewhere(file, found)
    for path in (*found.mains, *found.broken):
        problems += _list_main_problems(path, tables, known)
    for path in found.mains:
        problems += _list_deleted_tables(path, read_header(tables.mains[path], tables), tables.paths)
    for path in found.groups:
        if "-" in path.rsplit("/", 1)[-1]:
            problems += _list_result_doubts(path, file[path], tables.paths)
    return problems


def _list_what_lies_elsewhere(file: h5py.File, found: Inventory) -> Iterator[Problem]:
    """Point out what leads to other files of whoever opens this one."""
    for path in (*found.mains, *found.extras, *found.tables):
        try:
            dataset = h5py.Dataset(h5py.h5d.open(file.id, path.encode()), readonly=True)
            if is_made_of_others(dataset) and lies_elsewhere(dataset):
                yield Problem(path, "elsewhere", f"{path!r} takes its data from other files.")
        except UsidError as err:
            yield Problem(path, "elsewhere", str(err))
        except DAMAGE:
            continue  # told by others
    for path in found.groups:
        for name, target in list_links_elsewhere(file[path]):
            where = f"{path.rstrip('/')}/{name}"
            yield Problem(where, "elsewhere", f"{where!r} is a link to another file, {target!r}.", is_error=False)


def _list_deleted_tables(path: str, header: Header, paths: Paths) -> Iterator[Problem]:
    """Point out tables that only a reference keeps: their bytes are free to be overwritten."""
    for name, table in header.tables.items():
        if paths.is_lost(table.dataset):
            text = (
                f"{path!r}: {name!r} refers to a dataset that was deleted. It can still be read as long as nothing is "
                "written over it; copy the file's arrays to a new one by usidx.write(array, path)."
            )
            yield Problem(path, "reference", text)


def _list_main_problems(path: str, tables: Tables, known: dict[int, list[tuple[str, str]]]) -> list[Problem]:
    with warnings.catch_warnings(record=True) as repaired:
        warnings.simplefilter("always", UsidWarning)
        try:
            layout = read_layout(tables.mains[path], tables)
        except UsidError as err:
            return [Problem(path, _RULES.get(type(err).__name__, "format"), str(err))]
    return [Problem(path, "ancillary", str(w.message), is_error=False) for w in repaired] + _list_doubts(
        path, layout, known
    )


_SOURCE = re.compile(r"source_\d{3}")
_RULES = {"NotMainError": "main", "LayoutError": "ancillary", "GridError": "index"}


def _list_doubts(path: str, layout: Layout, known: dict[int, list[tuple[str, str]]]) -> list[Problem]:
    """Point out what opens, but other programs or people may trip over."""
    doubts = []
    for side in (layout.position, layout.spectroscopic):
        if id(side) not in known:
            known[id(side)] = list(_side_doubts(side))
        doubts += [Problem(path, rule, f"{path!r}: {text}", is_error=False) for rule, text in known[id(side)]]
    return doubts


def _side_doubts(side: Side) -> Iterator[tuple[str, str]]:
    """Yield a rule, and how a side does not keep it."""
    duplicated = sorted({label for label in side.labels if side.labels.count(label) > 1})
    if duplicated:
        yield "labels", f"the {side.role} label {duplicated[0]!r} occurs twice; labels should differ."
    if not side.size:
        yield "grid", f"there are no {side.role} rows, so there is nothing to open."
        return
    if side.indices.min() != 0:
        yield "index", f"{side.role} indices start at {side.indices.min()}; they should start at 0."
    if side.values.dtype.kind == "f" and not np.isfinite(side.values).all():
        yield "values", f"{side.role} values hold NaN or infinity."
    rows = np.unique(side.indices, axis=0)
    if rows.shape[0] < side.size:
        yield "index", f"{side.size - rows.shape[0]} {side.role} rows repeat a cell; they stay flat."
    elif find_grid(side).is_flat and not side.types:
        yield "grid", f"the {side.size} {side.role} rows fill no grid; they open as one dim {side.role!r}."


def _list_result_doubts(path: str, group: h5py.Group, paths: Paths) -> list[Problem]:
    doubts = list(_list_lost_sources(path, group, paths))
    if not len(group):
        doubts.append(Problem(path, "result", f"{path!r} is an empty results group.", is_error=False))
    return doubts + _list_progress_doubts(path, group.get(names.COMPLETED_POSITIONS))


def _list_lost_sources(path: str, group: h5py.Group, paths: Paths) -> Iterator[Problem]:
    """Point out sources that are gone; without one nobody knows what a result is of."""
    attributes = [name for name in group.attrs if isinstance(name, str)]  # bytes where it is no UTF-8
    listed = [name for name in attributes if _SOURCE.fullmatch(name)]
    for name in listed:
        reference = read_attribute_if_any(group, name)
        if isinstance(reference, h5py.Reference):
            found = _find_source(group, reference, paths)
            if found:
                yield Problem(path, "source", f"{path!r}: the reference {name!r} {found}.")
    is_named = bool(listed) or any(name.startswith(names.SOURCE_DATASET) for name in attributes)
    if not is_named and not isinstance(group.parent.get(path.rsplit("/", 1)[-1].split("-", 1)[0]), h5py.Dataset):
        text = f"{path!r} names no source, and no dataset that its name begins with lies beside it."
        yield Problem(path, "source", text, is_error=False)


def _find_source(group: h5py.Group, reference: h5py.Reference, paths: Paths) -> str:
    """Say what is wrong with a reference to a source; empty where nothing is."""
    if not reference:
        return "points to nothing"
    try:
        target = group.file[reference]
    except DAMAGE as err:
        return f"points to nothing ({err})"
    return "points to a dataset that was deleted" if paths.is_lost(target) else ""


def _list_progress_doubts(path: str, status: h5py.Dataset | None) -> list[Problem]:
    if not isinstance(status, h5py.Dataset) or not status.size:
        return []
    try:
        check_stored(status)
        done = int(np.count_nonzero(read_part(status)))
    except DAMAGE as err:
        return [Problem(path, "result", f"{path!r}: what is done of it cannot be read ({err}).")]
    if done == status.size:
        return []
    text = f"{path!r} is not finished: {done} of {status.size} positions are done."
    return [Problem(path, "result", text, is_error=False)]
