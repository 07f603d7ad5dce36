"""Program -> machine code of its own: value, derivatives and normal equations in one loop over the samples.

`compile.interpreter` reads and writes a row for every instruction. Here the instructions become one loop that keeps all
of a sample in registers. It is written in LLVM's language, without numba's way there, so that it is made in a moment.
What it does not cover the interpreter does. Importing this module imports numba; do so only inside a function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import Lock
from typing import Any, Final

import numpy as np
from llvmlite import binding, ir
from numba.core import types
from numba.core.registry import cpu_target
from numba.experimental import function_type

from usidx.fitting.compile import layout as at
from usidx.fitting.compile.bytecode import OPERATIONS, Program
from usidx.fitting.compile.jit import EQUATIONS
from usidx.tasks.process.fork import hold_over_fork

__all__ = ["FusedEquations", "choose_equations"]

Place = tuple[int, int]  # of a sum: cost (-1, -1), gradient (j, -1), triangle (j, k)

_DOUBLE, _WHOLE, _POINTER = ir.DoubleType(), ir.IntType(64), ir.IntType(8).as_pointer()
# As in the other kernels: sums may be reordered so that they vectorise; nan and infinity keep their meaning.
_FAST: Final = ("reassoc", "contract")
_MOST_SUMS: Final = 70  # more than that leave the registers for good
_MOST_CODE: Final = 400  # instructions: compiling grows with them

_NAMES: Final = {number: name for name, number in OPERATIONS.items()}
_ARITHMETIC: Final = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_SUMS_OF_PRODUCTS: Final = frozenset({"number_mul_add", "number_mul_number_add"})
_INTRINSICS: Final = {"sqrt": "llvm.sqrt", "abs": "llvm.fabs"}
# Functions of the system's library.
_LIBRARY: Final = {"sin": "sin", "cos": "cos", "tanh": "tanh", "arctan": "atan", "log": "log"}
#: LLVM before 19 does not know these by itself, and leaves a call to nowhere, which ends the process.
_NO_INTRINSIC: Final = frozenset({"tanh", "arctan"})
_COVERED: Final = (
    frozenset({"select", "exp", "copy", "fill", "number_add", "number_mul", "number_div", *_ARITHMETIC})
    | _SUMS_OF_PRODUCTS
    | frozenset(_INTRINSICS)
    | frozenset(_LIBRARY)
)
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
    used = {_NAMES[int(code)] for table in (program.number_code, program.row_code) for code in table[:, 0]}
    sums = 1 + free + free * (free + 1) // 2
    called = [_LIBRARY[name] for name in used if name in _LIBRARY]
    # The compiler makes one call of sine and cosine where the system has it.
    called += ["sincos"] if {"sin", "cos"} <= used else []
    return (
        used <= _COVERED
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
    _Writer(module, program, weighted=weighted).write()
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


def _describe_array(dims: int, element: Any) -> Any:
    """Return numba's array: owner, parent, size, size of an element, elements, shape, strides."""
    lengths = ir.ArrayType(_WHOLE, dims)
    return ir.LiteralStructType([_POINTER, _POINTER, _WHOLE, _WHOLE, element.as_pointer(), lengths, lengths])


_ARGUMENTS: Final = (
    _describe_array(1, _WHOLE),
    *[_describe_array(2, _WHOLE)] * 2,
    *[_describe_array(2, _DOUBLE)] * 2,
    _WHOLE,
)


def _is_known_layout() -> bool:
    known = [str(cpu_target.target_context.get_value_type(kind)) for kind in EQUATIONS.args]
    return known == [str(kind) for kind in _ARGUMENTS]


