"""Functions of force curves -> machine code, each kernel with all that it calls; importing this imports numba."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar

from numba import types

from usidx.fitting.compile.jit import compile_kernel, compile_part_in_order

__all__ = ["LINE_IN", "PARTS", "ROWS_IN", "ROWS_OUT", "compile_force_kernel", "compile_part_in_order"]

Function = TypeVar("Function", bound=Callable[..., Any])

#: Arrays that a kernel takes and fills.
LINE_IN: Final = types.Array(types.float64, 1, "C", readonly=True)
ROWS_IN: Final = types.Array(types.float64, 2, "C", readonly=True)
PARTS: Final = types.Array(types.int64, 2, "C", readonly=True)
ROWS_OUT: Final = types.Array(types.float64, 2, "C")


def compile_force_kernel(*arguments: Any) -> Callable[[Function], Function]:
    """Compile a function of these types of arguments, kept on disk; its parts are in the files of this folder."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]

    def compile_named(function: Function) -> Function:
        # numba's cache looks at the kernel's own file alone, and at its name.
        function.__qualname__ = f"{function.__qualname__}_{digest}"
        return compile_kernel(function, types.void(*arguments), in_order=True)

    return compile_named
