"""Decomposition -> the same space on components of simple shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import ResultError
from usidx.learn.factors.eigen import fix_sign
from usidx.learn.matrix.results import DECOMPOSITION
from usidx.learn.reconstruct import find_decomposition_step
from usidx.results.verbs import verb
from usidx.tasks.passes import plan_passes

__all__ = ["rotate"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Turn:
    """New components, and the matrix that turns the scores to them."""

    components: Array
    scores: Array


@verb(**DECOMPOSITION)
def rotate(
    result: xr.Dataset, method: str = "varimax", *, power: int = 4, max_iter: int = 1000, tol: float = 1e-8
) -> xr.Dataset:
    """Rotate the components of a decomposition to simple shapes; what they make together stays the same.

    Lazy where the result is.

    Parameters
    ----------
    result : Dataset
        What :func:`svd` or :func:`pca` returned, cut down to the components that matter.
    method : {"varimax", "promax"}, optional
        "varimax" keeps the components orthonormal [1]_; "promax" lets them lean towards a power of the varimax
        solution [2]_.
    power : int, optional
        Of promax.
    max_iter, tol : int, float, optional
        Most iterations, and the relative gain at which to stop.

    Returns
    -------
    Dataset
        ``scores`` and ``components`` rotated, components of norm one, in falling order of the norm of their scores;
        ``mean`` and ``scale`` as they were. Singular values belong to unrotated components and are left out.

    Raises
    ------
    ResultError
        `result` is no decomposition of svd or pca, or the method is not known.

    References
    ----------
    .. [1] H. Kaiser, The varimax criterion for analytic rotation in factor analysis, Psychometrika 23 (1958) 187-200.
    .. [2] A. Hendrickson, P. White, Promax: a quick method for rotation to oblique simple structure, British Journal of
       Statistical Psychology 17 (1964) 65-70.
    """
    step = find_decomposition_step(result)
    if step["tool"] not in ("svd", "pca"):
        raise ResultError(f"Components of {step['tool']!r} are not rotated: rotate what svd or pca returned.")
    if method not in ("varimax", "promax"):
        raise ResultError(f"No rotation {method!r}: it is 'varimax' or 'promax'.")
    if "singular_values" not in result:
        raise ResultError("The components are rotated already: rotate what svd or pca returned.")
    scores, components = result["scores"].transpose(..., "component"), result["components"].transpose("component", ...)
    passes = plan_passes(scores.data if scores.chunks is not None else components.data.reshape(len(components), -1))
    stacked = _append_values(components.data, result["singular_values"].data)
    turn = passes.gather(_rotate, stacked, method == "promax", power, max_iter, tol)
    turned = passes.pick_array(turn, "components", components.shape, components.dtype)
    matrix = passes.pick_array(turn, "scores", (len(components), len(components)), scores.dtype)
    found = result.drop_vars(
        [name for name in result.data_vars if name not in ("scores", "components", "mean", "scale")]
    )
    found["scores"] = scores.copy(data=scores.data @ matrix)
    found["components"] = components.copy(data=turned)
    found["component"] = np.arange(len(components))
    if units := components.attrs.get("units"):
        # Components of norm one have none: they pass them on to the scores.
        found["scores"].attrs["units"], found["components"].attrs["units"] = units, ""
    return found


def _append_values(components: Any, values: Any) -> Any:
    """Return the components with their singular value as one more cell each."""
    flat = components.reshape(components.shape[0], -1)
    either = da if isinstance(flat, da.Array) else np
    return either.concatenate([flat, values[:, np.newaxis].astype(flat.dtype)], axis=1)


def _rotate(stacked: Array, oblique: bool, power: int, max_iter: int, tol: float) -> _Turn:
    flat, size = stacked[:, :-1], np.abs(stacked[:, -1])
    wide = np.where(np.isfinite(flat), flat, 0).astype(np.result_type(flat.dtype, np.float64))
    # Components of no strength have no shape to be found: mixed in, they would spoil those of the others.
    strong = size > 0
    shapes, turn = wide[strong], np.eye(len(wide), dtype=wide.dtype)
    part = _find_varimax(shapes.T, max_iter, tol).T
    turn[np.ix_(strong, strong)] = _find_promax((part @ shapes).T, power).T @ part if oblique and strong.any() else part
    components, back = turn @ wide, np.linalg.inv(turn)
    norms = np.linalg.norm(components, axis=1)
    norms[norms == 0] = 1
    factor = fix_sign(components) / norms
    strength = np.linalg.norm(size[:, np.newaxis] * back, axis=0) * norms
    order = np.argsort(-strength, kind="stable")
    components, back = components * factor[:, np.newaxis], back / factor
    return _Turn(np.where(np.isfinite(flat[0]), components[order], np.nan), back[:, order])


def _find_varimax(shapes: Array, max_iter: int, tol: float) -> Array:
    """Return the unitary matrix that makes the squares of ``shapes @ matrix`` vary most within columns."""
    matrix, gain = np.eye(shapes.shape[1], dtype=shapes.dtype), 0.0
    for _ in range(max_iter):
        turned = shapes @ matrix
        square = np.abs(turned) ** 2
        left, size, right = np.linalg.svd(shapes.conj().T @ (turned * (square - square.mean(axis=0))))
        matrix = left @ right
        if size.sum() <= gain * (1 + tol):
            break
        gain = float(size.sum())
    return matrix


def _find_promax(shapes: Array, power: int) -> Array:
    """Return the matrix that brings the columns of `shapes` nearest to a power of them, which has no small cells."""
    target = shapes * np.abs(shapes) ** (power - 1)
    return np.asarray(np.linalg.lstsq(shapes, target, rcond=None)[0])
