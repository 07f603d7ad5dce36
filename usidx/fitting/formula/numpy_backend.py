"""Graph of operations and arrays -> array, in plain NumPy: what the compiled interpreter does, without compiling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from usidx.fitting.formula.nodes import Node

__all__ = ["interpret"]

Array = npt.NDArray[np.float64]


def interpret(node: Node, values: Mapping[Node, npt.ArrayLike]) -> Array:
    """Return the value of a graph for given parameters and variables, which broadcast against each other."""
    memo: dict[Node, Array] = {key: np.asarray(value, dtype=np.float64) for key, value in values.items()}
    with np.errstate(all="ignore"):
        return _evaluate(node, memo)


def _evaluate(node: Node, memo: dict[Node, Array]) -> Array:
    if node.op == "constant":
        return np.asarray(node.value, dtype=np.float64)
    if node not in memo:
        memo[node] = np.asarray(_OPERATIONS[node.op](*(_evaluate(a, memo) for a in node.args)))
    return memo[node]


def _compute_erf(a: Array) -> Any:
    from scipy.special import erf

    return erf(a)


def _compute_wofz(a: Array, b: Array) -> Any:
    from scipy.special import wofz

    return wofz(a + 1j * b)


_OPERATIONS: Final[dict[str, Callable[..., Any]]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "arctan": np.arctan,
    "abs": np.abs,
    "erf": _compute_erf,
    "select": lambda condition, a, b: np.where(condition >= 0.0, a, b),
    "wofz_real": lambda a, b: _compute_wofz(a, b).real,
    "wofz_imag": lambda a, b: _compute_wofz(a, b).imag,
}
