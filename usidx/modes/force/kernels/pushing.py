"""The samples of a curve in contact -> their forces and slopes, all at once, in machine code.

Each force is the root of an equation. The steps of Newton's method go over all samples before the next one, so that
the processor takes several samples at a time, and begin at the roots of the call before. Importing this imports numba.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from usidx.fitting.compile.jit import compile_part, take_larger
from usidx.modes.force.kernels.compiled import compile_part_in_order
from usidx.modes.force.kernels.laws import CONE, JKR, find_edge
from usidx.modes.force.kernels.lines import BY_AT, BY_LAW, BY_PULL, FORCE, ROOT, SX, SXX, F, X
from usidx.modes.force.kernels.state import AT, LAW, LINE, PULL, TILT

__all__ = ["add_contact"]

_TURNS: Final = 40
_EXACT: Final = 1e-3  # of a root: the next step would square it
_EXACT_JKR: Final = 1e-5  # near the place where contact ends it would not
_LEAST: Final = 1e-6
_NEAR: Final = 1e-3  # of the way


@compile_part
def _step_sphere(first: int, n: int, zero: float, q: float, x: Any, root: Any) -> float:
    """Improve the roots of the indentations, where u = r^2 + q r^3; return the largest step."""
    largest = 0.0
    for i in range(first, n):
        u = take_larger(x[i] - zero, 0.0)
        r = take_larger(root[i], _LEAST)
        new = (r * r * (1.0 + 2.0 * q * r) + u) / (r * (2.0 + 3.0 * q * r))
        new = -take_larger(-new, -0.5 * (1.0 + u))  # no root is larger, but a step from next to 0 leads anywhere
        moved = np.abs(new - r) - _EXACT * new - _LEAST
        largest, root[i] = take_larger(largest, moved), new
    return largest


@compile_part
def _begin_sphere(n: int, zero: float, q: float, x: Any, root: Any) -> None:
    last = np.sqrt(take_larger(x[n - 1] - zero, 0.0))
    for _ in range(20):
        last = np.sqrt(take_larger(x[n - 1] - zero, 0.0) / (1.0 + q * last))
    for i in range(n):  # also of those that may come into contact later
        root[i] = np.sqrt(take_larger(x[i] - zero, _NEAR) / (1.0 + q * last))


@compile_part
def _push_sphere(first: int, n: int, c: float, law: float, pull: float, zero: float, x: Any, work: Any) -> None:
    root, force, a, b, p = work[ROOT], work[FORCE], work[BY_AT], work[BY_LAW], work[BY_PULL]
    for i in range(first, n):
        r = root[i] if x[i] > zero else 0.0
        slope = 1.5 * law * r
        share = 1.0 / (1.0 + c * slope)
        full = law * r * r * r
        force[i], a[i], b[i], p[i] = full - pull, slope * share, full * share, c * slope * share - 1.0


@compile_part
def _push_cone(first: int, n: int, c: float, law: float, pull: float, zero: float, x: Any, work: Any) -> None:
    force, a, b, p = work[FORCE], work[BY_AT], work[BY_LAW], work[BY_PULL]
    for i in range(first, n):
        u = take_larger(x[i] - zero, 0.0)
        far = 2.0 * u / (1.0 + np.sqrt(1.0 + 4.0 * c * law * u))
        slope, full = 2.0 * law * far, law * far * far
        share = 1.0 / (1.0 + c * slope)
        force[i], a[i], b[i], p[i] = full - pull, slope * share, full * share, c * slope * share - 1.0


@compile_part
def _begin_jkr(first: int, n: int, at: float, size: float, x: Any, root: Any) -> None:
    for i in range(first, n):
        # From above Newton's steps never leave the branch that holds; as it is hollow there they come down.
        root[i] = take_larger(np.sqrt(np.sqrt(take_larger(3.0 * (x[i] - at) / size, 0.0))), 1.0)


@compile_part
def _lift_jkr(first: int, n: int, edge: float, root: Any) -> None:
    """Raise the roots near the end of contact, from which a step of Newton's would lead anywhere."""
    for i in range(first, n):
        root[i] = root[i] if root[i] > 1.05 * edge else 1.0


@compile_part
def _step_jkr(first: int, n: int, at: float, size: float, stiff: float, edge: float, x: Any, root: Any) -> float:
    """Improve the roots of the radii of contact; return the largest step. `stiff` is 4 c P."""
    largest = 0.0
    for i in range(first, n):
        beta = root[i]
        cube = beta * beta * beta
        off = size * (beta * cube - beta / 1.5) + stiff * (cube * cube - cube) - x[i] + at
        rise = size * (4.0 * cube - 1.0 / 1.5) + 3.0 * stiff * beta * beta * (2.0 * cube - 1.0)
        new = take_larger(beta - off / rise, edge)
        largest, root[i] = take_larger(largest, np.abs(new - beta) - _EXACT_JKR * beta), new
    return largest


