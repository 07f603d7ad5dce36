"""Which dims say where (position) and which say what was swept (spectroscopic).

A role is an attribute of the coordinate that bears the dim's name, so it travels with the array through
slicing, arithmetic, netCDF and Zarr.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable
from typing import TypeVar

import numpy as np
import xarray as xr

from usidx.errors import RoleError

__all__ = [
    "POSITION",
    "ROLE",
    "SPECTROSCOPIC",
    "check_any_roles",
    "choose_dims",
    "find_role",
    "position_dims",
    "refuse_unlabelled",
    "set_roles",
    "spectroscopic_dims",
    "split",
]

ROLE = "usid_role"
POSITION = "position"
SPECTROSCOPIC = "spectroscopic"

Labelled = TypeVar("Labelled", xr.DataArray, xr.Dataset)
Dims = str | Iterable[str]


def find_role(data: xr.DataArray | xr.Dataset, dim: Hashable) -> str | None:
    """Return the role of a dim or scalar coordinate, None where it has none."""
    coordinate = data.coords.variables.get(dim)  # without an array around it, which takes longer than all else here
    return None if coordinate is None else coordinate.attrs.get(ROLE)


def position_dims(data: xr.DataArray | xr.Dataset) -> tuple[str, ...]:
    """Return the dims that say where, in the order of the array."""
    return _list_dims_with_role(data, POSITION)


def spectroscopic_dims(data: xr.DataArray | xr.Dataset) -> tuple[str, ...]:
    """Return the dims that say what was swept, in the order of the array."""
    return _list_dims_with_role(data, SPECTROSCOPIC)


def _list_dims_with_role(data: xr.DataArray | xr.Dataset, role: str) -> tuple[str, ...]:
    refuse_unlabelled(data, (xr.DataArray, xr.Dataset))
    return tuple(str(dim) for dim in data.dims if find_role(data, dim) == role)


def _list_all_features(data: xr.DataArray) -> tuple[str, ...]:
    """Return the spectroscopic dims, and those without a role beside position dims: `write` takes both for such."""
    has_positions = any(find_role(data, dim) == POSITION for dim in data.dims)
    wanted = (SPECTROSCOPIC, None) if has_positions else (SPECTROSCOPIC,)
    return tuple(str(dim) for dim in data.dims if find_role(data, dim) in wanted)


def _list_remaining_dims(data: xr.DataArray, role: str) -> tuple[str, ...]:
    """Return the dims without a role where others have the other one: who names the positions has said enough."""
    roles = {str(dim): find_role(data, dim) for dim in data.dims}
    has_other = any(found not in (None, role) for found in roles.values())
    return tuple(dim for dim, found in roles.items() if found is None) if has_other else ()


def choose_dims(
    data: xr.DataArray,
    dim: Dims | None = None,
    count: int | None = None,
    *,
    role: str = SPECTROSCOPIC,
    called: Collection[str] = (),
    in_units: Collection[str] = (),
    reason: str = "",
) -> tuple[str, ...]:
    """Choose the dims to work along, by the one rule that all verbs share.

    Those that are named; else the first of these that are as many as are wanted: dims of a familiar name, dims of the
    role in familiar units, dims of the role, all dims. Where no dim has the role and some have the other one, dims
    without a role count as dims of the role; they count as spectroscopic also beside those that are, where all are
    meant, as in `write`. Where a number of spectroscopic dims is wanted, one of a single step is none.

    Parameters
    ----------
    data : DataArray
        Any dims.
    dim : str or iterable of str, optional
        As the user named them.
    count : int, optional
        How many are wanted. By default as many as are named, or have the role.
    role : {"spectroscopic", "position"}
        Of the dims that are meant where none is named.
    called : collection of str
        Familiar names, in lower case without signs and spaces: ``dcoffset`` stands for ``DC_Offset`` too.
    in_units : collection of str
        Familiar units, which decide where there are several.
    reason : str
        A sentence that says why so many are wanted, for messages.

    Returns
    -------
    tuple of str
        In the order in which they are named, or else that of the array.

    Raises
    ------
    RoleError
        A named dim is not there, more or fewer are named than are wanted, or none is named and it is not clear which
        are meant; or it is no DataArray.
    """
    refuse_unlabelled(data)
    if dim is None:
        return _choose_usual_dims(data, count, role, called, in_units, reason)
    names = tuple(dict.fromkeys((dim,) if isinstance(dim, str) else dim))
    as_dims(data, names)
    wanted = count or max(len(names), 1)
    if len(names) != wanted:
        raise RoleError(f"dim={list(names)} names {len(names)} dim(s), and {wanted} should be named. {reason}".rstrip())
    return names


def _choose_usual_dims(
    data: xr.DataArray, count: int | None, role: str, called: Collection[str], in_units: Collection[str], reason: str
) -> tuple[str, ...]:
    of_role = _list_dims_with_role(data, role) or _list_remaining_dims(data, role)
    if count is None and of_role:
        return _list_all_features(data) if role == SPECTROSCOPIC else of_role
    own = [d for d in of_role if data.sizes[d] > 1]
    familiar = [str(d) for d in data.dims if "".join(c for c in str(d).lower() if c.isalnum()) in called]
    measured = [d for d in own if data.coords[d].attrs.get("units") in in_units]
    # An image may be one line, but a sweep of one step is none.
    single = of_role if role == POSITION else ()
    for found in (familiar, measured, own, single, () if own else tuple(str(d) for d in data.dims)):
        if len(found) == count:
            return tuple(found)
    marked = any(ROLE in data.coords[d].attrs for d in data.dims if d in data.coords)
    told = f"no {role} dim of more than one step" if marked else f"no {role} dim (none is marked)"
    told = f"the {role} dims {tuple(own)}" if own else told
    wanted = f", and {count} should be worked along" if count is not None else ""
    named = "dims=[...]" if count is not None and count > 1 else "dim=..."
    raise RoleError(
        f"Array {data.name!r} with dims {data.dims} has {told}{wanted}. {reason + ' ' if reason else ''}Name the dims "
        f"to work along with {named}, or mark them with da.usid.set_roles({role}=[...]).{_explain_one_step(data)}"
    )


def split(data: xr.DataArray, dim: Dims | None = None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split the dims of an array into samples and features.

    Parameters
    ----------
    data : DataArray
        Any dims.
    dim : str or iterable of str, optional
        The features. By default the dims with the role spectroscopic, and those without a role beside position dims.

    Returns
    -------
    tuple of tuple of str
        (sample dims, feature dims), each in the order of the array.

    Raises
    ------
    RoleError
        A named dim is not there, or none is named and the array has no spectroscopic dim; or it is no DataArray.
    """
    features = as_dims(data, choose_dims(data, dim))
    return tuple(str(d) for d in data.dims if d not in features), features


