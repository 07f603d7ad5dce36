"""Program -> its function in LLVM's language, without numba's way there, so that it is made in a moment.

The exponentials of all samples are worked out in loops of their own, and kept in rows: there the processor's registers
hold the numbers of the polynomial, and in the loop over the sums they hold sums. In one loop neither would fit.
Importing this module imports llvmlite; do so only inside a function.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from typing import Any, Final

import numpy as np
from llvmlite import ir

from usidx.fitting.compile import layout as at
from usidx.fitting.compile.bytecode import OPERATIONS, Program

__all__ = ["ARGUMENTS", "COVERED", "LIBRARY", "NAMES", "Writer"]

Place = tuple[int, int]  # of a sum: cost (-1, -1), gradient (j, -1), triangle (j, k)

_DOUBLE, _WHOLE, _POINTER = ir.DoubleType(), ir.IntType(64), ir.IntType(8).as_pointer()
# As in the other kernels: sums may be reordered so that they vectorise; nan and infinity keep their meaning.
_FAST: Final = ("reassoc", "contract")
# What is worked out once stays as it is written, or a division would be moved into the loop.
_ONCE: Final = ("contract",)

NAMES: Final = {number: name for name, number in OPERATIONS.items()}
_ARITHMETIC: Final = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_SUMS_OF_PRODUCTS: Final = frozenset({"number_mul_add", "number_mul_number_add"})
_INTRINSICS: Final = {"sqrt": "llvm.sqrt", "abs": "llvm.fabs"}
# Functions of the system's library.
LIBRARY: Final = {"sin": "sin", "cos": "cos", "tanh": "tanh", "arctan": "atan", "log": "log"}
#: LLVM before 19 does not know these by itself, and leaves a call to nowhere, which ends the process.
_NO_INTRINSIC: Final = frozenset({"tanh", "arctan"})
COVERED: Final = (
    frozenset({"select", "exp", "copy", "fill", "number_add", "number_mul", "number_div", *_ARITHMETIC})
    | _SUMS_OF_PRODUCTS
    | frozenset(_INTRINSICS)
    | frozenset(LIBRARY)
)


def _describe_array(dims: int, element: Any) -> Any:
    """Return numba's array: owner, parent, size, size of an element, elements, shape, strides."""
    lengths = ir.ArrayType(_WHOLE, dims)
    return ir.LiteralStructType([_POINTER, _POINTER, _WHOLE, _WHOLE, element.as_pointer(), lengths, lengths])


ARGUMENTS: Final = (
    _describe_array(1, _WHOLE),
    *[_describe_array(2, _WHOLE)] * 2,
    *[_describe_array(2, _DOUBLE)] * 2,
    _WHOLE,
)


