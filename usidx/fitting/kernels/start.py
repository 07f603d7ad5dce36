"""One spectrum -> start values of a model, by looking at the data, in machine code.

Parameters that enter linearly are solved for; the others come from a peak found by a matched filter, from the exact
linear form of a resonance, or from a list of candidates. Terms are found one after the other, each in what the ones
before it left over. Importing this module imports numba; do so only inside a function.

References
----------
Solving linear parameters apart: G. H. Golub and V. Pereyra, SIAM J. Numer. Anal. 10, 413 (1973).
"""

from __future__ import annotations

import math

import numpy as np

from usidx.fitting.compile.interpreter import Equations, Integers, Row, Rows, copy_into
from usidx.fitting.compile.jit import compile_part, take_larger
from usidx.fitting.compile.layout import (
    AT_PARAMETERS,
    BEST,
    FOR_RESIDUAL,
    FREE,
    GIVEN,
    GRADIENT,
    LEVEL_ONLY,
    LINEAR,
    LOWER,
    MATRIX,
    MAX_EVALUATIONS,
    N_FREE,
    N_PARAMETERS,
    N_PARTS,
    N_TERMS,
    PARAMETERS,
    PLACED,
    READY,
    RESIDUAL,
    ROLE,
    ROLE_CENTER,
    ROLE_LINEAR,
    ROLE_WIDTH,
    SAMPLES,
    SCALE,
    SCALES,
    SEARCH,
    SEARCH_LINEAR,
    SEARCH_PEAK,
    SEARCH_RESONANCE,
    SETTINGS,
    SIGN,
    START_COST,
    STEP,
    TERM,
    TINY,
    TOTAL,
    UPPER,
    USE,
    WIDTH_PER_FWHM,
    Y,
)
from usidx.fitting.kernels.levenberg_marquardt import minimise
from usidx.fitting.kernels.linear import solve

__all__ = ["find_start", "keep_within"]

_LOOKS = 4  # at several peaks, with boxes of up to a half of the samples, a quarter, an eighth, a sixteenth
_STEPS = 10  # from each of them
_SAME = 1e-6  # of the cost: two starts that come so near are one minimum
_BOX_PER_FWHM = 1.2  # width of the box that matches a Gaussian best, in full widths at half maximum


