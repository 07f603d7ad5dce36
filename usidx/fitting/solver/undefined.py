"""Fits of samples at which the model is no number -> a status that says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.fitting.formula.nodes import make_parameter, make_variable
from usidx.fitting.formula.numpy_backend import interpret
from usidx.fitting.kernels.columns import MODEL_UNDEFINED, Columns
from usidx.fitting.models.model import Model, build_graphs
from usidx.fitting.solver.tables import take_rows

__all__ = ["tell_undefined"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
_TRIALS = 9


def tell_undefined(
    model: Model, varying: frozenset[str], table: Array, y: npt.NDArray[Any], x: Array, weight: Array | None,
    start: Array,
) -> Array:  # fmt: skip
    """Give fits that cannot be, because the model has no value at some of their samples, a status of their own.

    A power law is no number where x is not above zero, nor is a logarithm. Left to itself the solver says of such
    spectra that it is stuck, or ends where the model happens to have a value.
    """
    at = Columns(len(model.names))

    def mark_used(rows: npt.NDArray[np.intp]) -> Mask:
        used = np.isfinite(y[rows]) & np.isfinite(take_rows(x, rows)).all(axis=1)
        return np.asarray(used if weight is None else used & (take_rows(weight, rows) > 0.0))

    outside = np.zeros(len(y), bool)
    if not (inside := model.find_defined(x, varying)).all():
        outside = np.asarray((mark_used(np.arange(len(y))) & ~inside).any(axis=1))
    failed = np.flatnonzero(~(table[:, at.status] > 0) & ~outside)
    if failed.size:
        never = _find_never_finite(model, take_rows(x, failed), take_rows(start, failed))
        outside[failed] = (mark_used(failed) & never).any(axis=1)
    nfev, samples = table[outside, at.nfev], table[outside, at.samples]
    table[outside] = np.nan
    table[outside, at.status], table[outside, at.nfev], table[outside, at.samples] = MODEL_UNDEFINED, nfev, samples
    return table


def _find_never_finite(model: Model, x: Array, start: Array) -> Mask:
    """Say at which samples the model is no number, whatever the parameters that are tried."""
    variables = [x[:, k] for k in range(x.shape[1])]
    if model.derived:
        variables += list(np.moveaxis(model.derive(x), -2, 0))
    known = {make_variable(k): v for k, v in enumerate(variables)}
    never: Mask = np.ones((1, x.shape[2]), bool)
    for row in _make_trials(model, x, start):
        parameters = {make_parameter(name): row[:, k, None] for k, name in enumerate(model.names)}
        for part in build_graphs(model):
            never = never & ~np.isfinite(interpret(part[0], known | parameters))
    return never


def _make_trials(model: Model, x: Array, start: Array) -> Iterator[Array]:
    """Give rows of parameters: those that are known, and of the others some of the candidates."""
    coordinates = x[:, 0] if model.variables == 1 else x
    candidates = [term.candidates(coordinates) for term in model.terms]
    for part in np.linspace(0.0, 1.0, _TRIALS):
        chosen: dict[str, Array | float] = {}
        for found in candidates:
            chosen |= found[round(part * (len(found) - 1))]
        row = np.stack([np.broadcast_to(chosen.get(name, 1.0), len(x)) for name in model.names], axis=1)
        yield np.where(np.isnan(start), row, start)
