"""One complex spectrum -> start values of a damped oscillator, in machine code.

Importing this module imports numba; do so only inside a function.

References
----------
The response h = A e^(i phi) w0^2 / (w^2 - i w w0/Q - w0^2) obeys (w^2 + i c w - d) h + (a + i b) = 0 with c = -w0/Q,
d = w0^2: linear in a, b, c and d. Written out for two samples by S. Jesse et al., Nanotechnology 18, 435503 (2007).
"""

from __future__ import annotations

import math

import numpy as np

from usidx.fitting.compile.interpreter import Integers, Row, Rows
from usidx.fitting.compile.jit import compile_callback, compile_part
from usidx.fitting.compile.layout import GIVEN, PARAMETERS, RESIDUAL, SAMPLES, TERM

__all__ = ["place_resonance"]


@compile_part
def _find_highest(x: Row, real: Row, imag: Row, size: int) -> tuple[float, float]:
    """Return where the magnitude is highest, and that magnitude."""
    power, where = -1.0, 0
    for i in range(size):
        here = real[i] * real[i] + imag[i] * imag[i]
        if here > power:
            power, where = here, i
    return x[where], math.sqrt(power)


@compile_part
def _solve_linear_form(x: Row, real: Row, imag: Row, size: int, height: float) -> tuple[float, float]:
    """Return frequency and quality factor, each sample weighted by its power.

    Of the four unknowns a and b are means: with them taken out two remain, c and d.
    """
    # Frequencies by the largest, so that their fourth powers stay near one.
    scale = 1.0 / max(abs(x[0]), abs(x[size - 1]))
    weight, square, cross_r, cross_i, mean_r, mean_i, real2, imag2 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(size):
        w, r, m = x[i] * scale, real[i] / height, imag[i] / height
        p = r * r + m * m
        weight += p
        mean_r += p * r
        mean_i += p * m
        cross_r += p * w * r
        cross_i += p * w * m
        real2 += p * w * w * r
        imag2 += p * w * w * m
    mean_r, mean_i, cross_r = mean_r / weight, mean_i / weight, cross_r / weight
    cross_i, real2, imag2 = cross_i / weight, real2 / weight, imag2 / weight
    cc, cd, dd, ce, de = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(size):
        w, r, m = x[i] * scale, real[i] / height, imag[i] / height
        p = r * r + m * m
        # w^2 X - c w Y - d X + a = 0 and w^2 Y + c w X - d Y + b = 0, less their weighted means
        c1, d1, e1 = -(w * m - cross_i), -(r - mean_r), -(w * w * r - real2)
        c2, d2, e2 = w * r - cross_r, -(m - mean_i), -(w * w * m - imag2)
        cc += p * (c1 * c1 + c2 * c2)
        cd += p * (c1 * d1 + c2 * d2)
        dd += p * (d1 * d1 + d2 * d2)
        ce += p * (c1 * e1 + c2 * e2)
        de += p * (d1 * e1 + d2 * e2)
    # Two equations with two unknowns, by Cramer's rule.
    square = cc * dd - cd * cd
    c, d = (ce * dd - de * cd) / square, (de * cc - ce * cd) / square
    # d is the square of the resonance: noise that makes it negative has no resonance.
    if not d > 0.0 or c == 0.0:
        return np.nan, np.nan
    return math.sqrt(d) / scale, math.sqrt(d) / abs(c)


@compile_part
def _find_amplitude_and_phase(
    x: Row, real: Row, imag: Row, size: int, frequency: float, quality: float
) -> tuple[float, float]:
    """Return amplitude and phase that bring the oscillator's response nearest to the data.

    The response is linear in the complex amplitude A e^(i phi), so that is one quotient of sums (least squares).
    """
    top_r, top_i, bottom = 0.0, 0.0, 0.0
    for i in range(size):
        w = x[i] / frequency
        d, e = w * w - 1.0, -w / quality
        norm = 1.0 / (d * d + e * e)
        # data times the conjugate of 1 / (d + i e)
        top_r += (real[i] * d - imag[i] * e) * norm
        top_i += (real[i] * e + imag[i] * d) * norm
        bottom += norm
    return np.hypot(top_r, top_i) / bottom, np.arctan2(top_i, top_r)


# Last, for it is compiled at once, and all it calls must be there.
@compile_callback
def place_resonance(head: Integers, info: Integers, code: Integers, bench: Rows, data: Rows, which: int) -> float:
    """Set amplitude, frequency, quality factor and phase of an oscillator to what the residual shows.

    `which` is twice the number of the term, and one more for the linear form. Without that (or where that fails) they
    are the frequency of the highest sample and the quality factor as it stands. Returns 1 where the linear form served.
    Called through a pointer, so that other models do not wait until it is compiled.
    """
    term, exact = which // 2, which % 2 > 0
    k, size, x = 0, head[SAMPLES], data[0]
    while info[TERM, k] != term:
        k += 1
    real, imag = data[head[RESIDUAL]], data[head[RESIDUAL] + 1]
    frequency, height = _find_highest(x, real, imag, size)
    quality, served = bench[PARAMETERS, k + 2], False
    if exact:
        w0, q = _solve_linear_form(x, real, imag, size, height)
        served = math.isfinite(w0) and math.isfinite(q) and x[0] <= w0 <= x[size - 1]
        if served:
            frequency, quality = w0, q
    frequency = frequency if math.isnan(bench[GIVEN, k + 1]) else bench[GIVEN, k + 1]
    quality = quality if math.isnan(bench[GIVEN, k + 2]) else bench[GIVEN, k + 2]
    amplitude, phase = _find_amplitude_and_phase(x, real, imag, size, frequency, quality)
    found = (amplitude, frequency, quality, phase)
    for j in range(4):
        if math.isnan(bench[GIVEN, k + j]):
            bench[PARAMETERS, k + j] = found[j]
    return 1.0 if served else 0.0