@compile_part
def find_start(
    equations: Equations,
    search: Equations,
    head: Integers,
    info: Integers,
    code: Integers,
    bench: Rows,
    data: Rows,
    candidates: Rows,
) -> int:
    """Leave start values in the row PARAMETERS; return how often the model was evaluated.

    `candidates` (term, candidate, parameter) is NaN where a term has fewer.
    """
    peaks = 0
    for term in range(head[N_TERMS]):
        peaks += 1 if info[SEARCH, term] == SEARCH_PEAK and _is_missing(head, info, bench, term) else 0
    if peaks < 2:
        return _place_all(equations, search, head, info, code, bench, data, candidates, head[SAMPLES] // 2)
    # Peaks that overlap look like one that is broad, so the search is repeated with ever narrower boxes. Which start is
    # the best shows after some steps only.
    evaluations, best, most = 0, np.inf, head[MAX_EVALUATIONS]
    head[MAX_EVALUATIONS] = min(_STEPS, most)
    for look in range(_LOOKS):
        widest = head[SAMPLES] >> (1 + look)
        evaluations += _place_all(equations, search, head, info, code, bench, data, candidates, widest)
        keep_within(head, info, bench)
        status, more, cost = minimise(equations, head, info, code, bench, data, -1.0)
        evaluations += more
        known = status > 0 and abs(cost - best) <= _SAME * best
        if cost < best or look == 0:
            copy_into(bench[PLACED], bench[PARAMETERS], head[N_PARAMETERS])
            best = cost if math.isfinite(cost) else np.inf
        if known:  # a narrower box has led to the same minimum
            break
    copy_into(bench[PARAMETERS], bench[PLACED], head[N_PARAMETERS])
    head[MAX_EVALUATIONS] = most
    return evaluations


@compile_part
def _place_all(
    equations: Equations,
    search: Equations,
    head: Integers,
    info: Integers,
    code: Integers,
    bench: Rows,
    data: Rows,
    candidates: Rows,
    widest: int,
) -> int:
    """Place all terms, one after the other; peaks no wider than so many samples."""
    evaluations, waiting, placed = 0, 0, False
    for k in range(head[N_PARAMETERS]):
        p = bench[GIVEN, k]
        placed = placed or not math.isnan(p)
        if math.isnan(p):
            p = 0.0 if info[ROLE, k] == ROLE_LINEAR else candidates[info[TERM, k], 0, k]
        bench[PARAMETERS, k] = p
    # Where everything scales with one linear parameter, that starts all but at zero: then the derivatives by the others
    # are known too, up to that factor, and need not be evaluated again (`_carry_over`).
    for j in range(head[N_FREE]):
        k = info[FREE, max(info[SCALE, j], 0)]
        if head[SCALES] > 0 and info[SCALE, j] >= 0 and math.isnan(bench[GIVEN, k]):
            bench[PARAMETERS, k] = TINY
    for term in range(head[N_TERMS]):
        waiting += 1 if info[SEARCH, term] == SEARCH_LINEAR else 0
    # A level alone need not be known to look for a peak: the search takes the mean away.
    if waiting > 0 and head[LEVEL_ONLY] == 0:
        _solve_linear(equations, head, info, code, bench, data, -1)
        evaluations, placed = 1, True
    for term in range(head[N_TERMS]):
        if info[SEARCH, term] != SEARCH_LINEAR:
            _leave_residual(equations, head, info, code, bench, data, placed)
            evaluations += _place_term(equations, search, head, info, code, bench, data, candidates[term], term, widest)
            placed = True
    return evaluations


@compile_part
def _place_term(
    equations: Equations,
    search: Equations,
    head: Integers,
    info: Integers,
    code: Integers,
    bench: Rows,
    data: Rows,
    candidates: Rows,
    term: int,
    widest: int,
) -> int:
    """Try the candidates of one term, the linear parameters solved for each; keep the best."""
    center, width = np.nan, np.nan
    best, tried = np.inf, 0
    if info[SEARCH, term] == SEARCH_PEAK:
        residual, total = data[head[RESIDUAL]], data[head[TOTAL]]
        center, width = _find_peak(data[0], residual, total, head[SAMPLES], widest, info[SIGN, term])
    for c in range(candidates.shape[0] if _is_missing(head, info, bench, term) else 1):
        if not _set_term(head, info, bench, candidates[c], term, center, width):
            continue
        sure = False
        if info[SEARCH, term] == SEARCH_RESONANCE:  # from the first candidate by the linear form
            sure = search(head, info, code, bench, data, 2 * term + (1 if c == 0 else 0)) > 0.0
        keep_within(head, info, bench)
        if sure and head[N_TERMS] == 1:
            return tried
        cost = _solve_linear(equations, head, info, code, bench, data, term)
        tried += 1
        if cost < best:
            best = cost
            copy_into(bench[BEST], bench[PARAMETERS], head[N_PARAMETERS])
        if sure:
            break
    if tried > 0:
        copy_into(bench[PARAMETERS], bench[BEST], head[N_PARAMETERS])
    if tried == 1 and head[SCALES] > 0 and math.isfinite(best):
        _carry_over(head, info, bench, best)
    return tried


@compile_part
def _carry_over(head: Integers, info: Integers, bench: Rows, cost: float) -> None:
    """Bring the normal equations from where the linear parameters were TINY to where they are: no need to evaluate.

    The model is linear in them, so the gradient follows from the matrix; the other derivatives are proportional.
    """
    matrix, moved, fallen = head[MATRIX], True, 0.0
    for j in range(head[N_FREE]):
        fallen += bench[STEP, j] * bench[GRADIENT, j] if info[USE, j] > 0 else 0.0
        k = info[FREE, j]
        scaling = info[FREE, max(info[SCALE, j], 0)]
        # A step that a bound cut off is another one, and given values were not TINY.
        if info[SCALE, j] >= 0:
            moved = moved and bench[PARAMETERS, scaling] == TINY + bench[STEP, info[SCALE, j]]
        elif info[LINEAR, j] > 0:
            moved = moved and info[USE, j] > 0 and bench[LOWER, j] < bench[PARAMETERS, k] < bench[UPPER, j]
    # Where the start fits all but exactly, what is left of cost and gradient is a difference of large numbers.
    if not moved or cost <= 1e-6 * fallen:
        return
    for j in range(head[N_FREE]):
        for k in range(head[N_FREE]):
            bench[GRADIENT, j] -= bench[matrix + max(j, k), min(j, k)] * (bench[STEP, k] if info[USE, k] > 0 else 0.0)
    for j in range(head[N_FREE]):
        first = bench[PARAMETERS, info[FREE, info[SCALE, j]]] / TINY if info[SCALE, j] >= 0 else 1.0
        bench[GRADIENT, j] *= first
        for k in range(j + 1):
            second = bench[PARAMETERS, info[FREE, info[SCALE, k]]] / TINY if info[SCALE, k] >= 0 else 1.0
            bench[matrix + j, k] *= first * second
    bench[SETTINGS, START_COST] = cost
    head[READY] = 1


@compile_part
def _leave_residual(
    equations: Equations, head: Integers, info: Integers, code: Integers, bench: Rows, data: Rows, placed: bool
) -> None:
    """Put what the terms so far leave over into the rows RESIDUAL: the data itself where there is none."""
    if placed:
        equations(head, info, code, bench, data, FOR_RESIDUAL)
    else:
        for part in range(head[N_PARTS]):
            copy_into(data[head[RESIDUAL] + part], data[head[Y] + part], head[SAMPLES])


@compile_part
def _is_missing(head: Integers, info: Integers, bench: Rows, term: int) -> bool:
    """Say whether a parameter of a term that is not linear is still to be found."""
    missing = False
    for k in range(head[N_PARAMETERS]):
        own = info[TERM, k] == term and info[ROLE, k] != ROLE_LINEAR
        missing = missing or (own and math.isnan(bench[GIVEN, k]))
    return missing


@compile_part
def _set_term(
    head: Integers, info: Integers, bench: Rows, candidate: Row, term: int, center: float, width: float
) -> bool:
    """Set the parameters of a term that are not linear; False where the candidate does not exist."""
    for k in range(head[N_PARAMETERS]):
        if info[TERM, k] != term or info[ROLE, k] == ROLE_LINEAR or not math.isnan(bench[GIVEN, k]):
            continue
        value = candidate[k]
        if math.isnan(value):
            return False
        if info[ROLE, k] == ROLE_CENTER:
            value = center
        elif info[ROLE, k] == ROLE_WIDTH:
            value *= bench[WIDTH_PER_FWHM, k] * width
        bench[PARAMETERS, k] = value
    return True


@compile_part
def keep_within(head: Integers, info: Integers, bench: Rows) -> None:
    """Bring the parameters within their bounds."""
    for j in range(head[N_FREE]):
        k = info[FREE, j]
        bench[PARAMETERS, k] = min(max(bench[PARAMETERS, k], bench[LOWER, j]), bench[UPPER, j])


@compile_part
def _solve_linear(
    equations: Equations, head: Integers, info: Integers, code: Integers, bench: Rows, data: Rows, last: int
) -> float:
    """Solve for the linear parameters of the terms found so far and return the cost.

    Terms without any other parameter count as found from the beginning.
    """
    cost = equations(head, info, code, bench, data, AT_PARAMETERS)
    for j in range(head[N_FREE]):
        k = info[FREE, j]
        found = info[SEARCH, info[TERM, k]] == SEARCH_LINEAR or info[TERM, k] <= last
        wanted = found and info[ROLE, k] == ROLE_LINEAR and math.isnan(bench[GIVEN, k])
        info[USE, j] = 1 if wanted and bench[head[MATRIX] + j, j] > 0.0 else 0
    # Undamped, this is the exact solution (Golub and Pereyra's variable projection); damped only if it is singular.
    promised, damping = -1.0, 0.0
    while promised < 0.0 and damping < 1.0:
        promised = solve(head, info, bench, GRADIENT, damping)
        damping = max(1e-8, 100.0 * damping)
    if promised >= 0.0:
        inside = True
        for j in range(head[N_FREE]):
            bench[PARAMETERS, info[FREE, j]] += bench[STEP, j]
            p = bench[PARAMETERS, info[FREE, j]]
            inside = inside and bench[LOWER, j] <= p <= bench[UPPER, j]
        # What is promised beyond a bound is not to be had.
        cost -= promised if inside else 0.0
        keep_within(head, info, bench)
    return cost if math.isfinite(cost) else np.inf


@compile_part
def _find_peak(x: Row, y: Row, total: Row, size: int, widest: int, sign: int) -> tuple[float, float]:
    """Return centre and full width at half maximum of the box that, with a constant, explains most of the spectrum.

    A matched filter: of the spectrum less its mean, a box of `width` samples explains the square of its sum there,
    divided by width (1 - width / size). With running sums the sum over a box is one difference, whatever its width.
    """
    _fill_running_sums(y, total, size)
    best, length, height, width = -1.0, 1, 0.0, 1
    while width == 1 or width <= widest:
        highest = _find_highest_sum(total, size, width, sign)
        score = highest * highest / (width * (1.0 - width / (size + 1.0)))
        if score > best:
            best, length, height = score, width, highest
        width = max(width + 1, width * 3 // 2)
    # Only the highest sum is known, so look for the place that has it: one more pass, over one width.
    first = 0
    while first < size - length and not _is_as_high(total[first + length] - total[first], height, sign):
        first += 1
    last = min(first + length, size - 1)
    begin = max(last - length, 0)
    center = 0.5 * (x[first] + x[first + length - 1])
    return center, length * abs(x[last] - x[begin]) / max(last - begin, 1) / _BOX_PER_FWHM


@compile_part
def _fill_running_sums(y: Row, total: Row, size: int) -> None:
    """Fill `total` with the sums of the first 0, 1, 2, ... values, less their mean.

    Four stretches are summed side by side, for none of their sums has to wait for the others.
    """
    mean, part = 0.0, size // 4
    for i in range(size):
        mean += y[i]
    mean /= size
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    for i in range(part):
        a += y[i] - mean
        b += y[i + part] - mean
        c += y[i + 2 * part] - mean
        d += y[i + 3 * part] - mean
        total[i + 1], total[i + 1 + part] = a, b
        total[i + 1 + 2 * part], total[i + 1 + 3 * part] = c, d
    for i in range(part):
        total[i + 1 + part] += a
        total[i + 1 + 2 * part] += a + b
        total[i + 1 + 3 * part] += a + b + c
    total[0] = 0.0
    for i in range(4 * part, size):
        total[i + 1] = total[i] + (y[i] - mean)


@compile_part
def _find_highest_sum(total: Row, size: int, width: int, sign: int) -> float:
    """Return the largest sum over `width` neighbours, of the sign that is wanted; 0 where there is none."""
    depth, height, upper = 0.0, 0.0, total[width:]
    for i in range(size - width + 1):
        inside = upper[i] - total[i]
        height, depth = take_larger(height, inside), take_larger(depth, -inside)
    if sign == 0:
        return max(height, depth)
    return height if sign > 0 else depth


@compile_part
def _is_as_high(inside: float, height: float, sign: int) -> bool:
    """Say whether a sum is as high, on the side that is wanted."""
    return (sign >= 0 and inside >= height) or (sign <= 0 and -inside >= height)