@compile_part
def _push_jkr(first: int, n: int, c: float, size: float, edge: float, pull: float, work: Any) -> None:
    root, force, a, b, p = work[ROOT], work[FORCE], work[BY_AT], work[BY_LAW], work[BY_PULL]
    for i in range(first, n):
        beta = root[i]
        cube = beta * beta * beta
        full = 4.0 * pull * (cube * cube - cube)
        steep, wide = 12.0 * pull * beta * beta * (2.0 * cube - 1.0), size * (4.0 * cube - 1.0 / 1.5)
        rise = wide + c * steep
        holds = 1.0 if beta > edge * (1.0 + 1e-9) and rise > 0.0 else 0.0
        share = holds / (rise if rise > 0.0 else 1.0)
        by_size = -steep * size * (beta * cube - beta / 1.5) * share
        force[i], a[i], b[i] = full, steep * share, -by_size / 1.5
        p[i] = full * wide * share + by_size / 1.5 + (1.0 - holds) * full


@compile_part_in_order
def _push(kind: int, first: int, n: int, c: float, is_new: bool, work: Any, par: Any) -> None:
    """Fill in force and slopes of the samples in contact."""
    law, x, root = np.exp(par[LAW]), work[X], work[ROOT]
    if kind == JKR:
        pull = np.exp(par[PULL])
        size, edge = find_edge(c, law, pull)
        if is_new:
            _begin_jkr(first, n, par[AT], size, x, root)
        _lift_jkr(first, n, edge, root)
        for _ in range(_TURNS):
            if _step_jkr(first, n, par[AT], size, 4.0 * c * pull, edge, x, root) <= 0.0:
                break
        _push_jkr(first, n, c, size, edge, pull, work)
        return
    pull = par[PULL]
    zero = par[AT] - c * pull
    if kind == CONE:
        _push_cone(first, n, c, law, pull, zero, x, work)
        return
    if is_new:
        _begin_sphere(n, zero, c * law, x, root)
    for _ in range(_TURNS):
        if _step_sphere(first, n, zero, c * law, x, root) <= 0.0:
            break
    _push_sphere(first, n, c, law, pull, zero, x, work)


@compile_part
def _sum_up(first: int, n: int, work: Any, par: Any, vec: Any, mat: Any) -> float:
    """Add forces and slopes to the normal equations; return the sum of squares."""
    x, f, force, a, b, p = work[X], work[F], work[FORCE], work[BY_AT], work[BY_LAW], work[BY_PULL]
    line, tilt, total = par[LINE], par[TILT], 0.0
    a0 = a1 = aa = al = ap = l0 = l1 = ll = lp = p0 = p1 = pp = r0 = r1 = ra = rl = rp = 0.0
    for i in range(first, n):
        r = f[i] - line - tilt * x[i] - force[i]
        total, r0, r1, ra, rl, rp = total + r * r, r0 + r, r1 + r * x[i], ra - r * a[i], rl + r * b[i], rp + r * p[i]
        a0, a1, aa, al, ap = a0 - a[i], a1 - a[i] * x[i], aa + a[i] * a[i], al - a[i] * b[i], ap - a[i] * p[i]
        l0, l1, ll, lp = l0 + b[i], l1 + b[i] * x[i], ll + b[i] * b[i], lp + b[i] * p[i]
        p0, p1, pp = p0 + p[i], p1 + p[i] * x[i], pp + p[i] * p[i]
    mat[0, 2], mat[0, 3], mat[0, 4] = a0, l0, p0
    mat[1, 2], mat[1, 3], mat[1, 4] = a1, l1, p1
    mat[2, 2], mat[2, 3], mat[2, 4], mat[3, 3], mat[3, 4], mat[4, 4] = aa, al, ap, ll, lp, pp
    vec[0], vec[1], vec[2], vec[3], vec[4] = vec[0] + r0, vec[1] + r1, vec[2] + ra, vec[3] + rl, vec[4] + rp
    return total


@compile_part_in_order
def add_contact(
    kind: int, first: int, n: int, c: float, is_new: bool, work: Any, par: Any, vec: Any, mat: Any
) -> float:
    """Add the samples in contact to the normal equations; return their sum of squares."""
    _push(kind, first, n, c, is_new, work, par)
    mat[0, 0] += n - first
    mat[0, 1] += work[SX, n] - work[SX, first]
    mat[1, 1] += work[SXX, n] - work[SXX, first]
    return float(_sum_up(first, n, work, par, vec, mat))