def _explain_one_step(data: xr.DataArray) -> str:
    """Say how a sweep of one step, which is a scalar coordinate, becomes a dim again."""
    scalar = [name for name, c in data.coords.items() if c.ndim == 0 and c.attrs.get(ROLE) == SPECTROSCOPIC]
    return f" One step is kept as a dim by data.expand_dims({scalar[0]!r})." if scalar else ""


def refuse_unlabelled(data: object, kinds: tuple[type, ...] = (xr.DataArray,)) -> None:
    """Raise a RoleError for what is none of these labelled kinds, or has dims without a name or a size."""
    if not isinstance(data, kinds):
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise RoleError(
            f"A {type(data).__name__} where a {expected} is expected. Label an array first: "
            "xr.DataArray(values, dims=('Y', 'X', 'Bias')); choose one variable of a Dataset: dataset['name']."
        )
    for dim, size in data.sizes.items() if isinstance(data, xr.DataArray | xr.Dataset) else ():
        if not isinstance(dim, str):
            raise RoleError(
                f"Dims are named by texts, and dim {dim!r} is {type(dim).__name__}: rename({{{dim!r}: 'Y'}})."
            )
        if size != size:
            raise RoleError(
                f"Nobody knows yet how long dim {dim!r} is: its dask blocks are of unknown size, as after array[mask]. "
                f"Call data.data.compute_chunk_sizes() first, or data.compute()."
            )


def check_any_roles(data: xr.Dataset) -> xr.Dataset:
    """Return a Dataset; refuse one without roles, of which a file would keep no coordinate."""
    if not any(ROLE in coordinate.attrs for coordinate in data.coords.values()):
        raise RoleError(
            f"The Dataset of {list(map(str, data.data_vars))} with dims {tuple(data.dims)} has no position or "
            f"spectroscopic dims. Mark them with dataset.usid.set_roles(position=[...], spectroscopic=[...])."
        )
    return data


def as_dims(data: xr.DataArray | xr.Dataset, dim: Dims) -> tuple[str, ...]:
    """Check that the named dims are there; return them in the order of the array."""
    names = (dim,) if isinstance(dim, str) else tuple(dim)
    missing = [name for name in names if name not in data.dims]
    if missing:
        raise RoleError(f"No dim {missing[0]!r} here; the dims are {tuple(data.dims)}.")
    return tuple(str(d) for d in data.dims if d in names)


def set_roles(data: Labelled, *, position: Dims = (), spectroscopic: Dims = ()) -> Labelled:
    """Mark dims of any labelled array as position or spectroscopic.

    Nothing is computed. A dim without a coordinate gets the integer coordinate 0, 1, 2, ...

    Parameters
    ----------
    data : DataArray or Dataset
        Any dims.
    position, spectroscopic : str or iterable of str, optional
        Dims (or scalar coordinates) to mark.

    Returns
    -------
    DataArray or Dataset
        A new object of the same type; the data is shared.

    Raises
    ------
    RoleError
        A name is neither a dim nor a scalar coordinate, or is given both roles.

    Examples
    --------
    >>> import numpy as np, xarray as xr, usidx
    >>> cube = xr.DataArray(np.zeros((2, 3, 4)), dims=("y", "x", "energy"))
    >>> marked = usidx.set_roles(cube, position=["y", "x"], spectroscopic="energy")
    >>> marked.energy.attrs
    {'usid_role': 'spectroscopic'}
    """
    refuse_unlabelled(data, (xr.DataArray, xr.Dataset))
    names = {
        POSITION: (position,) if isinstance(position, str) else tuple(position),
        SPECTROSCOPIC: (spectroscopic,) if isinstance(spectroscopic, str) else tuple(spectroscopic),
    }
    twice = set(names[POSITION]) & set(names[SPECTROSCOPIC])
    if twice:
        raise RoleError(f"{sorted(twice)[0]!r} is named both as position and as spectroscopic; a dim has one role.")
    for role, dims in names.items():
        for dim in dims:
            data = _set_role(data, dim, role)
    return data


def _set_role(data: Labelled, name: str, role: str) -> Labelled:
    if name in data.coords:
        coord = data.coords[name].variable.copy(deep=False)
    elif name in data.dims:
        coord = xr.Variable((name,), np.arange(data.sizes[name]))
    else:
        raise RoleError(f"No dim or coordinate {name!r} here; the dims are {tuple(data.dims)}.")
    coord.attrs = {**coord.attrs, ROLE: role}
    if name in data.coords and name not in data.xindexes:
        # Assigning would build an index where the file's values cannot carry one (repeats, gaps).
        return data.assign_coords(xr.Coordinates({name: coord}, indexes={}))
    return data.assign_coords({name: coord})
