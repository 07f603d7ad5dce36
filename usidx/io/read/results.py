"""A results group -> the Dataset that was written, or what an old tool's group means."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import h5py
import numpy as np
import xarray as xr

from usidx.errors import ResultError, SelectionError, UsidWarning
from usidx.escapes import escape_controls
from usidx.format import names
from usidx.io.read.chunks.bounded import read_part
from usidx.io.read.old_fits import describe_fit
from usidx.io.read.open import Chunks, open_at
from usidx.io.read.place.identity import find_file_number
from usidx.io.read.place.opened import open_file_at
from usidx.io.read.place.place import FilePath, Options, find_place
from usidx.io.read.usid.attributes import read_json, read_text_attribute
from usidx.io.read.usid.datasets import FIELD
from usidx.io.read.usid.history import set_place_in_history
from usidx.io.read.usid.inventory import find_group, is_named_as_result, list_children, take_inventory, warn_of_damage
from usidx.io.read.usid.main import find_source_main, is_main, read_quantity_and_units, say_where
from usidx.label.coding import make_coordinates
from usidx.label.roles import ROLE, SPECTROSCOPIC, find_role
from usidx.results.identity import note_made
from usidx.results.legacy import Names, Source, as_decomposition, find_names, unpack_form
from usidx.results.provenance import PROVENANCE, Step, parse_steps, put_steps
from usidx.results.schema import choose_divisors, restore_attrs

__all__ = ["list_results", "open_result"]

_Labelled = TypeVar("_Labelled", xr.DataArray, xr.Dataset)

_MOST_STATUS: Final = 2**26  # bytes; a file that claims more is not believed
_STATUS: Final = re.compile(names.COMPLETED)


def list_results(path: FilePath, *, storage_options: Options = None) -> list[str]:
    """List the results groups of a file.

    Reads no data.

    Parameters
    ----------
    path : path or URL
        A USID file.
    storage_options : mapping, optional
        What fsspec needs to reach a URL, as in :func:`usidx.open_main`.

    Returns
    -------
    list of str
        HDF5 paths of the groups named ``<source>-<tool>_NNN``.

    Raises
    ------
    MissingFileError
        There is no such file.
    UsidError
        It is not an HDF5 file.

    Examples
    --------
    >>> import usidx
    >>> usidx.list_results(usidx.example_file())
    []
    """
    with open_file_at(path, storage_options) as file:
        found = take_inventory(file)
        warn_of_damage(found, file)
        return [g for g in found.groups if is_named_as_result(g)]


def open_result(
    path: FilePath,
    group: str,
    *,
    chunks: Chunks = {},  # noqa: B006
    storage_options: Options = None,
    external: bool = False,
) -> xr.Dataset:
    """Open a results group as the Dataset that the verb returned.

    Lazy. Groups of pycroscopy 0.60 and BGlib (``SVD``, ``Cluster``, ``Decomposition``, ``SHO_Fit``, ``Loop_Fit``)
    open under the same names: ``scores``, ``components``, ``labels``, ``amplitude``, ``v_plus``; what is reconstructed,
    projected or clustered from a decomposition of today can be from those. Groups of other tools open with a variable
    per dataset.

    Parameters
    ----------
    path : path or URL
        A USID file.
    group : str
        HDF5 path of the group, or an end of it that no other group shares: ``"SVD_000"``.
    chunks : mapping, int, "auto" or None, default {}
        Dask blocks, as in :func:`usidx.open_main`.
    storage_options : mapping, optional
        What fsspec needs to reach a URL, as in :func:`usidx.open_main`.
    external : bool, default False
        Read other files that this one takes data from, as in :func:`usidx.open_main`.

    Returns
    -------
    Dataset
        With the steps that made it; see :func:`usidx.history`. A result that was not finished opens with a warning.

    Raises
    ------
    SelectionError
        The name matches nothing or more than one group.
    ResultError
        The group holds no main dataset, or what was recorded about the result does not fit what is there.

    Examples
    --------
    >>> import usidx
    >>> path = usidx.example_file()
    >>> group = usidx.write(usidx.open_main(path).usid.svd(4))
    >>> usidx.open_result(path, group).scores.dims
    ('Y', 'X', 'component')
    """
    place = find_place(path, storage_options, external=external)
    with open_file_at(place) as file:
        found = find_group(file, group)
        mains = [f"{found.name}/{n}" for n, d, _ in list_children(found) if isinstance(d, h5py.Dataset) and is_main(d)]
        name, hints, source = str(found.name), read_json(found, names.RESULT_HINTS), _find_source(found)
        if not mains and not _read_records(hints):
            raise ResultError(
                f"{say_where(found)} holds no main dataset, so it is no result (or one that was not finished)."
            )
        if mains:
            _warn_of_unfinished(found, file[mains[0]].shape[0])
        algorithm = read_text_attribute(found, "decomposition_algorithm") or ""
        text = read_text_attribute(found, PROVENANCE)
        history = None if text is None else set_place_in_history(found, place, parse_steps(text), source.path)
    opened = {m.rsplit("/", 1)[-1]: open_at(place, m, chunks=chunks) for m in mains}
    records = _read_records(hints)
    extras = _read_small_arrays(open_at(place, name, chunks=chunks), records | _read_records(hints, "coords"))
    told: list[Step] = []
    if records:
        result = _restore(name, opened, extras, hints)
    else:
        datasets = frozenset(opened) | frozenset(extras)
        result = _translate(opened, extras, find_names(datasets))
        result, told = describe_fit(result, datasets, place, source) or as_decomposition(result, algorithm, source)
    result = unpack_form(result, hints.get("verb"), frozenset(opened))
    if history is not None:
        result = result if mains else _count_from_zero(result, keep=True)
    else:
        history = [*parse_steps(next(iter(opened.values()), result).attrs.get(PROVENANCE, "[]")), *told]
    result = put_steps(result, history)
    note_made(result, (place.name, name))
    return result


def _find_source(group: h5py.Group) -> Source:
    """Return what the array was called that a result of another program was made of."""
    main = find_source_main(group)
    if main is None or not is_main(main) or find_file_number(main) != find_file_number(group):
        return Source("", "", "")
    quantity, units = read_quantity_and_units(main)
    path = str(main.name)
    return Source(path.rsplit("/", 1)[-1], quantity, "" if main.dtype.names else units, path)


def _warn_of_unfinished(group: h5py.Group, rows: int) -> None:
    """Say that a result is not whole: programs fill what they have not come to with zeros."""
    for name, status, _ in list_children(group):
        if not _STATUS.fullmatch(name) or not isinstance(status, h5py.Dataset):
            continue
        if status.shape != (rows,) or status.dtype.kind not in "biu" or status.nbytes > _MOST_STATUS:
            continue
        done = int(np.count_nonzero(read_part(status))) if status.id.get_storage_size() else 0
        if done < rows:
            warnings.warn(
                f"{say_where(group)} is not finished: {name!r} tells of {done} of {rows} positions. The others hold "
                f"whatever the program filled them with, such as zeros.",
                UsidWarning,
                stacklevel=3,
            )


def _read_records(hints: Mapping[str, Any], kind: str = "variables") -> dict[str, dict[str, Any]]:
    """Return what was recorded about each variable; nothing for groups of other programs."""
    listed = hints.get(kind)
    return {escape_controls(n): r for n, r in listed.items() if isinstance(r, dict)} if isinstance(listed, dict) else {}


def _read_small_arrays(group: xr.Dataset, records: Mapping[str, Mapping[str, Any]]) -> dict[str, xr.Variable]:
    """Return the datasets of a result that are no mains: singular values and the like, a number per component."""
    recorded = {str(r.get("dataset")): r.get("dims") for r in records.values()}
    found = {}
    for name, small in group.data_vars.items():
        dims = recorded.get(str(name))
        if isinstance(dims, list) and len(dims) == small.ndim:
            found[str(name)] = xr.Variable([str(d) for d in dims], small.values)
        elif small.dtype.kind in "biufc" and not _STATUS.fullmatch(str(name)):
            found[str(name)] = small.variable
    return found


def _restore(
    group: str, opened: Mapping[str, xr.Dataset], extras: Mapping[str, xr.Variable], hints: Mapping[str, Any]
) -> xr.Dataset:
    """Rebuild what was written, names, dims and attributes included."""
    records = _read_records(hints)
    times = {n: str(r["times"]) for n, r in records.items() if "times" in r}
    try:
        variables = {n: _restore_variable(n, r, opened, extras) for n, r in records.items()}
        result = _scale(_join(variables), times, choose_divisors)
        for name, record in records.items():
            result.data_vars[name].attrs = restore_attrs(record.get("attrs"))
        result = result.assign_coords(_read_swept_coordinates(extras, _read_records(hints, "coords")))
        result = _count_dims(_label_dims(result, hints.get("labels")), hints.get("counted"))
    except (ValueError, KeyError, TypeError) as err:
        raise ResultError(
            f"{group!r}: what was recorded about the result in the attribute {names.RESULT_HINTS!r} does not fit what "
            f"the group holds ({err}). Open its main datasets one by one with usidx.open_dataset."
        ) from err
    return result.assign_attrs(restore_attrs(hints.get("attrs")))


def _label_dims(result: xr.Dataset, labels: Any) -> xr.Dataset:
    """Give dims the text back that the tables cannot hold."""
    listed = labels if isinstance(labels, dict) else {}
    fits = {d: texts for d, texts in listed.items() if isinstance(texts, list) and len(texts) == result.sizes.get(d)}
    return result.assign_coords({d: (d, [str(t) for t in texts], result[d].attrs) for d, texts in fits.items()})


def _count_dims(result: xr.Dataset, counted: Any) -> xr.Dataset:
    """Give dims the coordinate back that does nothing but count."""
    listed = [d for d in counted if d in result.dims and d not in result.coords] if isinstance(counted, list) else []
    return result.assign_coords({d: np.arange(result.sizes[d]) for d in listed})


def _read_swept_coordinates(
    extras: Mapping[str, xr.Variable], records: Mapping[str, Mapping[str, Any]]
) -> xr.Coordinates:
    """Return the coordinates that no variable bears, such as the axis along which was fitted."""
    found = {}
    for name, record in records.items():
        values = extras[str(record["dataset"])]
        found[name] = xr.Variable(values.dims, values.values, restore_attrs(record.get("attrs")))
    return make_coordinates(found)


def _join(parts: Mapping[str, xr.DataArray | xr.Variable]) -> xr.Dataset:
    """Put variables of several datasets together; a dim that one sees otherwise than those before gets a suffix."""
    sizes: dict[str, int] = {}
    coords: dict[str, xr.DataArray] = {}
    unclear: set[str] = set()
    joined: dict[str, xr.Variable] = {}
    for name, part in parts.items():
        held = part if isinstance(part, xr.DataArray) else xr.DataArray(part)
        differing = [d for d in map(str, held.dims) if not _is_same_dim(held, d, sizes, coords)]
        held = held.rename({d: f"{d}_{name}" for d in differing}) if differing else held
        own = {str(c): v for c, v in held.coords.items()}
        unclear |= {c for c, v in own.items() if c in coords and not _agree(v, coords[c])}
        coords = own | coords
        sizes |= {str(d): n for d, n in held.sizes.items()}
        joined[name] = held.variable
    kept = {c: v for c, v in coords.items() if c not in unclear}
    clear = {f"{n}_" if n in kept or n in sizes else n: v for n, v in joined.items()}
    return xr.Dataset(clear, coords=make_coordinates({c: v.variable for c, v in kept.items()}))


def _is_same_dim(part: xr.DataArray, dim: str, sizes: Mapping[str, int], coords: Mapping[str, xr.DataArray]) -> bool:
    if sizes.get(dim, part.sizes[dim]) != part.sizes[dim]:
        return False
    return dim not in coords or dim not in part.coords or _agree(part.coords[dim], coords[dim])


def _agree(one: xr.DataArray, other: xr.DataArray) -> bool:
    """Compare values; old programs stored the same ones in single and in double precision."""
    if {one.dtype.kind, other.dtype.kind} - set("biufc"):
        return bool(one.variable.equals(other.variable))  # type: ignore[no-untyped-call]
    return one.dims == other.dims and np.allclose(one, other, rtol=1e-6, atol=0, equal_nan=True)


def _restore_variable(
    name: str, record: Mapping[str, Any], opened: Mapping[str, xr.Dataset], extras: Mapping[str, xr.Variable]
) -> xr.DataArray | xr.Variable:
    dataset, wanted = str(record.get("dataset")), record.get("dims")
    if dataset in extras:
        return extras[dataset]
    if dataset not in opened or not isinstance(wanted, list):
        raise ResultError(f"The result names a dataset {dataset!r} for {name!r} that its group does not hold.")
    data = _take_field(opened[dataset], record.get("field"))
    renamed = _rename_dim(data, [escape_controls(str(d)) for d in wanted])
    dtype = np.dtype(str(record["dtype"])) if record.get("dtype") else renamed.dtype
    return renamed if dtype.kind not in "iufb" or dtype == renamed.dtype else renamed.astype(dtype)


def _take_field(data: xr.Dataset, field: Any) -> xr.DataArray:
    for variable in data.data_vars.values():
        if field is None or variable.attrs.get(FIELD) == field:
            return variable
    raise SelectionError(f"There is no field {field!r} among {list(data.data_vars)!r}.")


def _rename_dim(data: xr.DataArray, wanted: list[str]) -> xr.DataArray:
    """Give the one dim that the old tools name otherwise (Principal Component, Endmember) its name back."""
    # A single component or cluster was squeezed to a scalar coordinate.
    others = [str(d) for d in data.dims if d not in wanted]
    missing = [d for d in wanted if d not in data.dims]
    if len(others) == len(missing) == 1:
        data = data.rename({others[0]: missing[0]})
    elif len(missing) == 1 and not others:
        data = data.drop_vars([c for c in _TITLES if c in data.coords]).expand_dims({missing[0]: [0]})
    return _count_from_zero(data).transpose(*wanted)


_TITLES = ("Principal Component", "Endmember", "Cluster")


def _count_from_zero(data: _Labelled, *, keep: bool = False) -> _Labelled:
    """Count components and clusters from 0, as verbs do; or keep the numbers that there are."""
    for dim in ("component", "cluster"):
        if dim in data.dims and not (keep and dim in data.coords):
            data = data.drop_vars(dim, errors="ignore").assign_coords({dim: np.arange(data.sizes[dim])})
    return data


def _scale(
    result: xr.Dataset, times: Mapping[str, str], choose: Callable[[xr.DataArray], xr.DataArray] | None = None
) -> xr.Dataset:
    """Multiply variables by others, or by what is to be chosen of these."""
    for name, factor in times.items():
        if name in result and factor in result and set(result[factor].dims) <= set(result[name].dims):
            factors = result[factor] if choose is None else choose(result[factor])
            scaled = (result[name] * factors).astype(result[name].dtype)
            result = result.assign({name: scaled.transpose(*result[name].dims)})
    return result


def _translate(opened: Mapping[str, xr.Dataset], extras: Mapping[str, xr.Variable], known: Names) -> xr.Dataset:
    """Give an old tool's datasets the names that results have in memory."""
    variables: dict[str, xr.DataArray | xr.Variable] = {}
    for dataset, data in opened.items():
        if dataset in known.variables and len(data.data_vars) > 1:
            variables[known.variables[dataset]] = _name_legacy_dims(
                known.variables[dataset], _stack_fields(data), known
            )
            continue
        for field, variable in data.data_vars.items():
            titled = known.fields.get(str(field), str(field))
            ending = "_guess" if dataset.startswith("Guess") and known.fields else ""
            name = titled + ending if FIELD in variable.attrs else known.variables.get(dataset, dataset)
            if name in variables and known.repeating.get(dataset) in opened:
                continue
            while name in variables:
                name = f"{dataset}_{name}"
            variables[name] = _name_legacy_dims(name, variable, known)
    for dataset, small in extras.items():
        is_counted = bool(known.dim) and small.ndim == 1 and dataset in known.variables
        own = xr.Variable((known.dim,), small.data) if is_counted else small
        variables[known.variables.get(dataset, dataset)] = own
    result = _scale(_join(variables), known.times)
    for name, comment in known.comments.items():
        if name in result:
            result[name].attrs["comment"] = comment
    return result


def _stack_fields(fields: xr.Dataset) -> xr.DataArray:
    """Return the fields of a compound dataset as one array whose last dim is the field, as decompositions have it."""
    names = xr.Variable("field", [str(n) for n in fields.data_vars], {ROLE: SPECTROSCOPIC, "long_name": "Field"})
    units = [str(v.attrs.get("units", "")) for v in fields.data_vars.values()]
    stacked = fields.drop_attrs(deep=False).to_dataarray("field").transpose(..., "field")
    return stacked.assign_coords(field=names).rename(None).assign_attrs(field_units=units)


def _name_legacy_dims(name: str, variable: xr.DataArray, known: Names) -> xr.DataArray:
    for label in known.labels:
        if label in variable.dims:
            variable = variable.rename({label: known.dim})
        elif label in variable.coords:
            is_last = find_role(variable, label) == SPECTROSCOPIC
            variable = variable.drop_vars(label)
            if name not in known.uncounted:  # a single component or cluster was squeezed
                variable = variable.expand_dims({known.dim: [0]}, axis=variable.ndim if is_last else 0)
    return _count_from_zero(variable)
