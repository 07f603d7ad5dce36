"""Python function -> machine code, with the options that every kernel of the fits shares.

Importing this module imports numba; do so only inside a function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
from numba.core import types
from numba.extending import intrinsic

__all__ = ["bits_to_float", "compiled", "float_to_bits", "inlined"]

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile without the interpreter lock, kept on disk; sums may be reordered so that they vectorise."""
    # error_model: the check for division by zero would block vectorisation; inf and nan are wanted anyhow.
    options = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"reassoc", "contract"}}
    kernel: Function = numba.njit(**options)(function)
    return kernel


def inlined(function: Function) -> Function:
    """Compile for use in another kernel, each operation in the order written."""
    options = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract"}}
    kernel: Function = numba.njit(**options)(function)
    return kernel


@intrinsic  # type: ignore[untyped-decorator]
def bits_to_float(context: Any, bits: Any) -> Any:
    """Read 64 bits as a float."""
    from llvmlite import ir

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def float_to_bits(context: Any, number: Any) -> Any:
    """Read a float as 64 bits."""
    from llvmlite import ir

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), generate
