"""Exponentials far from the coordinate at which their amplitude counts -> fits near the data, and their table back.

At 300 time constants from there the amplitude is e^300 times what the data show: start values, steps and errors in it
are out of all proportion, if they do not overflow. So the solver works with the value at the nearest sample.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from usidx.fitting.formula.nodes import Node, apply
from usidx.fitting.kernels.columns import NOT_FINITE, Columns
from usidx.fitting.models.composite import Composite
from usidx.fitting.models.curves import Exponential, measure_extent
from usidx.fitting.models.model import Model
from usidx.fitting.models.tied import Ties

__all__ = ["Far", "find_far", "list_known"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _NearExponential(Exponential):
    """An exponential whose amplitude is the value at the sample nearest to `x0`, where that is far."""

    derived: ClassVar[int] = 1

    def derive(self, x: Array) -> Array:
        """Return that place for all samples."""
        place = _find_place(x[..., 0, :], self.x0)
        return np.broadcast_to(place[..., None, None], (*x.shape[:-2], 1, x.shape[-1]))

    def _build_formula(self, *nodes: Node) -> Node:
        x, place, amplitude, tau = nodes
        return amplitude * apply("exp", (place - x) / tau)


def _find_place(x: Array, x0: float) -> Array:
    """Return the coordinate of the sample nearest to `x0` where that is more than the range away, else `x0`."""
    low, span = measure_extent(x)
    nearest = np.clip(x0, low, low + span)
    return np.asarray(np.where(abs(nearest - x0) > span, nearest, x0))


@dataclass(frozen=True, slots=True)
class Far:
    """Which terms are far, and the model in which they are near.

    Attributes
    ----------
    model : Model
        With the same parameters.
    terms : tuple of Exponential
        Those that were replaced.
    """

    model: Model
    terms: tuple[Exponential, ...]

    def approach(self, parameters: Array, x: Array) -> Array:
        """Return parameters of the near model for rows of parameters of the model itself."""
        near, names = parameters.copy(), self.model.names
        for term in self.terms:
            a, t = (names.index(name) for name in term.names)
            with np.errstate(all="ignore"):
                near[:, a] *= np.exp((term.x0 - _find_place(x[:, 0], term.x0)) / parameters[:, t])
        return near

    def restore(self, table: Array, x: Array, *, covariance: bool) -> Array:
        """Return the table with the amplitudes where they count; `table` holds the covariance."""
        at, names = Columns(len(self.model.names)), self.model.names
        out = table[:, : at.count(covariance=covariance)].copy()
        slopes = np.zeros((len(table), at.n, at.n)) + np.eye(at.n)
        for term in self.terms:
            a, t = (names.index(name) for name in term.names)
            away = _find_place(x[:, 0], term.x0) - term.x0
            with np.errstate(all="ignore"):
                slopes[:, a, a] = np.exp(away / table[:, t])
                out[:, a] = table[:, a] * slopes[:, a, a]
                slopes[:, a, t] = -out[:, a] * away / table[:, t] ** 2
        inner = table[:, at.covariance].reshape(len(table), at.n, at.n)
        for term in self.terms:
            self._restore_error(out, table, slopes, inner, names.index(term.names[0]))
        if covariance:
            with np.errstate(all="ignore"):
                whole = slopes @ inner @ slopes.transpose(0, 2, 1)
            out[:, at.covariance] = whole.reshape(len(table), at.n**2)
        parameters, near = out[:, at.parameters], table[:, at.parameters]
        lost = (out[:, at.status] > 0) & (~np.isfinite(parameters) | ((parameters == 0.0) & (near != 0.0))).any(axis=1)
        out[lost] = np.nan
        out[lost, at.nfev], out[lost, at.samples] = table[lost, at.nfev], table[lost, at.samples]
        out[lost, at.status] = NOT_FINITE
        return out

    def _restore_error(self, out: Array, table: Array, slopes: Array, covariance: Array, a: int) -> None:
        """Propagate the error of an amplitude, in parts of it: its square may overflow."""
        with np.errstate(all="ignore"):
            parts = np.nan_to_num(slopes[:, a] / abs(out[:, a, None]), posinf=0.0)
            variance = (parts[:, :, None] * covariance * parts[:, None, :]).sum(axis=(1, 2))
            out[:, len(self.model.names) + a] = abs(out[:, a]) * np.sqrt(np.maximum(variance, 0.0))


def find_far(model: Model, x: Array, known: Collection[str] = ()) -> Far | None:
    """Return the far terms of a model, None where there are none, or their amplitudes are known (see `list_known`)."""
    members = model.members if isinstance(model, Composite) else (model,)
    exponentials = [m for m in members if type(m) is Exponential and m.names[0] not in known]
    far = [m for m in exponentials if (_find_place(x[:, 0], m.x0) != m.x0).any()]
    if not far:
        return None
    near = [_NearExponential(m.prefix, m.x0) if m in far else m for m in members]
    return Far(type(model)(tuple(near)) if isinstance(model, Composite) else near[0], tuple(far))


def list_known(
    model: Model, ties: Ties | None, free: Collection[str], bounds: Mapping[str, Any], start: Array
) -> set[str]:
    """Return the parameters of which more is said than their sign: they are fitted as they are."""
    known = set() if ties is None else {*ties.formulas, *(n for g in ties.formulas.values() for n in _list_names(g))}
    for k, name in enumerate(model.names):
        limits = {abs(float(b)) for b in bounds.get(name, ())}
        if name not in free or not limits <= {0.0, np.inf} or not np.isnan(start[:, k]).all():
            known.add(name)
    return known


def _list_names(node: Node) -> set[str]:
    own = {str(node.value)} if node.op == "parameter" else set()
    return own.union(*(_list_names(a) for a in node.args))
