"""A stored result -> what its recorded steps make now, compared with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import xarray as xr

from usidx.errors import ReplayError
from usidx.format import names
from usidx.io.read.chunks.content import digest_content
from usidx.io.read.open import open_dataset
from usidx.io.read.place.opened import open_file_at
from usidx.io.read.place.place import FilePath, find_place
from usidx.io.read.results import open_result
from usidx.io.read.usid.attributes import read_attribute_if_any, read_json, read_text_attribute
from usidx.io.read.usid.inventory import find_group
from usidx.io.read.usid.main import is_main
from usidx.recipes.compare import measure_differences
from usidx.recipes.remake import remake
from usidx.results.provenance import PROVENANCE, Step, find_last_step, parse_steps

__all__ = ["replay"]


def replay(path: FilePath, group: str, *, rtol: float = 1e-6, source: FilePath | None = None) -> xr.Dataset:
    """Run the recorded steps of a stored result again, and compare what they make with what is stored.

    Computes, block by block. Nothing that the file holds is executed or imported: steps are verbs by name, and a
    function of yours is called only if its module is imported and the function is the one that was recorded. What
    plain xarray did between the steps is repeated where it is recorded: selections of evenly spaced cells,
    arithmetic with numbers, ``abs``, ``.real``, ``.imag``, ``.astype``.

    Parameters
    ----------
    path : path or URL
        A USID file.
    group : str
        HDF5 path of the results group, or an end of it that no other group shares: ``"SVD_000"``.
    rtol : float, default 1e-6
        Up to which difference variables count as equal.
    source : path or URL, optional
        The file that the result was made of, where that is another one. A path that the result names is not followed.

    Returns
    -------
    Dataset
        A number for each variable of the result: the largest difference, in parts of the largest stored magnitude,
        infinite where a cell is NaN in one of both only; of labels, flags and counts the share of cells that differ.
        Attributes: ``rtol``, and ``equal``, whether no variable differs by more.

    Raises
    ------
    ReplayError
        The steps cannot be run: a function is gone or changed, the source changed, an argument was not recorded, or
        it is not known what plain xarray did. The text says which.
    SelectionError
        The name matches nothing or more than one group.

    Examples
    --------
    >>> import usidx
    >>> path = usidx.example_file()
    >>> group = usidx.write(usidx.open_main(path).usid.svd(4))
    >>> usidx.replay(path, group).attrs["equal"]
    True
    """
    record = _Record.read(path, group)
    made = remake(record.steps, _Opener(path, record, source).open)
    stored = open_result(path, record.group)
    if isinstance(made, xr.DataArray):
        made = made.rename(next(iter(stored.data_vars))).to_dataset()
    found = measure_differences(stored, made)
    equal = all(difference <= rtol for difference in found.values())
    attrs = {"group": record.group, "rtol": rtol, "equal": equal}
    return xr.Dataset({name: ((), difference) for name, difference in found.items()}, attrs=attrs)


@dataclass(frozen=True, slots=True)
class _Record:
    """What a results group records.

    Attributes
    ----------
    group : str
        Its HDF5 path.
    steps : list of step
        As they are stored.
    has_source : bool
        Whether it refers to a source in its file.
    digests : mapping
        Of the sources when it was written, by dataset.
    """

    group: str
    steps: list[Step]
    has_source: bool
    digests: Mapping[str, Any]

    @classmethod
    def read(cls, path: FilePath, group: str) -> _Record:
        with open_file_at(path) as file:
            found = find_group(file, group)
            steps = parse_steps(read_text_attribute(found, PROVENANCE) or "")
            if not steps:
                why = "they cannot be read" if PROVENANCE in found.attrs else "it was written by another program"
                raise ReplayError(f"{str(found.name)!r} records no steps: {why}.")
            has_source = isinstance(read_attribute_if_any(found, names.SOURCE), h5py.Reference)
            return cls(str(found.name), steps, has_source, read_json(found, names.SOURCE_DIGESTS))


class _Opener:
    """Opens what steps opened: in the file of the result, or in the one that the user names."""

    def __init__(self, path: FilePath, record: _Record, source: FilePath | None) -> None:
        self._path, self._record, self._source = path, record, source
        opening = [step for step in record.steps if step["tool"] == "open"]
        self._own = opening[-1].get("file") if opening else None

    def open(self, step: Step, described: Mapping[str, Any]) -> xr.DataArray | xr.Dataset:
        """Open what a step names, if it holds what it held."""
        dataset = str(step.get("dataset"))
        is_own = step.get("file") == self._own and self._record.has_source
        file = self._path if self._source is None and is_own else self._source
        if file is None:
            raise ReplayError(
                f"It was made of {dataset!r} in {step.get('file')!r}, and a path that a file names is not followed. "
                "Name the file: source=."
            )
        if _is_result(file, dataset, self._record.digests):
            return open_result(file, dataset)
        return self._open_main(file, dataset, str(step.get("fingerprint", "")), described)

    def _open_main(
        self, file: FilePath, dataset: str, fingerprint: str, described: Mapping[str, Any]
    ) -> xr.DataArray | xr.Dataset:
        opened, dims = open_dataset(file, dataset), described.get("dims")
        if isinstance(dims, dict) and set(dims) - set(opened.dims):
            opened = open_dataset(file, dataset, squeeze=False)
        now = (find_last_step(opened, "open") or {}).get("fingerprint", "")
        if fingerprint and fingerprint != now:
            raise ReplayError(f"The source {dataset!r} changed since: its fingerprint is {now}, not {fingerprint}.")
        if "dtype" in described and len(opened.data_vars) == 1:
            return next(iter(opened.data_vars.values()))
        return opened


def _is_result(file: FilePath, dataset: str, digests: Mapping[str, Any]) -> bool:
    """Say whether a path is that of a results group, and not of a main dataset with the bytes that it had."""
    with open_file_at(find_place(file)) as opened:
        found = opened.get(dataset)
        if isinstance(found, h5py.Group):
            return True
        if not isinstance(found, h5py.Dataset) or not is_main(found):
            raise ReplayError(f"The source {dataset!r} is gone from the file.")
        told = digests.get(dataset)
        if told is not None and digest_content(found) != told:
            raise ReplayError(f"The source {dataset!r} changed since: its bytes are others.")
        return False
