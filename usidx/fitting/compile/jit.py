"""Python function -> machine code, with the options that every kernel of the fits shares.

Importing this module imports numba; do so only inside a function.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

import numba
from llvmlite import binding
from numba.core import types
from numba.extending import intrinsic

__all__ = [
    "EQUATIONS",
    "compile_callback",
    "compile_kernel",
    "compile_part",
    "compile_part_in_order",
    "read_bits_as_float",
    "read_float_as_bits",
    "take_larger",
]

Function = TypeVar("Function", bound=Callable[..., Any])


@cache
def _digest_sources() -> str:
    """Return a digest of all sources of the fits, of the version of numba and of the kind of processor.

    A kernel kept on disk holds the code and the constants of all that it calls, but numba asks only whether the
    kernel's own file has changed. With the digest in its name a kernel from other sources is never taken. And since
    a name then stands for one piece of machine code, processes that write it at the same time write the same.
    """
    machine = f"{numba.__version__} {binding.get_host_cpu_name()} {binding.get_host_cpu_features().flatten()}"
    sources = sorted(Path(__file__).parents[1].rglob("*.py"))
    return hashlib.sha256(b"".join([machine.encode(), *(s.read_bytes() for s in sources)])).hexdigest()[:12]


def _choose_pipeline(name: str) -> dict[str, Any]:
    """Return how a function is compiled: by parts where numba is known to allow it.

    `usidx.fitting.compile.numba_pipeline` does that. It reaches into numba's own classes, which change between its
    versions. Any other version compiles by numba's usual way: slower at the first fit, the same results.
    """
    if not numba.__version__.startswith(_ASSEMBLED):
        return {}
    from usidx.fitting.compile import numba_pipeline

    return {"pipeline_class": getattr(numba_pipeline, name)}


def _add_digest_to_name(function: Function) -> Function:
    function.__qualname__ = f"{function.__qualname__}_{_digest_sources()}"
    return function


# Versions of numba whose inner classes the assembly was tested with.
_ASSEMBLED: Final = ("0.68.",)
# error_model: the check for division by zero would block vectorisation; inf and nan are wanted anyhow.
# _nrt: kernels allocate nothing, and without reference counts they are smaller and faster.
_OPTIONS: Final = {"error_model": "numpy", "_nrt": False}

_LINE, _TABLE, _ROWS = types.int64[::1], types.int64[:, ::1], types.float64[:, ::1]
#: What `compile_callback` makes takes and returns.
EQUATIONS: Final = types.float64(_LINE, _TABLE, _TABLE, _ROWS, _ROWS, types.int64)


def compile_part(function: Function) -> Function:
    """Compile as a part of kernels; sums may be reordered so that they vectorise."""
    part: Function = numba.njit(**_choose_pipeline("Part"), fastmath={"reassoc", "contract"}, **_OPTIONS)(function)
    return part


def compile_part_in_order(function: Function) -> Function:
    """Compile as a part of kernels, with each operation in the order written."""
    part: Function = numba.njit(**_choose_pipeline("Part"), fastmath={"contract"}, **_OPTIONS)(function)
    return part


def compile_kernel(function: Function, signature: Any = None, *, in_order: bool = False) -> Function:
    """Compile without the interpreter lock, kept on disk; at once where the signature is given."""
    fastmath = {"contract"} if in_order else {"reassoc", "contract"}
    options = {"nogil": True, "cache": True, "fastmath": fastmath, **_OPTIONS, **_choose_pipeline("Kernel")}
    made: Function = numba.njit(signature, **options)(_add_digest_to_name(function))
    return made


def compile_callback(function: Function) -> Function:
    """Compile for calls through a pointer: a kernel that gets it as an argument compiles without it, much faster.

    The arguments are head, info, code, bench, data (see `usidx.fitting.compile.layout`) and a whole number.
    """
    options = {"cache": True, "fastmath": {"reassoc", "contract"}, **_OPTIONS}
    made: Function = numba.cfunc(EQUATIONS, **_choose_pipeline("Kernel"), **options)(_add_digest_to_name(function))
    return made


@intrinsic  # type: ignore[untyped-decorator]
def read_bits_as_float(context: Any, bits: Any) -> Any:
    """Read 64 bits as a float."""
    from llvmlite import ir

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def read_float_as_bits(context: Any, number: Any) -> Any:
    """Read a float as 64 bits."""
    from llvmlite import ir

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), generate


@intrinsic  # type: ignore[untyped-decorator]
def take_larger(context: Any, one: Any, other: Any) -> Any:
    """Return the larger of two numbers that are not nan; unlike `max` it vectorises."""
    from llvmlite import ir

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.DoubleType()
        function = builder.module.declare_intrinsic("llvm.maxnum", [kind], ir.FunctionType(kind, [kind, kind]))
        return builder.call(function, args, fastmath=("nnan", "nsz"))

    return types.float64(types.float64, types.float64), generate
