"""Python function and rows of parameters -> rows of values; for many spectra at once where the function broadcasts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.errors import UsidError
from usidx.fitting.formula.trace import NO_VALUE
from usidx.fitting.models.function import Function

__all__ = ["Caller", "find_caller"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Caller:
    """A function, and how it may be called.

    Attributes
    ----------
    model : Function
        What is called.
    at_once : bool
        Whether it takes many spectra at once.
    """

    model: Function
    at_once: bool

    def __call__(self, x: Array, parameters: Array) -> Array:
        """Return values, shape (spectrum, sample times parts).

        `x` is of shape (spectrum or 1, variable, sample), `parameters` of shape (spectrum, parameter).
        """
        # A function that writes into its arguments should say so, and not fit something else.
        x, parameters = x.view(), parameters.view()
        x.flags.writeable = parameters.flags.writeable = False
        with np.errstate(all="ignore"):
            values = self._call_together(x, parameters) if self.at_once else self._call_singly(x, parameters)
        return _split_parts(values, self.model)

    def _call_together(self, x: Array, parameters: Array) -> npt.NDArray[Any]:
        # One coordinate for all goes in without a dim of spectra, so that x[0] or x.max() mean what they say.
        coordinates = x[0] if x.shape[0] == 1 else x.transpose(1, 0, 2)
        value = self.model.function(*coordinates, *parameters.T[:, :, None])
        return np.broadcast_to(value, (parameters.shape[0], x.shape[2]))

    def _call_singly(self, x: Array, parameters: Array) -> npt.NDArray[Any]:
        out = np.full((parameters.shape[0], x.shape[2]), np.nan, np.complex128 if self.model.is_complex else np.float64)
        for i, row in enumerate(parameters):
            try:
                out[i] = _call_once(self.model, x[min(i, x.shape[0] - 1)], row)
            except UsidError:
                raise
            except NO_VALUE:
                continue
        return out


def _call_once(model: Function, x: Array, row: Array) -> npt.NDArray[Any]:
    value = np.asarray(model.function(*x, *row.tolist()))
    if value.dtype.kind not in "biufc" or value.shape not in {(), (x.shape[1],)}:
        raise UsidError(
            f"{model!r} returned an array of shape {value.shape} and dtype {value.dtype} for {x.shape[1]} samples; it "
            f"should return one number for each."
        )
    _split_parts(value, model)
    return value


def _split_parts(values: npt.NDArray[Any], model: Function) -> Array:
    """Return real numbers: the values, or real and imaginary part of each in turns."""
    if model.is_complex:
        return np.ascontiguousarray(values, np.complex128).view(np.float64) if values.ndim else np.zeros(2)
    if np.iscomplexobj(values):
        raise UsidError(f"{model!r} returns complex values; say so: from_function(..., complex_valued=True).")
    return np.asarray(values, np.float64)


def find_caller(model: Function, x: Array, parameters: Array) -> Caller:
    """Find out whether a function takes many spectra at once.

    It is called for three spectra together and one by one, with parameters around those of the first row that has
    all of them; both must give the same.

    Raises
    ------
    UsidError
        The function returns what is no row of samples, or complex values without having said so.
    """
    known = np.flatnonzero(np.isfinite(parameters).all(axis=1))
    if not known.size:
        return Caller(model, at_once=False)
    # Three rows that differ in every parameter: a function that mixes spectra up gives something else for them.
    first = parameters[known[0]]
    shifts = np.where(first == 0.0, 0.01, 0.05 * first)
    rows = np.stack([first, first + shifts, first - 0.7 * shifts])
    own = x[min(known[0], x.shape[0] - 1)][None]
    own.flags.writeable = False
    with np.errstate(all="ignore"):
        _call_once(model, own[0], first)  # what is wrong with the function itself should be seen
    singly = Caller(model, at_once=False)(own, rows)
    together = [own, np.repeat(own, 3, axis=0)] if x.shape[0] > 1 else [own]
    for coordinates in together:
        values = _attempt(Caller(model, at_once=True), coordinates, rows)
        if isinstance(values, Exception):
            return Caller(model, at_once=False)
        scale = np.max(np.abs(singly), initial=0.0, where=np.isfinite(singly))
        if not np.allclose(values, singly, rtol=1e-9, atol=1e-13 * scale, equal_nan=True):
            return Caller(model, at_once=False)
    return Caller(model, at_once=True)


def _attempt(call: Caller, x: Array, parameters: Array) -> Array | Exception:
    """Return values, or what is raised: that may be anything where a function for one spectrum is handed many."""
    try:
        return call(x, parameters)
    except Exception as error:
        return error
