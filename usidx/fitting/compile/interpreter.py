"""Program and parameters -> value and derivatives of a model over a tile of samples, in machine code.

Importing this module imports numba; do so only inside a function.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from usidx.fitting.compile.bytecode import OPERATIONS
from usidx.fitting.compile.jit import compile_part, compile_part_in_order, read_bits_as_float, read_float_as_bits
from usidx.fitting.compile.layout import N_NUMBER_CODE, N_PARAMETERS, N_VARIABLES, NUMBERS, REGISTERS, SCRATCH

__all__ = ["TILE", "Equations", "Integers", "Row", "Rows", "copy_into", "load_parameters", "run_tile"]

Row = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: Type of `usidx.fitting.compile.normal_equations.fill_normal_equations` where a kernel gets it as a pointer.
Equations = Callable[[Integers, Integers, Integers, Rows, Rows, int], float]

#: Samples worked on at a time: thirty rows of them stay in the nearest cache.
TILE = 256

_MAGIC = 6755399441055744.0  # 1.5 * 2^52: added and taken away again, it rounds to a whole number
_ADD, _SUB, _MUL, _DIV = (OPERATIONS[n] for n in ("add", "sub", "mul", "div"))
_POW, _SELECT = OPERATIONS["pow"], OPERATIONS["select"]
_WOFZ_REAL, _WOFZ_IMAG = OPERATIONS["wofz_real"], OPERATIONS["wofz_imag"]
_EXP, _LOG, _SQRT, _SIN, _COS = (OPERATIONS[n] for n in ("exp", "log", "sqrt", "sin", "cos"))
_TANH, _ARCTAN, _ERF, _ABS = (OPERATIONS[n] for n in ("tanh", "arctan", "erf", "abs"))
_NUMBER_ADD, _NUMBER_MUL = OPERATIONS["number_add"], OPERATIONS["number_mul"]
_NUMBER_DIV, _FILL = OPERATIONS["number_div"], OPERATIONS["fill"]
_NUMBER_MUL_ADD = OPERATIONS["number_mul_add"]


@compile_part_in_order
def compute_exponential(x: float) -> float:
    """Return exp(x) to 2e-16, in a form that vectorises: 2^k times a polynomial in the remainder.

    Below exp(-300) it is zero: squares of such tails are subnormal numbers, on which processors are slow.
    """
    x = min(x, 709.0)
    kept = 1.0 if x > -300.0 else 0.0
    x = max(x, -300.0)
    shifted = x * 1.4426950408889634 + _MAGIC
    k = shifted - _MAGIC
    r = x - k * 0.693147180369123816490
    r = r - k * 1.90821492927058770002e-10
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    power: float = read_bits_as_float((read_float_as_bits(shifted) + 1023) << 52)
    return kept * p * power


@compile_part
def copy_into(target: Row, source: Row, size: int) -> None:
    """Copy the first `size` values (an assignment of slices would allocate)."""
    for i in range(size):
        target[i] = source[i]


@compile_part
def load_parameters(head: Integers, code: Integers, bench: Rows, row: int) -> None:
    """Put a row of parameters into the registers of numbers and work out what follows from them alone."""
    numbers = bench[NUMBERS]
    copy_into(numbers, bench[row], head[N_PARAMETERS])
    for k in range(head[N_NUMBER_CODE]):
        a, b, c = numbers[code[k, 2]], numbers[code[k, 3]], numbers[code[k, 4]]
        operation = code[k, 0]
        if operation == _ADD:
            result = a + b
        elif operation == _SUB:
            result = a - b
        elif operation == _MUL:
            result = a * b
        elif operation == _DIV:
            result = a / b
        elif operation == _POW:
            result = a**b
        elif operation == _SELECT:
            result = b if a >= 0.0 else c
        else:
            result = _apply_function(operation, a)
        numbers[code[k, 1]] = result


@compile_part
def _apply_function(operation: int, a: float) -> float:
    if operation == _EXP:
        return compute_exponential(a)
    if operation == _LOG:
        return math.log(a) if a > 0.0 else np.nan
    if operation == _SQRT:
        return math.sqrt(a) if a >= 0.0 else np.nan
    if operation == _SIN:
        return math.sin(a)
    if operation == _COS:
        return math.cos(a)
    if operation == _TANH:
        return math.tanh(a)
    if operation == _ARCTAN:
        return math.atan(a)
    if operation == _ERF:
        return math.erf(a)
    return abs(a)


@compile_part
def run_tile(head: Integers, code: Integers, bench: Rows, data: Rows, start: int, size: int, count: int) -> None:
    """Run the first `count` instructions on rows for the samples from `start` on."""
    first, numbers = head[REGISTERS], bench[NUMBERS]
    for k in range(head[N_VARIABLES]):
        row, x = bench[first + k], data[k]
        for i in range(size):
            row[i] = x[start + i]
    for k in range(head[N_NUMBER_CODE], head[N_NUMBER_CODE] + count):
        operation, a = code[k, 0], code[k, 2]
        out = bench[first + code[k, 1]]
        if operation >= _NUMBER_MUL_ADD:
            if operation == _NUMBER_MUL_ADD:
                _scale_and_add(numbers[a], bench[first + code[k, 3]], bench[first + code[k, 4]], out, size)
            else:
                _scale_and_shift(numbers[a], bench[first + code[k, 3]], numbers[code[k, 4]], out, size)
        elif operation >= _NUMBER_ADD:
            _combine_number_with_row(operation, numbers[a], bench[first + code[k, 3]], out, size)
        elif operation == _ERF:
            _compute_error_function(bench[first + a], bench[head[SCRATCH]], out, size)
        elif operation >= _EXP:
            _transform_row(operation, bench[first + a], out, size)
        elif operation >= _WOFZ_REAL:
            other = bench[first + code[k, 3]]
            _compute_faddeeva(operation == _WOFZ_IMAG, bench[first + a], other, bench, head[SCRATCH], out, size)
        elif operation >= _POW:
            _select_or_exponentiate(
                operation, bench[first + a], bench[first + code[k, 3]], bench[first + code[k, 4]], out, size
            )
        else:
            _combine_two_rows(operation, bench[first + a], bench[first + code[k, 3]], out, size)


@compile_part
def _scale_and_add(number: float, row: Row, other: Row, out: Row, size: int) -> None:
    for i in range(size):
        out[i] = number * row[i] + other[i]


@compile_part
def _scale_and_shift(number: float, row: Row, shift: float, out: Row, size: int) -> None:
    for i in range(size):
        out[i] = number * row[i] + shift


@compile_part
def _combine_number_with_row(operation: int, number: float, row: Row, out: Row, size: int) -> None:
    if operation == _NUMBER_MUL:
        for i in range(size):
            out[i] = number * row[i]
    elif operation == _NUMBER_ADD:
        for i in range(size):
            out[i] = number + row[i]
    elif operation == _NUMBER_DIV:
        for i in range(size):
            out[i] = number / row[i]
    else:
        for i in range(size):
            out[i] = number


@compile_part
def _combine_two_rows(operation: int, a: Row, b: Row, out: Row, size: int) -> None:
    if operation == _MUL:
        for i in range(size):
            out[i] = a[i] * b[i]
    elif operation == _ADD:
        for i in range(size):
            out[i] = a[i] + b[i]
    elif operation == _SUB:
        for i in range(size):
            out[i] = a[i] - b[i]
    else:
        for i in range(size):
            out[i] = a[i] / b[i]


@compile_part
def _transform_row(operation: int, a: Row, out: Row, size: int) -> None:
    if operation == _EXP:
        for i in range(size):
            out[i] = compute_exponential(a[i])
    elif operation == _SQRT:
        for i in range(size):
            out[i] = math.sqrt(a[i])
    else:
        for i in range(size):
            out[i] = _apply_function(operation, a[i])


@compile_part
def _select_or_exponentiate(operation: int, a: Row, b: Row, c: Row, out: Row, size: int) -> None:
    if operation == _SELECT:
        for i in range(size):
            out[i] = b[i] if a[i] >= 0.0 else c[i]
    else:
        for i in range(size):
            out[i] = a[i] ** b[i]


@compile_part
def _compute_error_function(x: Row, ratio: Row, out: Row, size: int) -> None:
    """Put erf(x) into a row, as 1 - exp(-x^2) w(ix), to 1e-15 of 1; term by term, so that each pass vectorises."""
    for i in range(size):
        ratio[i] = (_WIDTH - abs(x[i])) / (_WIDTH + abs(x[i]))
        out[i] = 0.0
    for k in range(_TERMS.size):
        for i in range(size):
            out[i] = out[i] * ratio[i] + _TERMS[k]
    for i in range(size):
        inverse = 1.0 / (_WIDTH + abs(x[i]))
        rest = compute_exponential(-x[i] * x[i]) * inverse * (2.0 * out[i] * inverse + 0.5641895835477563)
        out[i] = 1.0 - rest if x[i] >= 0.0 else rest - 1.0


@compile_part
def _compute_faddeeva(imaginary: bool, x: Row, y: Row, bench: Rows, scratch: int, out: Row, size: int) -> None:
    """Put a part of w(x + iy), y > 0, into a row: Weideman, SIAM J. Numer. Anal. 31, 1497 (1994), with 40 terms.

    In real numbers, for complex ones compile slowly; term by term, so that each pass vectorises.
    """
    ratio_r, ratio_i, imag = bench[scratch], bench[scratch + 1], bench[scratch + 2]
    # (width + iz) / (width - iz)
    for i in range(size):
        upper = _WIDTH + y[i]
        norm = 1.0 / (upper * upper + x[i] * x[i])
        ratio_r[i] = ((_WIDTH - y[i]) * upper - x[i] * x[i]) * norm
        ratio_i[i] = 2.0 * _WIDTH * x[i] * norm
        out[i], imag[i] = 0.0, 0.0
    for k in range(_TERMS.size):
        for i in range(size):
            real = out[i]
            out[i] = real * ratio_r[i] - imag[i] * ratio_i[i] + _TERMS[k]
            imag[i] = real * ratio_i[i] + imag[i] * ratio_r[i]
    # 2 total / (width - iz)^2 + 1 / (sqrt(pi) (width - iz))
    for i in range(size):
        upper = _WIDTH + y[i]
        norm = 1.0 / (upper * upper + x[i] * x[i])
        inverse_r, inverse_i = upper * norm, x[i] * norm
        real = 2.0 * (out[i] * inverse_r - imag[i] * inverse_i) + 0.5641895835477563
        other = 2.0 * (out[i] * inverse_i + imag[i] * inverse_r)
        out[i] = real * inverse_i + other * inverse_r if imaginary else real * inverse_r - other * inverse_i


def _compute_weideman_terms(n: int) -> tuple[float, Row]:
    """Return the width and the coefficients, highest power first, of Weideman's series."""
    width = math.sqrt(n / math.sqrt(2.0))
    theta = np.arange(-2 * n + 1, 2 * n) * math.pi / (2 * n)
    t = width * np.tan(theta / 2)
    samples = np.concatenate([[0.0], np.exp(-(t**2)) * (width**2 + t**2)])
    coefficients = np.real(np.fft.fft(np.fft.fftshift(samples))) / (4 * n)
    return width, np.ascontiguousarray(coefficients[n:0:-1])


_WIDTH, _TERMS = _compute_weideman_terms(40)
