"""The readers that there are: usidx's own, and those that other packages offer; each is loaded when it is needed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from os import PathLike
from typing import Final, cast

import xarray as xr

from usidx.errors import SelectionError, UsidWarning
from usidx.instruments.reader import Reader

__all__ = ["BUILT_IN", "GROUP", "find_object_reader", "find_reader", "load_readers"]

#: Entry points of this group are readers.
GROUP: Final = "usidx.readers"

_IN_MEMORY: Final = "usidx.instruments.bridges.in_memory"

#: Name of each reader -> where it is. Modules are imported without the packages that they read with.
BUILT_IN: Final[dict[str, str]] = {
    # own parsers
    "createc_dat": "usidx.instruments.formats.createc:DAT",
    "createc_vert": "usidx.instruments.formats.createc:VERT",
    "gsf": "usidx.instruments.formats.gsf:READER",
    "mib": "usidx.instruments.formats.mib:READER",
    "nanonis_3ds": "usidx.instruments.formats.nanonis_3ds:READER",
    "nanonis_dat": "usidx.instruments.formats.nanonis_dat:READER",
    "nanonis_sxm": "usidx.instruments.formats.nanonis_sxm:READER",
    "npy": "usidx.instruments.formats.npy:NPY",
    "npz": "usidx.instruments.formats.npy:NPZ",
    "park": "usidx.instruments.formats.park:READER",
    "raw": "usidx.instruments.formats.raw:READER",
    "text_table": "usidx.instruments.formats.text_table:READER",
    "tiff": "usidx.instruments.formats.tiff:READER",
    # for formats of others
    "anasys": "usidx.instruments.bridges.probe.anasys:READER",
    "bcf": "usidx.instruments.bridges.electron.rosetta:BCF",
    "blo": "usidx.instruments.bridges.electron.blo:READER",
    "bruker": "usidx.instruments.bridges.probe.bruker:READER",
    "digital_surf": "usidx.instruments.bridges.electron.rosetta:DIGITAL_SURF",
    "dm": "usidx.instruments.bridges.electron.rosetta:DM",
    "edax": "usidx.instruments.bridges.electron.rosetta:EDAX",
    "emd": "usidx.instruments.bridges.hdf5.emd:READER",
    "empad": "usidx.instruments.bridges.electron.rosetta:EMPAD",
    "gwy": "usidx.instruments.bridges.gwyddion.gwy:READER",
    "hspy": "usidx.instruments.bridges.hdf5.hspy:READER",
    "ibw": "usidx.instruments.bridges.igor.ibw:READER",
    "jobin_yvon": "usidx.instruments.bridges.electron.rosetta:JOBIN_YVON",
    "jpk": "usidx.instruments.bridges.jpk.curves:READER",
    "matrix": "usidx.instruments.bridges.probe.matrix:READER",
    "mrc": "usidx.instruments.bridges.electron.rosetta:MRC",
    "msa": "usidx.instruments.bridges.electron.rosetta:MSA",
    "nexus": "usidx.instruments.bridges.hdf5.nexus:READER",
    "nid": "usidx.instruments.bridges.probe.nid:READER",
    "nsid": "usidx.instruments.bridges.hdf5.nsid:READER",
    "picture": "usidx.instruments.bridges.pictures:READER",
    "rhk": "usidx.instruments.bridges.probe.rhk:READER",
    "spc": "usidx.instruments.bridges.spc:READER",
    "tia": "usidx.instruments.bridges.electron.rosetta:TIA",
    "trivista": "usidx.instruments.bridges.electron.rosetta:TRIVISTA",
    "tvips": "usidx.instruments.bridges.electron.rosetta:TVIPS",
    "velox": "usidx.instruments.bridges.electron.rosetta:VELOX",
    "wdf": "usidx.instruments.bridges.electron.rosetta:WDF",
}


def load_readers() -> Mapping[str, Reader]:
    """Return all readers by their names; a built-in one is not replaced by one of the same name."""
    return _load_readers()


@cache
def _load_readers() -> dict[str, Reader]:
    readers = {name: _load(target) for name, target in BUILT_IN.items()}
    for name, reader in _load_offered():
        readers.setdefault(name, reader)
    return readers


def _load(target: str) -> Reader:
    module, attribute = target.split(":")
    return cast(Reader, getattr(import_module(module), attribute))


def _load_offered() -> Iterator[tuple[str, Reader]]:
    for point in entry_points(group=GROUP):
        try:
            found = point.load()
        except (ImportError, AttributeError) as err:
            # Whoever reads other files should not suffer.
            warnings.warn(f"The reader {point.name!r} cannot be loaded: {err}.", UsidWarning, stacklevel=2)
            continue
        yield point.name, found() if isinstance(found, type) else found


def find_reader(name: str) -> Reader:
    """Return the reader of a name.

    Raises
    ------
    SelectionError
        There is none; the message lists those that there are.
    """
    readers = load_readers()
    if name not in readers:
        raise SelectionError(f"No reader {name!r}; there are {', '.join(sorted(readers))}.")
    return readers[name]


def find_object_reader(found: object) -> Callable[[object], xr.DataTree] | None:
    """Return what reads an object of another library in memory, None where nothing does, as for a path."""
    if isinstance(found, str | PathLike):
        return None
    module = import_module(_IN_MEMORY)
    return cast(Callable[[object], xr.DataTree], module.read_object) if module.is_readable_object(found) else None