class Writer:
    """Writes the function `fused`, which takes and does what `fill_normal_equations` does."""

    def __init__(self, module: Any, program: Program, *, weighted: bool) -> None:
        self.module, self.program, self.code = module, program, program.row_code.tolist()
        self.function = ir.Function(module, ir.FunctionType(_DOUBLE, ARGUMENTS), name="fused")
        self.b = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.head, _, _, self.bench, self.data, self.purpose = self.function.args
        self.slopes = [{j: s for j, s in enumerate(part[1:]) if s >= 0} for part in program.outputs.tolist()]
        self.values, self.free = program.outputs[:, 0].tolist(), program.outputs.shape[1] - 1
        self.x = [self._locate_row(self.data, _WHOLE(k)) for k in range(program.n_variables)]
        self.y = self._locate_parts(self._load_from_head(at.Y))
        self.weight = self._locate_row(self.data, self._load_from_head(at.WEIGHT)) if weighted else None
        self.kept: dict[int, Any] = {}  # rows of exponentials, by the places of their instructions
        self.loops, self.scope = 0, None

    def write(self) -> None:
        """Write it all."""
        b = self.b
        with b.if_then(b.icmp_signed("==", self.purpose, _WHOLE(at.FOR_RESIDUAL))):
            numbers = self._write_numbers(self._locate_row(self.bench, _WHOLE(at.PARAMETERS)))
            self._write_exponentials(numbers, self.program.n_value_code)
            b.ret(self._write_residual(numbers))
        trial = b.icmp_signed("==", self.purpose, _WHOLE(at.AT_TRIAL))
        row = b.select(trial, _WHOLE(at.TRIAL), _WHOLE(at.PARAMETERS))
        numbers = self._write_numbers(self._locate_row(self.bench, row))
        self._write_exponentials(numbers, len(self.code))
        # Where the residual is not wanted it goes where nobody looks: a choice in the loop would cost more.
        idle = b.add(self._load_from_head(at.KEPT), _WHOLE(len(self.kept)))
        left = self._locate_parts(b.select(trial, self._load_from_head(at.RESIDUAL), idle))
        totals = self._write_loop(
            self._list_sums(), lambda sums, i: self._write_sums(sums, self._write_registers(numbers, i), left, i)
        )
        totals |= self._write_plain_sums(numbers)
        matrix = b.select(trial, self._load_from_head(at.TRIAL_MATRIX), self._load_from_head(at.MATRIX))
        gradient = self._locate_row(self.bench, b.select(trial, _WHOLE(at.TRIAL_GRADIENT), _WHOLE(at.GRADIENT)))
        for j in range(self.free):
            line = self._locate_row(self.bench, b.add(matrix, _WHOLE(j)))
            b.store(totals.get((j, -1), _DOUBLE(0.0)), b.gep(gradient, [_WHOLE(j)]))
            for k in range(j + 1):
                b.store(totals.get((j, k), _DOUBLE(0.0)), b.gep(line, [_WHOLE(k)]))
        b.ret(totals[-1, -1])

    def _write_exponentials(self, numbers: Sequence[Any], count: int) -> None:
        """Write a loop for each exponential of the first `count` instructions, which leaves its values in a row."""
        self.kept, first = {}, self._load_from_head(at.KEPT)
        for place in range(count):
            if NAMES[self.code[place][0]] != "exp":
                continue
            needed = self._trace_back(place)
            target = self._locate_row(self.data, self.b.add(first, _WHOLE(len(self.kept))))

            def leave(
                _: Mapping[Place, Any], i: Any, needed: list[int] = needed, target: Any = target
            ) -> dict[Place, Any]:
                self._store(self._write_registers(numbers, i, needed)[self.code[needed[-1]][1]], target, i)
                return {}

            self._write_loop([], leave)
            self.kept[place] = target

    def _trace_back(self, last: int) -> list[int]:
        """Return the places of an instruction and of those that it needs."""
        wanted, needed = {self.code[last][1]}, []
        for place in range(last, -1, -1):
            _, target, *sources = self.code[place]
            if target in wanted:
                needed.append(place)
                wanted.discard(target)
                wanted.update(() if place in self.kept else sources)
        return needed[::-1]

    def _write_residual(self, numbers: Sequence[Any]) -> Any:
        """Write the loop that leaves the residual, and return the sum of its squares."""
        b, targets = self.b, self._locate_parts(self._load_from_head(at.RESIDUAL))
        places = range(self.program.n_value_code)

        def leave(total: Mapping[Place, Any], i: Any) -> dict[Place, Any]:
            sums, registers = dict(total), self._write_registers(numbers, i, places)
            for y, value, target in zip(self.y, self.values, targets, strict=True):
                left = b.fsub(self._load(y, i), registers[value], flags=_FAST)
                self._store(left, target, i)
                sums[-1, -1] = b.fadd(sums[-1, -1], b.fmul(left, left, flags=_FAST), flags=_FAST)
            return sums

        return self._write_loop([(-1, -1)], leave)[-1, -1]

    def _load_from_head(self, place: int) -> Any:
        return self.b.load(self.b.gep(self.b.extract_value(self.head, 4), [_WHOLE(place)]))

    def _locate_row(self, table: Any, number: Any) -> Any:
        width = self.b.extract_value(table, [5, 1])
        return self.b.gep(self.b.extract_value(table, 4), [self.b.mul(number, width)])

    def _locate_parts(self, first: Any) -> list[Any]:
        """Return the rows of data for real and imaginary part, from the number of the first."""
        return [self._locate_row(self.data, self.b.add(first, _WHOLE(k))) for k in range(len(self.slopes))]

    def _load(self, row: Any, i: Any) -> Any:
        """Load from a row that this loop does not write to."""
        value = self.b.load(self.b.gep(row, [i]))
        value.set_metadata("noalias", self.scope)
        return value

    def _store(self, value: Any, row: Any, i: Any) -> None:
        self.b.store(value, self.b.gep(row, [i])).set_metadata("alias.scope", self.scope)

    def _write_numbers(self, parameters: Any) -> list[Any]:
        """Write what is the same for all samples, and return the registers of numbers."""
        found = [_DOUBLE(float(value)) for value in self.program.numbers]
        for k in range(self.program.n_parameters):
            found[k] = self.b.load(self.b.gep(parameters, [_WHOLE(k)]))
        for operation, target, *sources in self.program.number_code.tolist():
            found[target] = self._write_operation(NAMES[operation], [found[s] for s in sources], _ONCE)
        return found

    def _write_loop(
        self, places: Sequence[Place], step: Callable[[Mapping[Place, Any], Any], dict[Place, Any]]
    ) -> dict[Place, Any]:
        """Write a loop over the samples and return the sums; `step` writes how sample `i` adds to them."""
        b, before, samples = self.b, self.b.block, self._load_from_head(at.SAMPLES)
        self._begin_scope()
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

    def _begin_scope(self) -> None:
        """Tell the compiler that rows do not overlap; it would ask for each pair before each loop."""
        add, self.loops = self.module.add_metadata, self.loops + 1
        self.scope = add([add([f"loop {self.loops}", add(["rows"])])])

    def _list_sums(self) -> list[Place]:
        """Return the sums that are worked out in the loop: not those that are zero always, or need no samples."""
        known = [{-1, *columns} for columns in self.slopes]
        pairs = [(j, k) for j in range(-1, self.free) for k in range(-1, j + 1)]
        return [pair for pair in pairs if any(set(pair) <= part for part in known) and not self._is_plain(pair)]

    def _is_plain(self, pair: Place) -> bool:
        """Say whether a sum is over products of what is the same for all samples."""
        parts = [[part[j] for j in pair] for part in self.slopes if set(pair) <= set(part)]
        plain = {row[1] for row in self._list_fills()}
        return bool(parts) and self.weight is None and all(set(columns) <= plain for columns in parts)

    def _list_fills(self) -> list[list[int]]:
        """Return the instructions that fill a register of which nothing else becomes."""
        targets = [row[1] for row in self.code]
        return [row for row in self.code if NAMES[row[0]] == "fill" and targets.count(row[1]) == 1]

    def _write_plain_sums(self, numbers: Sequence[Any]) -> dict[Place, Any]:
        """Write the sums that need no loop and return them."""
        b, number = self.b, {row[1]: numbers[row[2]] for row in self._list_fills()}
        samples, sums = b.sitofp(self._load_from_head(at.SAMPLES), _DOUBLE), {}
        for j, k in itertools.combinations_with_replacement(range(self.free - 1, -1, -1), 2):
            if self._is_plain((j, k)):
                parts = [b.fmul(number[p[j]], number[p[k]]) for p in self.slopes if {j, k} <= set(p)]
                sums[j, k] = b.fmul(samples, reduce(b.fadd, parts))
        return sums

    def _write_registers(self, numbers: Sequence[Any], i: Any, places: Sequence[int] | None = None) -> dict[int, Any]:
        """Write instructions, all or those named, for sample `i` and return the registers of rows."""
        found = {k: self._load(row, i) for k, row in enumerate(self.x)}
        nothing = _DOUBLE(0.0)
        for place in range(len(self.code)) if places is None else places:
            operation, target, *sources = self.code[place]
            if place in self.kept:
                found[target] = self._load(self.kept[place], i)
                continue
            name = NAMES[operation]
            values = [found.get(source, nothing) for source in sources]
            if name.startswith("number_") or name == "fill":
                values[0] = numbers[sources[0]]
            if name == "number_mul_number_add":
                values[2] = numbers[sources[2]]
            found[target] = self._write_operation(name, values)
        return found

    def _write_sums(
        self, so_far: Mapping[Place, Any], registers: Mapping[int, Any], left: Sequence[Any], i: Any
    ) -> dict[Place, Any]:
        """Write how a sample adds to the sums and return them, and what leaves the residual in the rows `left`."""
        b, sums = self.b, dict(so_far)
        for y, value, slopes, target in zip(self.y, self.values, self.slopes, left, strict=True):
            columns = {-1: b.fsub(self._load(y, i), registers[value], flags=_FAST)}
            self._store(columns[-1], target, i)
            columns |= {j: registers[register] for j, register in slopes.items()}
            if self.weight is not None:
                weight = self._load(self.weight, i)
                columns = {j: b.fmul(column, weight, flags=_FAST) for j, column in columns.items()}
            for j, k in sums:
                if j in columns and k in columns:
                    product = b.fmul(columns[j], columns[k], flags=_FAST)
                    sums[j, k] = b.fadd(sums[j, k], product, flags=_FAST)
        return sums

    def _write_operation(self, name: str, values: Sequence[Any], flags: Sequence[str] = _FAST) -> Any:
        """Write an operation on numbers or on samples: both are the same here."""
        a, b, c = values
        name = name if name in _SUMS_OF_PRODUCTS else name.removeprefix("number_")
        if name in _ARITHMETIC:
            return getattr(self.b, _ARITHMETIC[name])(a, b, flags=flags)
        if name in _SUMS_OF_PRODUCTS:
            return self.b.fadd(self.b.fmul(a, b, flags=flags), c, flags=flags)
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
            return self._write_library_call(LIBRARY[name], a)
        return self._write_call(f"llvm.{LIBRARY[name]}", a) if name in LIBRARY else a

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