class _Writer:
    """Writes the function `fused`, which takes and does what `fill_normal_equations` does."""

    def __init__(self, module: Any, program: Program, *, weighted: bool) -> None:
        self.module, self.program = module, program
        self.function = ir.Function(module, ir.FunctionType(_DOUBLE, _ARGUMENTS), name="fused")
        self.b = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.head, _, _, self.bench, self.data, self.purpose = self.function.args
        self.slopes = [{j: s for j, s in enumerate(part[1:]) if s >= 0} for part in program.outputs.tolist()]
        self.free = program.outputs.shape[1] - 1
        first = self._load_from_head(at.Y)
        self.x = [self._locate_row(self.data, _WHOLE(k)) for k in range(program.n_variables)]
        self.y = [self._locate_row(self.data, self.b.add(first, _WHOLE(k))) for k in range(len(self.slopes))]
        self.weight = self._locate_row(self.data, self._load_from_head(at.WEIGHT)) if weighted else None

    def write(self) -> None:
        """Write it all."""
        b = self.b
        with b.if_then(b.icmp_signed("==", self.purpose, _WHOLE(at.FOR_RESIDUAL))):
            b.ret(self._write_residual(self._write_numbers(self._locate_row(self.bench, _WHOLE(at.PARAMETERS)))))
        trial = b.icmp_signed("==", self.purpose, _WHOLE(at.AT_TRIAL))
        row = b.select(trial, _WHOLE(at.TRIAL), _WHOLE(at.PARAMETERS))
        numbers = self._write_numbers(self._locate_row(self.bench, row))
        totals = self._write_loop(
            self._list_sums(),
            lambda sums, i: self._write_sums(sums, self._write_registers(numbers, i, self.program.row_code), i),
        )
        matrix = b.select(trial, self._load_from_head(at.TRIAL_MATRIX), self._load_from_head(at.MATRIX))
        gradient = self._locate_row(self.bench, b.select(trial, _WHOLE(at.TRIAL_GRADIENT), _WHOLE(at.GRADIENT)))
        for j in range(self.free):
            line = self._locate_row(self.bench, b.add(matrix, _WHOLE(j)))
            b.store(totals.get((j, -1), _DOUBLE(0.0)), b.gep(gradient, [_WHOLE(j)]))
            for k in range(j + 1):
                b.store(totals.get((j, k), _DOUBLE(0.0)), b.gep(line, [_WHOLE(k)]))
        b.ret(totals[-1, -1])

    def _write_residual(self, numbers: Sequence[Any]) -> Any:
        """Write the loop that leaves the residual, and return the sum of its squares."""
        b, first = self.b, self._load_from_head(at.RESIDUAL)
        targets = [self._locate_row(self.data, b.add(first, _WHOLE(k))) for k in range(len(self.y))]
        values, code = self.program.outputs[:, 0].tolist(), self.program.row_code[: self.program.n_value_code]

        def leave(total: Mapping[Place, Any], i: Any) -> dict[Place, Any]:
            sums, registers = dict(total), self._write_registers(numbers, i, code)
            for y, value, target in zip(self.y, values, targets, strict=True):
                left = b.fsub(b.load(b.gep(y, [i])), registers[value], flags=_FAST)
                b.store(left, b.gep(target, [i]))
                sums[-1, -1] = b.fadd(sums[-1, -1], b.fmul(left, left, flags=_FAST), flags=_FAST)
            return sums

        return self._write_loop([(-1, -1)], leave)[-1, -1]

    def _load_from_head(self, place: int) -> Any:
        return self.b.load(self.b.gep(self.b.extract_value(self.head, 4), [_WHOLE(place)]))

    def _locate_row(self, table: Any, number: Any) -> Any:
        width = self.b.extract_value(table, [5, 1])
        return self.b.gep(self.b.extract_value(table, 4), [self.b.mul(number, width)])

    def _write_numbers(self, parameters: Any) -> list[Any]:
        """Write what is the same for all samples, and return the registers of numbers."""
        found = [_DOUBLE(float(value)) for value in self.program.numbers]
        for k in range(self.program.n_parameters):
            found[k] = self.b.load(self.b.gep(parameters, [_WHOLE(k)]))
        for operation, target, *sources in self.program.number_code.tolist():
            found[target] = self._write_operation(_NAMES[operation], [found[s] for s in sources])
        return found

    def _write_loop(
        self, places: Sequence[Place], step: Callable[[Mapping[Place, Any], Any], dict[Place, Any]]
    ) -> dict[Place, Any]:
        """Write a loop over the samples and return the sums; `step` writes how sample `i` adds to them."""
        b, before, samples = self.b, self.b.block, self._load_from_head(at.SAMPLES)
        body, after = (self.function.append_basic_block(name) for name in ("body", "after"))
        b.cbranch(b.icmp_signed(">", samples, _WHOLE(0)), body, after)
        b.position_at_end(body)
        i = b.phi(_WHOLE)
        so_far = {place: b.phi(_DOUBLE) for place in places}
        sums = step(so_far, i)
        following = b.add(i, _WHOLE(1), flags=("nuw", "nsw"))
        b.cbranch(b.icmp_signed("<", following, samples), body, after)
        b.position_at_end(after)
        totals = {place: b.phi(_DOUBLE) for place in sums}
        i.add_incoming(_WHOLE(0), before)
        i.add_incoming(following, body)
        for place, total in sums.items():
            for phi in (so_far[place], totals[place]):
                phi.add_incoming(_DOUBLE(0.0), before)
                phi.add_incoming(total, body)
        return totals

    def _list_sums(self) -> list[Place]:
        """Return the sums that are not zero always."""
        known = [{-1, *columns} for columns in self.slopes]
        pairs = [(j, k) for j in range(-1, self.free) for k in range(-1, j + 1)]
        return [pair for pair in pairs if any(set(pair) <= part for part in known)]

    def _write_registers(self, numbers: Sequence[Any], i: Any, code: Any) -> dict[int, Any]:
        """Write instructions for sample `i` and return the registers of rows."""
        found = {k: self.b.load(self.b.gep(row, [i])) for k, row in enumerate(self.x)}
        nothing = _DOUBLE(0.0)
        for operation, target, *sources in code.tolist():
            name = _NAMES[operation]
            values = [found.get(source, nothing) for source in sources]
            if name.startswith("number_") or name == "fill":
                values[0] = numbers[sources[0]]
            if name == "number_mul_number_add":
                values[2] = numbers[sources[2]]
            found[target] = self._write_operation(name, values)
        return found

    def _write_sums(self, so_far: Mapping[Place, Any], registers: Mapping[int, Any], i: Any) -> dict[Place, Any]:
        """Write how a sample adds to the sums and return them."""
        b, sums = self.b, dict(so_far)
        for y, value, slopes in zip(self.y, self.program.outputs[:, 0].tolist(), self.slopes, strict=True):
            columns = {-1: b.fsub(b.load(b.gep(y, [i])), registers[value], flags=_FAST)}
            columns |= {j: registers[register] for j, register in slopes.items()}
            if self.weight is not None:
                weight = b.load(b.gep(self.weight, [i]))
                columns = {j: b.fmul(column, weight, flags=_FAST) for j, column in columns.items()}
            for j, k in sums:
                if j in columns and k in columns:
                    product = b.fmul(columns[j], columns[k], flags=_FAST)
                    sums[j, k] = b.fadd(sums[j, k], product, flags=_FAST)
        return sums

    def _write_operation(self, name: str, values: Sequence[Any]) -> Any:
        """Write an operation on numbers or on samples: both are the same here."""
        a, b, c = values
        name = name if name in _SUMS_OF_PRODUCTS else name.removeprefix("number_")
        if name in _ARITHMETIC:
            return getattr(self.b, _ARITHMETIC[name])(a, b, flags=_FAST)
        if name in _SUMS_OF_PRODUCTS:
            return self.b.fadd(self.b.fmul(a, b, flags=_FAST), c, flags=_FAST)
        if name == "select":
            return self.b.select(self.b.fcmp_ordered(">=", a, _DOUBLE(0.0)), b, c)
        if name == "exp":
            return self._write_exponential(a)
        if name == "log":
            return self.b.select(
                self.b.fcmp_ordered(">", a, _DOUBLE(0.0)), self._write_call("llvm.log", a), _DOUBLE(np.nan)
            )
        if name in _INTRINSICS:
            return self._write_call(_INTRINSICS[name], a)
        if name in _NO_INTRINSIC:
            return self._write_library_call(_LIBRARY[name], a)
        return self._write_call(f"llvm.{_LIBRARY[name]}", a) if name in _LIBRARY else a

    def _write_call(self, name: str, a: Any) -> Any:
        return self.b.call(self.module.declare_intrinsic(name, [_DOUBLE]), [a])

    def _write_library_call(self, name: str, a: Any) -> Any:
        function = self.module.globals.get(name)
        if function is None:
            function = ir.Function(self.module, ir.FunctionType(_DOUBLE, [_DOUBLE]), name=name)
            function.attributes.add("readnone")  # so that it is called once for the same sample
            function.attributes.add("nounwind")
        return self.b.call(function, [a])

    def _write_exponential(self, x: Any) -> Any:
        """Write `usidx.fitting.compile.interpreter.compute_exponential`, each operation in the order written."""
        do = self.b
        operations: tuple[Callable[..., Any], ...] = (do.fadd, do.fsub, do.fmul)
        add, subtract, multiply = (partial(operation, flags=("contract",)) for operation in operations)
        highest, lowest, magic = _DOUBLE(709.0), _DOUBLE(-300.0), _DOUBLE(6755399441055744.0)
        x = do.select(do.fcmp_ordered(">", x, highest), highest, x)
        kept = do.fcmp_unordered(">", x, lowest)  # or nan, which stays what it is
        x = do.select(do.fcmp_ordered("<", x, lowest), lowest, x)
        shifted = add(multiply(x, _DOUBLE(1.4426950408889634)), magic)
        k = subtract(shifted, magic)
        r = subtract(x, multiply(k, _DOUBLE(0.693147180369123816490)))
        r = subtract(r, multiply(k, _DOUBLE(1.90821492927058770002e-10)))
        p = _DOUBLE(1.0 / math.factorial(13))
        for n in range(12, -1, -1):
            p = add(multiply(p, r), _DOUBLE(1.0 / math.factorial(n)))
        power = do.shl(do.add(do.bitcast(shifted, _WHOLE), _WHOLE(1023)), _WHOLE(52))
        return do.select(kept, multiply(p, do.bitcast(power, _DOUBLE)), _DOUBLE(0.0))
