"""Spectra with lines -> what lies under the lines, or the spectra without it."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import MissingExtraError, UsidError
from usidx.label.blockwise import along
from usidx.results.verbs import add_choices, verb
from usidx.signal.axis import choose_dim, read_steps, refuse_complex
from usidx.signal.kernels.polynomials import fit_under_peaks
from usidx.signal.rows import blank_missing, map_rows

__all__ = ["baseline", "remove_baseline"]

Array = npt.NDArray[Any]
Find = Callable[[Array], Array]

#: Methods of usidx's own, and their parameters with the defaults of pybaselines.
_OWN: Final[Mapping[str, Mapping[str, Any]]] = {
    "asls": {"lam": 1e6, "p": 1e-2, "max_iter": 50, "tol": 1e-3},
    "arpls": {"lam": 1e5, "max_iter": 50, "tol": 1e-3},
    "psalsa": {"lam": 1e5, "p": 0.5, "k": None, "max_iter": 50, "tol": 1e-3},
    "iarpls": {"lam": 1e5, "max_iter": 50, "tol": 1e-3},
    "polynomial": {"poly_order": 2, "num_std": 3.0, "max_iter": 250},
}
#: Parameters of pybaselines that are about one spectrum.
_NOT_FOR_ALL: Final = {"self", "data", "weights", "x_data", "return_coef"}


@verb("Baseline")
def baseline(data: xr.DataArray, method: str = "arpls", dim: str | None = None, **parameters: Any) -> xr.DataArray:
    """Find the baseline of each spectrum.

    A lazy array stays lazy. Nothing fails because of one spectrum: where a sample is not finite, or no baseline is
    found, it is NaN.

    Parameters
    ----------
    data : DataArray, dims (*any, dim)
        Real.
    method : str
        ``arpls``, ``asls``, ``psalsa`` or ``iarpls``: smooth curves (penalised least squares), to which what lies
        above counts less and less. ``polynomial``: of the samples that do not stand out above it. All others are those
        of the package pybaselines, by its names (extra ``signal``), one spectrum after another in Python.
    dim : str, optional
        By default the only spectroscopic one.
    **parameters
        As pybaselines names them; its defaults hold. `lam` is how stiff the curve is, which grows with the fourth power
        of the number of samples that a bend takes; `p` the weight of what lies above (``asls``, ``psalsa``), `k` the
        height of a peak (``psalsa``), `tol` and `max_iter` when it ends. Of the polynomial `poly_order` (2),
        `num_std` (3), how far what stands out lies above, by what lies below, and `max_iter`.

    Returns
    -------
    DataArray
        As `data`, floating.

    Raises
    ------
    RoleError
        It is not clear which dim is meant.
    UsidError
        There is no such method or parameter, a value is out of range, or the data is complex.
    MissingExtraError
        The method is one of pybaselines, which is not installed.

    See Also
    --------
    remove_baseline : The spectra without it.

    Notes
    -----
    Values are those of pybaselines; the first four methods, in machine code of usidx for many spectra at once, take
    about a tenth of its time.

    References
    ----------
    S.-J. Baek, A. Park, Y.-J. Ahn and J. Choo, Analyst 140, 250 (2015).

    Examples
    --------
    >>> import numpy as np, usidx, xarray as xr
    >>> shift = xr.DataArray(np.linspace(0, 1, 500), dims="shift")
    >>> line = 5 * np.exp(-(((shift - 0.4) / 0.01) ** 2))
    >>> found = usidx.signal.baseline(1 + shift + line, dim="shift")
    >>> bool(abs(found - 1 - shift).max() < 0.05)
    True
    """
    name, find, settings = _choose(data, method, dim, parameters)
    return add_choices(along(data, name, partial(_apply, find=find, removes=False)), dim=name, parameters=settings)


@verb("Remove_Baseline")
def remove_baseline(
    data: xr.DataArray, method: str = "arpls", dim: str | None = None, **parameters: Any
) -> xr.DataArray:
    """Take the baseline off each spectrum.

    A lazy array stays lazy. Nothing fails because of one spectrum: where a sample is not finite, or no baseline is
    found, it is NaN.

    Parameters
    ----------
    data : DataArray, dims (*any, dim)
        Real.
    method, dim, **parameters
        As of :func:`baseline`.

    Returns
    -------
    DataArray
        As `data`, floating.

    Raises
    ------
    RoleError, UsidError, MissingExtraError
        As by :func:`baseline`.

    Examples
    --------
    >>> import usidx
    >>> spectra, _ = usidx.simulate.spectrum_image((8, 8), channels=200)
    >>> flat = usidx.signal.remove_baseline(spectra, lam=1e4)
    >>> both = flat + usidx.signal.baseline(spectra, lam=1e4)
    >>> bool((abs(both - spectra) < 1e-3).all())
    True
    """
    name, find, settings = _choose(data, method, dim, parameters)
    return add_choices(along(data, name, partial(_apply, find=find, removes=True)), dim=name, parameters=settings)


def _choose(
    data: xr.DataArray, method: str, dim: str | None, parameters: dict[str, Any]
) -> tuple[str, Find, dict[str, Any]]:
    """Return the dim, what finds baselines of rows, and all its parameters."""
    refuse_complex(data)
    name = choose_dim(data, dim)
    if not isinstance(method, str):
        raise UsidError(f"method={method!r}; it should be the name of a method.")
    own = _OWN.get(method)
    known = _list_foreign_parameters(method) if own is None else tuple(own)
    unknown = [key for key in parameters if key not in known]
    if unknown:
        raise UsidError(f"{unknown[0]!r} is no parameter of the baseline {method!r}; it has {', '.join(known)}.")
    settings = {**(own or {}), **parameters}
    if own is None:
        return (
            name,
            partial(_call_pybaselines, method=method, place=read_steps(data, name)[0], settings=settings),
            settings,
        )
    _check(settings)
    if method == "polynomial":
        options = settings["poly_order"], settings["num_std"], settings["max_iter"]
        place = read_steps(data, name)[0]
        return name, partial(_fit_polynomials, place=place, options=options), settings
    if data.sizes[name] < 3:
        raise UsidError(f"Dim {name!r} has {data.sizes[name]} samples; a baseline needs 3 or more.")
    return name, partial(_fit_curves, method=method, settings=settings), settings


def _check(settings: Mapping[str, Any]) -> None:
    """Refuse values that no baseline can be found with."""
    for key, value in settings.items():
        highest = 1.0 if key == "p" else np.inf
        is_fine = key == "k" and value is None
        is_fine = is_fine or (isinstance(value, int | float | np.number) and bool(0 <= value < highest))
        if not is_fine or (key in ("lam", "p", "k") and value == 0):
            raise UsidError(
                f"{key}={value!r} of a baseline; it should be a number above 0{' and below 1' * (key == 'p')}."
            )


def _apply(block: Array, *, find: Find, removes: bool) -> Array:
    def run(rows: Array) -> Array:
        known = np.asarray(np.isfinite(rows).all(axis=1))
        given = rows.astype(np.float64, copy=False)
        found = find(given if known.all() else np.where(known[:, np.newaxis], given, 0.0))
        found[~np.isfinite(found).all(axis=1)] = np.nan
        made: Array = (given - found if removes else found).astype(rows.dtype, copy=False)
        return blank_missing(made, rows)

    return map_rows(run, block)


def _fit_curves(rows: Array, *, method: str, settings: Mapping[str, Any]) -> Array:
    from usidx.signal.kernels import whittaker

    kind = {"asls": whittaker.ASLS, "arpls": whittaker.ARPLS, "psalsa": whittaker.PSALSA, "iarpls": whittaker.IARPLS}
    height = settings.get("k")
    scales = rows.std(axis=1) / 10 if height is None else np.full(len(rows), float(height))
    return whittaker.find_baselines(
        kind[method], rows, float(settings["lam"]), float(settings.get("p", 0.5)), scales, float(settings["tol"]),
        int(settings["max_iter"]),
    )  # fmt: skip


def _fit_polynomials(rows: Array, *, place: Array, options: tuple[int, float, int]) -> Array:
    return fit_under_peaks(rows, place, *options)


def _import_pybaselines(method: str) -> Any:
    try:
        import pybaselines
    except ImportError as err:
        raise MissingExtraError("pybaselines", "signal", f"The baseline {method!r}") from err
    return pybaselines.Baseline


def _list_foreign_parameters(method: str) -> tuple[str, ...]:
    """Return the parameters of a method of pybaselines, as far as they are for all spectra."""
    if not method.isidentifier() or method.startswith("_"):
        raise UsidError(f"There is no baseline {method!r}; usidx has {', '.join(_OWN)}, all others are pybaselines'.")
    function = getattr(_import_pybaselines(method), method, None)
    found = inspect.signature(function).parameters if callable(function) else {}
    if "data" not in found:
        raise UsidError(f"There is no baseline {method!r}, neither of usidx ({', '.join(_OWN)}) nor of pybaselines.")
    named = [key for key, one in found.items() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    return tuple(key for key in named if key not in _NOT_FOR_ALL)


def _call_pybaselines(rows: Array, *, method: str, place: Array, settings: Mapping[str, Any]) -> Array:
    """Call pybaselines row by row; a row that it cannot do is NaN."""
    fitter = _import_pybaselines(method)(place, check_finite=False)
    found = np.full(rows.shape, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row, out in zip(rows, found, strict=True):
            try:
                out[:] = getattr(fitter, method)(row, **settings)[0]
            except (np.linalg.LinAlgError, ZeroDivisionError, FloatingPointError):
                continue
    return found
