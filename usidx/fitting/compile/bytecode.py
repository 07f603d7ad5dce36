"""Graphs of operations -> a short list of instructions, for `compile.interpreter` or `compile.llvm`.

Two register files: numbers (the same for all samples: parameters, constants, what follows from them) and rows (one
value per sample). Each instruction is five integers: operation, destination, up to three sources. Since a program
is data and not code, one compiled interpreter, kept on disk, serves every model and every expression of a user;
`usidx.fitting.compile.llvm` makes of it a loop of machine code, which is faster and fits most of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from usidx.fitting.formula.nodes import Node

__all__ = ["OPERATIONS", "Program", "assemble"]

_NAMES: Final = (
    # rows with rows
    *("add", "sub", "mul", "div", "pow", "select", "wofz_real", "wofz_imag"),
    # one row
    *("exp", "log", "sqrt", "sin", "cos", "tanh", "arctan", "erf", "abs", "copy"),
    # a number with a row
    *("number_add", "number_mul", "number_div", "fill", "number_mul_add", "number_mul_number_add"),
)

#: Operation -> its number in a program.
OPERATIONS: Final = {name: number for number, name in enumerate(_NAMES)}


@dataclass(frozen=True, slots=True)
class Program:
    """What the interpreter runs: instructions on numbers, then on rows, and where the outputs stand.

    Attributes
    ----------
    numbers : ndarray of float64
        Start content of the number registers; the first `n_parameters` are filled with the parameters.
    number_code, row_code : ndarray of int64, shape (instruction, 5)
        Operation, destination, sources.
    n_value_code : int
        How many of the instructions on rows give the value; the others give derivatives.
    outputs : ndarray of int64, shape (part, 1 + free parameter)
        Row registers of value and derivatives; part is real and imaginary, or the value alone. -1: always zero.
    n_rows : int
        Row registers needed; the first `n_variables` are filled with the coordinates.
    n_parameters, n_variables : int
        Lengths of the inputs.
    """

    numbers: npt.NDArray[np.float64]
    number_code: npt.NDArray[np.int64]
    row_code: npt.NDArray[np.int64]
    n_value_code: int
    outputs: npt.NDArray[np.int64]
    n_rows: int
    n_parameters: int
    n_variables: int


def assemble(outputs: Sequence[Sequence[Node]], parameters: Sequence[str], n_variables: int = 1) -> Program:
    """Translate graphs into one program.

    Parameters
    ----------
    outputs : sequence of sequences of Node
        Per part (real, imaginary): the value, then its derivatives.
    parameters : sequence of str
        Names of the parameters, in the order in which the interpreter gets them.
    n_variables : int
        Number of independent variables.

    Returns
    -------
    Program
        Ready for the interpreter.
    """
    # Values first, so that they can be had without the derivatives.
    order = _sort_nodes([*(part[0] for part in outputs), *(node for part in outputs for node in part[1:])])
    n_values = len(_sort_nodes([part[0] for part in outputs]))
    numbers = _Numbers(parameters)
    for node in order:
        if not node.varies:
            numbers.place(node)
    rows = _Rows(numbers, n_variables, order, outputs)
    for position, node in enumerate(order[:n_values]):
        rows.place(node, position)
    values = [rows.place_output(part[0]) for part in outputs]
    n_value_code = len(rows.code)
    for position, node in enumerate(order[n_values:], n_values):
        rows.place(node, position)
    places = [[value, *map(rows.place_derivative, part[1:])] for value, part in zip(values, outputs, strict=True)]
    return Program(
        numbers=np.array(numbers.values, dtype=np.float64),
        number_code=_make_table(numbers.code),
        row_code=_make_table(rows.code),
        n_value_code=n_value_code,
        outputs=np.array(places, dtype=np.int64),
        n_rows=rows.size,
        n_parameters=len(parameters),
        n_variables=n_variables,
    )


def _make_table(code: list[tuple[int, int, int, int, int]]) -> npt.NDArray[np.int64]:
    return np.array(code, dtype=np.int64).reshape(-1, 5)


def _sort_nodes(roots: Sequence[Node]) -> list[Node]:
    """List every node once, arguments before what uses them."""
    order: list[Node] = []
    seen: set[Node] = set()

    def visit(node: Node) -> None:
        if node not in seen:
            seen.add(node)
            for arg in node.args:
                visit(arg)
            order.append(node)

    for root in roots:
        visit(root)
    return order


def _find_fusible_products(order: Sequence[Node], outputs: Sequence[Sequence[Node]]) -> dict[Node, Node]:
    """Return for sums one summand that is a number times a row and serves nothing else: both become one operation."""
    uses = Counter(arg for node in order for arg in node.args) + Counter(node for part in outputs for node in part)
    found = {}
    for node in order:
        if node.op == "add" and node.varies:
            for arg in node.args:
                if arg.op == "mul" and arg.varies and not arg.args[0].varies and uses[arg] == 1:
                    found[node] = arg
    return found


def _find_last_uses(
    order: Sequence[Node], outputs: Sequence[Sequence[Node]], fused: dict[Node, Node]
) -> dict[Node, int]:
    last = {arg: position for position, node in enumerate(order) for arg in node.args}
    for position, node in enumerate(order):
        if node in fused:
            # What the product is made of is read by the sum, which comes later.
            last |= {arg: max(position, last[arg]) for arg in fused[node].args}
    return last | {node: len(order) for part in outputs for node in part}


class _Numbers:
    """Registers of numbers; never reused, for they are few and small."""

    def __init__(self, parameters: Sequence[str]) -> None:
        self.values: list[float] = [0.0] * len(parameters)
        self.code: list[tuple[int, int, int, int, int]] = []
        self.where: dict[Node, int] = {}
        self._named = {name: position for position, name in enumerate(parameters)}

    def place(self, node: Node) -> None:
        if node.op == "parameter":
            self.where[node] = self._named[str(node.value)]
            return
        self.where[node] = len(self.values)
        self.values.append(float(node.value) if node.op == "constant" and node.value is not None else 0.0)
        if node.op != "constant":
            sources = [self.where[a] for a in node.args] + [0, 0]
            self.code.append((OPERATIONS[node.op], self.where[node], sources[0], sources[1], (*sources, 0)[2]))


class _Rows:
    """Registers of rows, freed after their last use."""

    def __init__(
        self, numbers: _Numbers, n_variables: int, order: Sequence[Node], outputs: Sequence[Sequence[Node]]
    ) -> None:
        self.numbers = numbers
        self.fused = _find_fusible_products(order, outputs)
        self._merged = set(self.fused.values())
        self.last = _find_last_uses(order, outputs, self.fused)
        self.code: list[tuple[int, int, int, int, int]] = []
        self.where: dict[Node, int] = {}
        self.size = n_variables
        self._free: list[int] = []

    def place(self, node: Node, position: int) -> None:
        if not node.varies or node in self._merged:
            return
        if node.op == "variable" and isinstance(node.value, int):
            self.where[node] = node.value
            return
        operation, args = self._choose_form(node)
        borrowed: list[int] = []
        sources = [self._find_source(operation, a, k, borrowed) for k, a in enumerate(args)]
        # Destination and sources differ always: the interpreter's loops rely on rows that do not overlap.
        self.where[node] = self._take_row()
        self._emit(operation, self.where[node], sources)
        self._free += borrowed
        self._release_rows(node, position)

    def _choose_form(self, node: Node) -> tuple[str, tuple[Node, ...]]:
        """Choose the cheaper form of an operation between a number and a row."""
        if node in self.fused:
            product = self.fused[node]
            other = node.args[0] if node.args[1] is product else node.args[1]
            return "number_mul_add" if other.varies else "number_mul_number_add", (*product.args, other)
        if node.op in {"add", "mul"} and not node.args[0].varies:
            return f"number_{node.op}", node.args
        if node.op == "div" and not node.args[0].varies:
            return "number_div", node.args
        return node.op, node.args

    def _find_source(self, operation: str, node: Node, place: int, borrowed: list[int]) -> int:
        if node.varies:
            return self.where[node]
        if operation.startswith("number_") and (place == 0 or operation == "number_mul_number_add"):
            return self.numbers.where[node]
        borrowed.append(self._fill_row(node))
        return borrowed[-1]

    def _fill_row(self, node: Node) -> int:
        row = self._take_row()
        self._emit("fill", row, [self.numbers.where[node]])
        return row

    def _emit(self, operation: str, destination: int, sources: list[int]) -> None:
        a, b, c = (*sources, 0, 0, 0)[:3]
        self.code.append((OPERATIONS[operation], destination, a, b, c))

    def _take_row(self) -> int:
        if self._free:
            return self._free.pop()
        self.size += 1
        return self.size - 1

    def _release_rows(self, node: Node, position: int) -> None:
        product = self.fused.get(node)
        for arg in dict.fromkeys((*node.args, *(product.args if product is not None else ()))):
            if arg in self.where and arg.varies and arg.op != "variable" and self.last[arg] == position:
                self._free.append(self.where[arg])

    def place_output(self, node: Node) -> int:
        """Return the row of an output; numbers become a row of their own."""
        if node not in self.where:
            self.where[node] = self._fill_row(node)
        return self.where[node]

    def place_derivative(self, node: Node) -> int:
        """Return the row of a derivative, -1 where it is zero always."""
        return -1 if node.op == "constant" and node.value == 0.0 else self.place_output(node)
