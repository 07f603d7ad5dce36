"""What pyUSID sees in a file, as plain NumPy: the judge of files that usidx writes.

pyUSID 0.0.12 calls ``np.product`` and prints; both are seen to here, around each call and nowhere else.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

__all__ = ["PyusidView", "accepts", "check_results", "main_datasets", "old_numpy", "open_with_pyusid"]

Array = npt.NDArray[Any]

#: What pyUSID calls by names that NumPy 2 no longer has.
GONE = {"product": np.prod, "float": float, "int": int, "bool": bool}


@dataclass(frozen=True)
class PyusidView:
    """A main dataset as pyUSID reads it.

    Attributes
    ----------
    array : ndarray
        The N-D form, dims in the order of the file; take it by `in_order`.
    dims : tuple of str
        Names of the dims of the array.
    values : dict of str to ndarray
        What pyUSID says are the values along each dim.
    units : dict of str to str
        Unit of each dim.
    quantity, unit : str
        Of the main dataset.
    """

    array: Array
    dims: tuple[str, ...]
    values: dict[str, Array]
    units: dict[str, str]
    quantity: str
    unit: str

    def in_order(self, *dims: str) -> Array:
        """Return the array with its dims in this order; dims of one step that are not named are dropped."""
        kept = [place for place, dim in enumerate(self.dims) if dim in dims or self.array.shape[place] > 1]
        names = [self.dims[place] for place in kept]
        lean = self.array.reshape([self.array.shape[place] for place in kept])
        return lean.transpose([names.index(dim) for dim in dims])


@contextlib.contextmanager
def old_numpy() -> Iterator[ModuleType]:
    """Import pyUSID and give it back, for as long as this lasts, the NumPy names that it needs; hush it."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        for name, replacement in GONE.items():
            if name not in vars(np):
                patch.setattr(np, name, replacement, raising=False)
        yield pytest.importorskip("pyUSID", reason="the extra 'pyusid' is not installed", exc_type=ImportError)


def main_datasets(path: str | Path) -> list[str]:
    """List the main datasets that pyUSID finds in a file."""
    with old_numpy() as pyusid, h5py.File(path, "r") as file:
        return sorted(main.name for main in pyusid.hdf_utils.get_all_main(file))


def accepts(path: str | Path, main: str) -> bool:
    """Say whether pyUSID takes a dataset for a main dataset."""
    with old_numpy() as pyusid, h5py.File(path, "r") as file:
        return bool(pyusid.hdf_utils.check_if_main(file[main]))


def check_results(path: str | Path, group: str) -> int:
    """Have pyUSID find a results group by its source and tool, and read its mains as N-D; return how many there are."""
    with old_numpy() as pyusid, h5py.File(path, "r") as file:
        tools, found = pyusid.hdf_utils, file[group]
        assert found in tools.find_results_groups(file[found.attrs["source_000"]], str(found.attrs["tool"]))
        mains = [one for one in tools.get_all_main(file) if one.parent == found]
        for main in mains:
            assert tools.check_if_main(main)
            shaped, is_shaped = tools.reshape_to_n_dims(main)
            assert is_shaped is True
            assert shaped.size == main.size
            assert pyusid.USIDataset(main).get_n_dim_form().shape == shaped.shape
        return len(mains)


def open_with_pyusid(path: str | Path, main: str) -> PyusidView:
    """Read a main dataset with pyUSID.

    Raises
    ------
    ValueError
        pyUSID has no N-D form for it.
    """
    with old_numpy() as pyusid, h5py.File(path, "r") as file:
        # Not sort_dims=True: the sorted form is then sorted once more, and its labels no longer fit.
        dataset = pyusid.USIDataset(file[main])
        array = np.asarray(dataset.get_n_dim_form())
        dims = tuple(str(label) for label in dataset.n_dim_labels)
        return PyusidView(array, dims, _values(dataset), _units(dataset), *_quantity(dataset))


def _values(dataset: Any) -> dict[str, Array]:
    values = {str(dim): np.atleast_1d(dataset.get_pos_values(dim)) for dim in dataset.pos_dim_labels}
    return values | {str(dim): np.atleast_1d(dataset.get_spec_values(dim)) for dim in dataset.spec_dim_labels}


def _units(dataset: Any) -> dict[str, str]:
    """Take the unit out of pyUSID's "name (unit)"."""
    described = [*dataset.pos_dim_descriptors, *dataset.spec_dim_descriptors]
    return {text.rsplit(" (", 1)[0]: text.rsplit(" (", 1)[1].removesuffix(")") for text in described}


def _quantity(dataset: Any) -> tuple[str, str]:
    quantity, unit = str(dataset.data_descriptor).rsplit(" (", 1)
    return quantity, unit.removesuffix(")")
