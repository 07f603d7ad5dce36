"""Program -> machine code of its own: value, derivatives and normal equations in few loops over the samples.

`compile.interpreter` reads and writes a row for every instruction. Here the instructions become loops that keep all of
a sample in registers; `compile.writer` writes them. What that does not cover the interpreter does. Importing this
module imports numba; do so only inside a function.
"""

from __future__ import annotations

from threading import Lock
from typing import Any, Final

from llvmlite import binding, ir
from numba.core import types
from numba.core.registry import cpu_target
from numba.experimental import function_type

from usidx.fitting.compile.bytecode import Program
from usidx.fitting.compile.jit import EQUATIONS
from usidx.fitting.compile.writer import ARGUMENTS, COVERED, LIBRARY, NAMES, Writer
from usidx.tasks.process.fork import hold_over_fork

__all__ = ["FusedEquations", "choose_equations"]

_MOST_SUMS: Final = 70  # more than that leave the registers for good
_MOST_CODE: Final = 400  # instructions: compiling grows with them

# What another version, or another platform, may answer.
_FAILURES: Final = (AttributeError, TypeError, ValueError, LookupError, RuntimeError, OSError)

_made: dict[tuple[object, ...], Any] = {}
_lock = Lock()
hold_over_fork(_lock)


_ = function_type  # as long as it is not imported, numba does not know functions by their address


class FusedEquations(types.WrapperAddressProtocol):
    """Machine code that numba takes where it takes `fill_normal_equations`."""

    def __init__(self, engine: Any, address: int) -> None:
        self._engine, self._address = engine, address  # the code lives as long as its engine

    def __wrapper_address__(self) -> int:
        """Return where the code is."""
        return self._address

    def signature(self) -> Any:
        """Return the types of its arguments."""
        return EQUATIONS


def choose_equations(program: Program, *, weighted: bool, robust: bool) -> Any:
    """Return what fills the normal equations of a program.

    That is `compile.normal_equations.fill_normal_equations` where the program, or a robust loss, is not covered, or no
    machine code can be made. The choice never depends on the spectra, for the two differ by rounding.
    """
    if robust or not _is_covered(program):
        return _import_interpreter()
    tables = (program.numbers, program.number_code, program.row_code, program.outputs)
    shape = (program.n_parameters, program.n_variables, program.outputs.shape)
    key = (weighted, *shape, *(table.tobytes() for table in tables))
    with _lock:
        if key not in _made:
            try:
                _made[key] = _compile(program, weighted=weighted)
            except _FAILURES:
                _made[key] = _import_interpreter()
        return _made[key]


def _import_interpreter() -> Any:
    """Return what runs all programs; to compile it takes longer than all else, so only where it is needed."""
    from usidx.fitting.compile.normal_equations import fill_normal_equations

    return fill_normal_equations


def _is_covered(program: Program) -> bool:
    free = program.outputs.shape[1] - 1
    used = {NAMES[int(code)] for table in (program.number_code, program.row_code) for code in table[:, 0]}
    sums = 1 + free + free * (free + 1) // 2
    called = [LIBRARY[name] for name in used if name in LIBRARY]
    # The compiler makes one call of sine and cosine where the system has it.
    called += ["sincos"] if {"sin", "cos"} <= used else []
    return (
        used <= COVERED
        and sums <= _MOST_SUMS
        and len(program.row_code) <= _MOST_CODE
        # An unknown symbol would end the process.
        and all(binding.address_of_symbol(name) is not None for name in called)
    )


def _compile(program: Program, *, weighted: bool) -> FusedEquations:
    """Return the machine code for this processor."""
    if not _is_known_layout():
        raise RuntimeError("numba holds arrays in another way than is written here.")
    module = ir.Module(name="fused")
    module.triple = binding.get_process_triple()
    Writer(module, program, weighted=weighted).write()
    machine = binding.Target.from_triple(module.triple).create_target_machine(
        cpu=binding.get_host_cpu_name(), features=binding.get_host_cpu_features().flatten(), opt=3, jit=True
    )
    parsed = binding.parse_assembly(str(module))
    options = binding.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    builder = binding.create_pass_builder(machine, options)
    builder.getModulePassManager().run(parsed, builder)
    engine = binding.create_mcjit_compiler(parsed, machine)
    engine.finalize_object()
    return FusedEquations(engine, engine.get_function_address("fused"))


def _is_known_layout() -> bool:
    known = [str(cpu_target.target_context.get_value_type(kind)) for kind in EQUATIONS.args]
    return known == [str(kind) for kind in ARGUMENTS]
