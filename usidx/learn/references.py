"""Labelled array and spectra of known things -> how much of each there is at every position, with errors."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import ResultError, UnitsError
from usidx.fitting.weights import broadcast_sigma, invert_sigma
from usidx.label.alignment import align_like
from usidx.label.blockwise import Output, along
from usidx.label.masking import apply_mask
from usidx.label.roles import as_dims, refuse_unlabelled
from usidx.learn.factors.mixtures import fit_mixture
from usidx.learn.matrix.matrix import refuse_dim
from usidx.learn.matrix.results import DECOMPOSITION, FACTORS, assemble
from usidx.results.declarations import Quantity
from usidx.results.verbs import add_choices, verb

__all__ = ["fit_references"]

Array = npt.NDArray[Any]
_COMPONENT = "component"
_OUTPUTS = {
    **FACTORS,
    "scores_stderr": Quantity("Standard Error of the Abundance"),
    "chi2": Quantity("Sum of Squared Residuals", of_data=2),
    "redchi": Quantity("Reduced Chi Squared", of_data=2),
    "r2": Quantity("Coefficient of Determination"),
    "samples": Quantity("Samples That Were Fitted"),
}


@verb(**DECOMPOSITION, outputs=_OUTPUTS, projection="linear")
def fit_references(
    data: xr.DataArray,
    references: xr.DataArray,
    *,
    nonnegative: bool = False,
    mask: xr.DataArray | None = None,
    sigma: float | xr.DataArray | None = None,
    absolute_sigma: bool = False,
) -> xr.Dataset:
    """Fit each spectrum by a sum of reference spectra: how much of each there is, by linear least squares.

    Lazy where the data or the references are. Samples that are not finite, in a spectrum or a reference, are left out.
    A spectrum with fewer samples than references, or references that do not tell apart in what is left, gets NaN. In
    other fields this is multiple linear least squares (MLLS), linear combination fitting or unmixing with known
    endmembers.

    Parameters
    ----------
    data : DataArray, dims (*position, *spectroscopic)
        Real.
    references : DataArray, dims (component, *spectroscopic)
        Spectra of what is pure, in the units of `data`, over all its steps; paired with them by their labels, in
        whatever order. A background is one more of them, such as a row of ones.
    nonnegative : bool
        Whether no share may be below zero; those that would are zero, and their errors NaN.
    mask : DataArray of bool, optional
        True where samples are left out; dims among those of `data`, and their coordinates.
    sigma : float or DataArray, optional
        Standard deviation of the samples, as in :func:`usidx.fit`.
    absolute_sigma : bool
        Whether `sigma` is known in absolute terms; if not (the default), standard errors are scaled by ``redchi``.

    Returns
    -------
    Dataset
        ``scores`` and ``scores_stderr`` (*position, component), dimensionless; ``components``, the references; over the
        positions ``chi2``, ``redchi``, ``r2`` and ``samples`` as of :func:`usidx.fit`. ``reconstruct`` gives the fitted
        spectra, ``project`` the shares in other data.

    Raises
    ------
    ResultError
        The data is complex, the references have no dim ``component`` or lack a step of the data.
    RoleError
        `data` lacks a dim of the references, or mask or sigma have other cells.
    UnitsError
        The references have other units.
    UsidError
        `sigma` is zero or less where there is a sample; of a lazy array, when it is computed.

    See Also
    --------
    fcls : The same with shares that sum to one.
    mcr_als : The same where the pure spectra are not known.

    Notes
    -----
    Spectra that lack nothing and share their weights share one factorisation. Without a bound the errors are the roots
    of the diagonal of redchi (A'WA)^-1. With it the method is that of Lawson and Hanson, and errors are those with the
    shares that are zero held there.

    References
    ----------
    C. L. Lawson and R. J. Hanson, Solving Least Squares Problems (1974), chapter 23; R. D. Leapman and C. R. Swyt,
    Ultramicroscopy 26, 393 (1988), on multiple least squares of energy-loss spectra.

    Examples
    --------
    >>> import numpy as np, xarray as xr, usidx
    >>> pure = xr.DataArray(np.eye(2, 3), dims=("component", "energy"))
    >>> found = usidx.fit_references(xr.DataArray([[0.25, 0.75, 0.0], [2.0, -1.0, 0.0]], dims=("x", "energy")), pure)
    >>> found.scores.values.round(6)
    array([[ 0.25,  0.75],
           [ 2.  , -1.  ]])
    """
    pure, features = _check(data, references)
    inputs = [pure.transpose(..., _COMPONENT)]
    if sigma is not None:
        inputs.append(broadcast_sigma(data, sigma, features))
    kernel = partial(_fit_block, rank=len(features), nonnegative=nonnegative, absolute=absolute_sigma)
    labels = xr.DataArray(pure[_COMPONENT].variable, dims=_COMPONENT)
    by_component = Output(dims=(_COMPONENT,), coords={_COMPONENT: labels}, dtype=np.float64)
    figure = Output(dims=(), dtype=np.float64)
    outputs = dict.fromkeys(("scores", "scores_stderr"), by_component)
    outputs |= dict.fromkeys(("chi2", "redchi", "r2"), figure) | {"samples": Output(dims=(), dtype=np.int32)}
    found = along(apply_mask(data, mask), features, kernel, outputs, beside=inputs)
    variables = {str(name): one for name, one in found.data_vars.items()} | {"components": pure}
    return add_choices(assemble(data, variables, units_in="components"), dim=list(features))


def _check(data: xr.DataArray, references: xr.DataArray) -> tuple[xr.DataArray, tuple[str, ...]]:
    """Return the references over the steps of the data, in their order, and these dims."""
    refuse_unlabelled(data)
    if data.dtype.kind == "c":
        raise ResultError(
            f"Array {data.name!r} is {data.dtype}: references are fitted to real data, such as abs(data)."
        )
    if not isinstance(references, xr.DataArray) or _COMPONENT not in references.dims:
        found = references.dims if isinstance(references, xr.DataArray) else type(references).__name__
        raise ResultError(f"References have the dims ('component', *spectroscopic); these have {found}.")
    refuse_dim(data, _COMPONENT)
    units = [str(a.attrs.get("units", "")) for a in (data, references)]
    if all(units) and units[0] != units[1]:
        raise UnitsError(f"Array {data.name!r} is in {units[0]!r}, the references in {units[1]!r}: bring them to one.")
    features = as_dims(data, tuple(str(d) for d in references.dims if d != _COMPONENT))
    bare = references.drop_vars([n for n, c in references.coords.items() if not set(c.dims) <= {_COMPONENT, *features}])
    pure = align_like(bare, data, what="the set of references", other="the data").transpose(_COMPONENT, *features)
    if _COMPONENT not in pure.coords:
        pure = pure.assign_coords({_COMPONENT: np.arange(pure.sizes[_COMPONENT])})
    return pure, features


def _fit_block(
    y: Array, references: Array, sigma: Array | None = None, *, rank: int, nonnegative: bool, absolute: bool
) -> tuple[Array, ...]:
    lead, cells = y.shape[: y.ndim - rank], int(np.prod(y.shape[y.ndim - rank :]))
    rows, weight = y.reshape(-1, cells), None
    if sigma is not None:
        own = sigma if int(np.prod(sigma.shape[: sigma.ndim - rank])) == 1 else np.broadcast_to(sigma, y.shape)
        weight = invert_sigma(own.reshape(-1, cells), rows)
    pure = references.reshape(cells, -1).T.astype(np.float64)
    found = fit_mixture(rows, pure, weight, nonnegative=nonnegative, absolute=absolute)
    return tuple(one.reshape(*lead, *one.shape[1:]) for one in found)
