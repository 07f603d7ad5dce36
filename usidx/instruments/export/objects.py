"""Labelled arrays -> the objects of other libraries, lazy where they can be."""

from __future__ import annotations

import importlib
import tempfile
import warnings
import weakref
from os import PathLike
from pathlib import Path
from shutil import rmtree
from types import ModuleType
from typing import Any, Final

import h5py
import xarray as xr

from usidx.errors import MissingExtraError, UsidError
from usidx.instruments.export.hspy import Dim, describe_dim, describe_signal, list_dims
from usidx.io.read.open import open_main
from usidx.io.read.place.place import find_local_path
from usidx.io.read.usid.datasets import FIELD
from usidx.io.write.results import write
from usidx.label.roles import refuse_unlabelled
from usidx.results.identity import find_sources

__all__ = ["to_hyperspy", "to_pyusid", "to_sidpy"]


#: What sidpy calls the unit of what has none; it refuses an empty text.
_UNKNOWN: Final = "generic"


def to_hyperspy(data: xr.DataArray) -> Any:
    """Make a HyperSpy signal of an array.

    Lazy where the array is: then the signal is a lazy signal over the same dask array.

    Parameters
    ----------
    data : DataArray, dims (*position, *spectroscopic)
        Positions become navigation axes, spectroscopic dims signal axes.

    Returns
    -------
    hyperspy.api.signals.BaseSignal
        Or the class for one or two signal axes, complex or not. Axes carry name, units and values; a coordinate that
        neither rises nor falls (a voltage swept up and down) stands in ``original_metadata.usidx.coordinates``, and its
        axis counts.

    Raises
    ------
    MissingExtraError
        HyperSpy is not installed (extra ``hyperspy``).
    UsidError
        It holds texts.

    Examples
    --------
    >>> import usidx
    >>> raw = usidx.open_main(usidx.example_file())
    >>> raw.usid.to_hyperspy()  # doctest: +SKIP
    <LazyComplexSignal1D, title: Raw_Data, dimensions: (10, 12|32)>
    """
    refuse_unlabelled(data)
    api = _require("hyperspy.api", "hyperspy", "A HyperSpy signal")
    if data.dtype.kind not in "biufc":
        raise UsidError(f"{data.name!r} holds {data.dtype}, and signals of HyperSpy hold numbers.")
    dims = list_dims(data)
    ordered = data.transpose(*(d.name for d in dims))
    title = "data" if data.name is None else str(data.name)
    metadata, original = describe_signal(data, dims, title, {})
    axes = [describe_dim(d, data.sizes[d.name]) for d in dims]
    signal = api.signals.BaseSignal(ordered.data, axes=axes, metadata=metadata, original_metadata=original)
    signal = signal.as_lazy() if data.chunks is not None else signal
    signal._assign_subclass()  # the class for this type and number of signal axes
    return signal


def to_sidpy(data: xr.DataArray) -> Any:
    """Make a sidpy Dataset of an array.

    Lazy: sidpy's Dataset is a dask array.

    Parameters
    ----------
    data : DataArray, dims (*position, *spectroscopic)
        Positions become spatial dimensions, spectroscopic dims spectral ones.

    Returns
    -------
    sidpy.Dataset
        With quantity, units, dimensions, and all attributes as metadata.

    Raises
    ------
    MissingExtraError
        sidpy is not installed (extra ``pyusid`` brings it).

    Examples
    --------
    >>> import usidx
    >>> raw = usidx.open_main(usidx.example_file())
    >>> raw.usid.to_sidpy().shape  # doctest: +SKIP
    (12, 10, 32)
    """
    refuse_unlabelled(data)
    sidpy = _require("sidpy", "pyusid", "A sidpy Dataset")
    dims = list_dims(data)
    ordered = data.transpose(*(d.name for d in dims))
    title = "data" if data.name is None else str(data.name)
    made = sidpy.Dataset.from_array(ordered.data, title=title)
    made.quantity = str(data.attrs.get("long_name", title)) or title
    made.units = str(data.attrs.get("units", "")) or _UNKNOWN
    made.data_type = _name_kind(dims)
    for number, dim in enumerate(dims):
        made.set_dimension(number, _make_dimension(sidpy, dim))
    metadata, original = describe_signal(data, dims, title, {})
    made.metadata, made.original_metadata = metadata, original["usidx"]
    return made


def _name_kind(dims: list[Dim]) -> str:
    """Name what sidpy calls it."""
    places, swept = sum(not d.is_swept for d in dims), sum(d.is_swept for d in dims)
    return _KINDS.get((places, swept), "unknown")


_KINDS: Final = {
    (0, 1): "spectrum",
    (1, 1): "line_plot_family",
    (2, 0): "image",
    (2, 1): "spectral_image",
    (2, 2): "image_4d",
}


def _make_dimension(sidpy: Any, dim: Dim) -> Any:
    kind = sidpy.DimensionType.SPECTRAL if dim.is_swept else sidpy.DimensionType.SPATIAL
    quantity, units = dim.quantity or dim.name, dim.units or _UNKNOWN
    return sidpy.Dimension(dim.values, name=dim.name, quantity=quantity, units=units, dimension_type=kind)


def to_pyusid(data: xr.DataArray, path: str | PathLike[str] | None = None) -> Any:
    """Open an array with pyUSID.

    pyUSID knows files only. An array that was opened and left alone is opened where it lies; any other one is written
    to a file first, block by block.

    Parameters
    ----------
    data : DataArray, dims (*position, *spectroscopic)
        With roles.
    path : path, optional
        The file to write, which must not hold an array of that name. By default a file among the temporary ones, which
        is removed when the program ends.

    Returns
    -------
    pyUSID.USIDataset
        Open for reading; ``made.file.close()`` closes it.

    Raises
    ------
    MissingExtraError
        pyUSID is not installed (extra ``pyusid``).
    RoleError
        A dim has no role.

    Examples
    --------
    >>> import usidx
    >>> raw = usidx.open_main(usidx.example_file())
    >>> raw.usid.to_pyusid().n_dim_labels  # doctest: +SKIP
    ['Y', 'X', 'Frequency']
    """
    refuse_unlabelled(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own dependencies, at import
        usid = _require("pyUSID", "pyusid", "A dataset of pyUSID")
    lying = _find_untouched(data) if path is None else None
    if lying is not None:
        return _open_with(usid, *lying)
    if path is not None:
        file = find_local_path(path)
        return _open_with(usid, file, write(data, file))
    folder = Path(tempfile.mkdtemp(prefix="usidx-"))
    file = folder / "array.h5"
    made = _open_with(usid, file, write(data, file))
    weakref.finalize(made, rmtree, folder, ignore_errors=True)
    return made


def _open_with(usid: Any, file: Path, name: str) -> Any:
    return usid.USIDataset(h5py.File(file, "r")[name])


def _find_untouched(data: xr.DataArray) -> tuple[Path, str] | None:
    """Return the file and the dataset that an array was opened from, where nothing was done to it since."""
    sources = list(find_sources(data))
    if len(sources) != 1 or FIELD in data.attrs:
        return None
    again = open_main(str(sources[0].file.name), sources[0].dataset)
    same = again.chunks is not None and data.chunks is not None and again.data.name == data.data.name
    is_it = same and again.dims == data.dims and again.attrs == data.attrs and again.coords.equals(data.coords)
    return (Path(str(sources[0].file.name)), sources[0].dataset) if is_it else None


def _require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import a module.

    Raises
    ------
    MissingExtraError
        It is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as err:
        raise MissingExtraError(module.partition(".")[0], extra, purpose) from err
