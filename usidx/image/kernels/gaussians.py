"""Image and start values -> elliptic Gaussians fitted to it, neighbours together, in machine code; imports numba.

An atom is A exp(-(a v^2 + 2 b v u + c u^2) / 2) on a flat ground, v and u its distances along lines and columns:
nothing turns in circles where it is round. Atoms that lie close share a group, and are fitted together by the method of
Levenberg and Marquardt. What is left of the image once all atoms are taken out is kept up to date, so a group sees the
image without all others; groups take turns until none moves any more.
"""

from __future__ import annotations

from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt
from numba import types

__all__ = ["COLUMNS", "VARIANCES", "fit_groups"]

#: Of the parameters of an atom.
COLUMNS: Final = ("amplitude", "y", "x", "a", "b", "c", "background")
#: Which (co)variances of them are told.
VARIANCES: Final = ((0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (3, 4), (3, 5), (4, 5), (6, 6))
_SEEN: Final = 24.0  # of the exponent, doubled: beyond it an atom is dark to 6e-6
_SMALLEST: Final = 0.2  # pixels, of a sigma
_UNUSUAL: Final = 0.5  # of a sigma, how far shapes differ from each other and from the start
_STIFFEST: Final = 1e8  # at which a step is given up
# Rows of the workspace of pixels; derivatives come after. Few large arrays compile in half the time of many.
_V, _U, _SEES, _LEFT, _SLOPES = range(5)
_NORMAL, _LOW, _INVERSE = range(3)
_RIGHT, _STEP = range(2)
# Not Python's integers: functions would be compiled for each value of these.
_NOW, _TRIAL = np.int64(0), np.int64(1)
# Only the last function is called from Python: wrappers of the others take a sixth of the time to compile.
_compile = numba.njit(
    nogil=True, error_model="numpy", fastmath={"contract", "reassoc"}, no_cpython_wrapper=True, no_cfunc_wrapper=True
)


@_compile  # type: ignore[untyped-decorator]
def _evaluate(par: Any, which: int, m: int, ratio: float, n: int, pix: Any) -> float:
    """Fill in derivatives and residuals of a group, and return the sum of their squares."""
    row, total = _SLOPES, 0.0
    for i in range(n):
        pix[_LEFT, i] = pix[_SEES, i] - par[which, m, 0]
    for k in range(m):
        height, a, b, c = par[which, k, 0], par[which, k, 3], par[which, k, 4], par[which, k, 5]
        for i in range(n):
            dv, du = pix[_V, i] - par[which, k, 1], pix[_U, i] - par[which, k, 2]
            gv, gu = a * dv + b * du, b * dv + c * du
            g = np.exp(-0.5 * (gv * dv + gu * du))
            bright = height * g
            pix[_LEFT, i] -= bright
            pix[row, i], pix[row + 1, i], pix[row + 2, i] = g, bright * gv, bright * gu
            pix[row + 3, i] = -0.5 * bright * (dv * dv + ratio * du * du)
            if ratio == 0.0:
                pix[row + 4, i], pix[row + 5, i] = -bright * dv * du, -0.5 * bright * du * du
        row += 6 if ratio == 0.0 else 4
    for i in range(n):
        pix[row, i] = 1.0
        total += pix[_LEFT, i] * pix[_LEFT, i]
    return total


@_compile  # type: ignore[untyped-decorator]
def _multiply(size: int, n: int, is_held: bool, pix: Any, mat: Any, vec: Any) -> None:
    for j in range(size):
        total = 0.0
        for i in range(n):
            total += pix[_SLOPES + j, i] * pix[_LEFT, i]
        vec[_RIGHT, j] = total
        for k in range(j + 1):
            total = 0.0
            for i in range(n):
                total += pix[_SLOPES + j, i] * pix[_SLOPES + k, i]
            mat[_NORMAL, j, k] = total
    if is_held:
        # The ground stays as it is: nothing pulls at it, and it is bound to nothing.
        vec[_RIGHT, size - 1] = 0.0
        for k in range(size - 1):
            mat[_NORMAL, size - 1, k] = 0.0


@_compile  # type: ignore[untyped-decorator]
def _factorise(stiffness: float, size: int, mat: Any) -> bool:
    """Find the lower factor of the scaled normal matrix, made stiffer; say whether there is one."""
    for j in range(size):
        for k in range(j + 1):
            total = 1.0 + stiffness
            if j != k:
                total = mat[_NORMAL, j, k] / np.sqrt(mat[_NORMAL, j, j] * mat[_NORMAL, k, k])
            for i in range(k):
                total -= mat[_LOW, j, i] * mat[_LOW, k, i]
            if j != k:
                mat[_LOW, j, k] = total / mat[_LOW, k, k]
            elif total > 1e-11:
                mat[_LOW, j, j] = np.sqrt(total)
            else:
                return False
    return True


@_compile  # type: ignore[untyped-decorator]
def _solve(size: int, mat: Any, vec: Any) -> None:
    for j in range(size):
        total = vec[_RIGHT, j] / np.sqrt(mat[_NORMAL, j, j])
        for i in range(j):
            total -= mat[_LOW, j, i] * vec[_STEP, i]
        vec[_STEP, j] = total / mat[_LOW, j, j]
    for back in range(size):
        j = size - 1 - back
        total = vec[_STEP, j]
        for i in range(j + 1, size):
            total -= mat[_LOW, i, j] * vec[_STEP, i]
        vec[_STEP, j] = total / mat[_LOW, j, j]
    for j in range(size):
        vec[_STEP, j] /= np.sqrt(mat[_NORMAL, j, j])


@_compile  # type: ignore[untyped-decorator]
def _try_step(m: int, ratio: float, starts: Any, first: int, vec: Any, par: Any) -> float:
    """Fill in where a step leads, and return how far, in pixels and parts of a parameter; -1 where no atom can be."""
    each, most = 6 if ratio == 0.0 else 4, 0.0
    par[_TRIAL, m, 0] = par[_NOW, m, 0] + vec[_STEP, each * m]
    for k in range(m):
        for j in range(each):
            par[_TRIAL, k, j] = par[_NOW, k, j] + vec[_STEP, each * k + j]
        if ratio > 0.0:
            par[_TRIAL, k, 4], par[_TRIAL, k, 5] = 0.0, ratio * par[_TRIAL, k, 3]
        a, b, c = par[_TRIAL, k, 3], par[_TRIAL, k, 4], par[_TRIAL, k, 5]
        sa, sb, sc = starts[first + k, 3], starts[first + k, 4], starts[first + k, 5]
        dv, du = par[_TRIAL, k, 1] - starts[first + k, 1], par[_TRIAL, k, 2] - starts[first + k, 2]
        far = sa * dv * dv + 2 * sb * dv * du + sc * du * du
        # (a c - b^2) / (a + c) is half to one of the smaller eigenvalue, where both are positive.
        least, before = (a * c - b * b) / (a + c), (sa * sc - sb * sb) / (sa + sc)
        if not (a > 0.0 and c > 0.0 and least > 0.04 * before and a + c < 2.0 / _SMALLEST**2 and far < 6.0):
            return -1.0
        for j in range(6):
            moved = abs(par[_TRIAL, k, j] - par[_NOW, k, j])
            scale = 1.0 if j == 1 or j == 2 else (3.0 * abs(par[_NOW, k, 0]) if j == 0 else 3.0 * (a + c))
            most = max(most, moved / (scale + 1e-300))
    return most


@_compile  # type: ignore[untyped-decorator]
def _hold_shapes(
    which: int, m: int, ratio: float, starts: Any, first: int, weight: float, mat: Any, vec: Any, par: Any
) -> float:
    """Pull shapes softly to those at the start, as far as a half of sigma is nothing unusual; return the penalty.

    Where an atom stands out of the noise this changes nothing; where it does not, no atom spreads out into the ground.
    """
    each, penalty = 6 if ratio == 0.0 else 4, 0.0
    for k in range(m):
        for j in range(3, each):
            unusual = 2.0 * _UNUSUAL * np.sqrt(starts[first + k, 3] * starts[first + k, 5])
            off = (par[which, k, j] - starts[first + k, j]) / unusual
            penalty += weight * off * off
            if which == _NOW:
                mat[_NORMAL, each * k + j, each * k + j] += weight / unusual**2
                vec[_RIGHT, each * k + j] -= weight * off / unusual
    return penalty


@_compile  # type: ignore[untyped-decorator]
def _improve(
    m: int, ratio: float, is_held: bool, starts: Any, first: int, n: int, steps: int, tol: float, pix: Any, mat: Any,
    vec: Any, par: Any,
) -> float:  # fmt: skip
    """Improve a group by some steps, and return how far it moved in one of them; infinite where none is possible."""
    size, weight = (6 if ratio == 0.0 else 4) * m + 1, 0.0
    stiffness, total, far, moved, done, which = 1e-4, np.inf, 0.0, 0.0, -1, _NOW
    while True:
        found = np.inf
        if moved >= 0.0:
            found = _evaluate(par, which, m, ratio, n, pix)
            if done < 0:
                weight = found / (n - size)
            if which == _TRIAL:
                found += _hold_shapes(which, m, ratio, starts, first, weight, mat, vec, par)
        if found <= total * (1.0 + 1e-12):
            for k in range(m + 1):
                for j in range(6):
                    par[_NOW, k, j] = par[which, k, j]
            far, done = max(far, moved), done + 1
            _multiply(size, n, is_held, pix, mat, vec)
            penalty = _hold_shapes(_NOW, m, ratio, starts, first, weight, mat, vec, par)
            total = found + (penalty if which == _NOW else 0.0)
            if done >= steps or (done > 0 and moved < tol):
                return far
            stiffness *= 0.05
        elif stiffness < _STIFFEST:
            stiffness *= 10.0
        else:
            return far if 0.0 <= moved < tol else np.inf
        moved, which = -1.0, _TRIAL
        if _factorise(stiffness, size, mat):
            _solve(size, mat, vec)
            moved = _try_step(m, ratio, starts, first, vec, par)


@_compile  # type: ignore[untyped-decorator]
def _measure_form(table: Any, k: int, at: int, dv: float, du: float) -> float:
    return float(table[k, at] * dv * dv + 2.0 * table[k, at + 1] * dv * du + table[k, at + 2] * du * du)


@_compile  # type: ignore[untyped-decorator]
def _stamp(atoms: Any, starts: Any, k: int, sign: float, image: Any) -> None:
    """Add an atom to the image or take it out, within what is seen of it at its start."""
    determinant = starts[k, 3] * starts[k, 5] - starts[k, 4] ** 2
    high, wide = np.sqrt(_SEEN * starts[k, 5] / determinant), np.sqrt(_SEEN * starts[k, 3] / determinant)
    y, x = starts[k, 1], starts[k, 2]
    for i in range(max(0, int(np.ceil(y - high))), min(image.shape[0], int(np.floor(y + high)) + 1)):
        for j in range(max(0, int(np.ceil(x - wide))), min(image.shape[1], int(np.floor(x + wide)) + 1)):
            if _measure_form(starts, k, 3, float(i) - y, float(j) - x) < _SEEN:
                power = _measure_form(atoms, k, 3, float(i) - atoms[k, 1], float(j) - atoms[k, 2])
                if power < 2.0 * _SEEN:
                    image[i, j] += sign * atoms[k, 0] * np.exp(-0.5 * power)


@_compile  # type: ignore[untyped-decorator]
def _gather(image: Any, starts: Any, windows: Any, first: int, end: int, pix: Any) -> int:
    """Collect the finite pixels in the windows of a group, and return how many there are."""
    y0, y1, x0, x1, n = image.shape[0], 0, image.shape[1], 0, 0
    for k in range(first, end):
        determinant = windows[k, 0] * windows[k, 2] - windows[k, 1] ** 2
        high, wide = np.sqrt(windows[k, 2] / determinant), np.sqrt(windows[k, 0] / determinant)
        y0, y1 = min(y0, int(np.ceil(starts[k, 1] - high))), max(y1, int(np.floor(starts[k, 1] + high)) + 1)
        x0, x1 = min(x0, int(np.ceil(starts[k, 2] - wide))), max(x1, int(np.floor(starts[k, 2] + wide)) + 1)
    for i in range(max(0, y0), min(image.shape[0], y1)):
        for j in range(max(0, x0), min(image.shape[1], x1)):
            inside = False
            for k in range(first, end):
                form = _measure_form(windows, k, 0, float(i) - starts[k, 1], float(j) - starts[k, 2])
                inside = inside or form <= 1.0
            if inside and np.isfinite(image[i, j]):
                pix[_V, n], pix[_U, n], pix[_SEES, n] = i, j, image[i, j]
                n += 1
    return n


@_compile  # type: ignore[untyped-decorator]
def _visit(
    image: Any, atoms: Any, starts: Any, windows: Any, first: int, end: int, ratio: float, is_held: bool,
    overlap: bool, steps: int, tol: float, pix: Any, mat: Any, vec: Any, par: Any,
) -> Any:  # fmt: skip
    """Fit a group to the image without all others, and return how far it moved, and how many pixels it has."""
    m = end - first
    for k in range(first, end if overlap else first):
        _stamp(atoms, starts, k, 1.0, image)
    n = _gather(image, starts, windows, first, end, pix)
    gone = np.inf
    if n >= 2 * ((6 if ratio == 0.0 else 4) * m + 1):
        for k in range(m):
            for j in range(6):
                par[_NOW, k, j] = atoms[first + k, j]
        par[_NOW, m, 0] = atoms[first, 6]
        gone = _improve(m, ratio, is_held, starts, first, n, steps, tol, pix, mat, vec, par)
        for k in range(m):
            for j in range(6):
                atoms[first + k, j] = par[_NOW, k, j]
            atoms[first + k, 6] = par[_NOW, m, 0]
    for k in range(first, end if overlap else first):
        _stamp(atoms, starts, k, -1.0, image)
    return gone, n


@_compile  # type: ignore[untyped-decorator]
def _place(k: int, m: int, parameter: int, ratio: float) -> int:
    """Return which parameter of a group one of an atom is; -1 for one that is not free."""
    each = 6 if ratio == 0.0 else 4
    if parameter == 6:
        return each * m
    return each * k + parameter if parameter < each else -1


@_compile  # type: ignore[untyped-decorator]
def _tell_group(n: int, first: int, m: int, ratio: float, pairs: Any, pix: Any, mat: Any, out: Any) -> bool:
    """Fill in the variances of a group that was visited without steps; say whether it has any."""
    size, noise = (6 if ratio == 0.0 else 4) * m + 1, 0.0
    if not _factorise(0.0, size, mat):
        return False
    for i in range(n):
        noise += pix[_LEFT, i] * pix[_LEFT, i] / (n - size)
    for k in range(size):
        for j in range(k, size):
            total = 1.0 if j == k else 0.0
            for i in range(k, j):
                total -= mat[_LOW, j, i] * mat[_INVERSE, i, k]
            mat[_INVERSE, j, k] = total / mat[_LOW, j, j]
    for k in range(m):
        for number in range(pairs.shape[0]):
            i, j = _place(k, m, pairs[number, 0], ratio), _place(k, m, pairs[number, 1], ratio)
            total = 0.0
            if i >= 0 and j >= 0:
                for row in range(max(i, j), size):
                    total += mat[_INVERSE, row, i] * mat[_INVERSE, row, j]
                total *= noise / np.sqrt(mat[_NORMAL, i, i] * mat[_NORMAL, j, j])
            out[first + k, number] = total
    return True


_IMAGE, _TABLE = types.Array(types.float64, 2, "C"), types.Array(types.float64, 2, "C", readonly=True)
_HELD = types.Array(types.boolean, 1, "C", readonly=True)
_FIRST, _PAIRS = types.Array(types.int64, 1, "C", readonly=True), types.Array(types.int64, 2, "C", readonly=True)


@numba.njit(  # type: ignore[untyped-decorator]
    types.void(
        _IMAGE, _IMAGE, _IMAGE, _IMAGE, _FIRST, _HELD, types.float64, types.boolean, types.int64, types.float64,
        types.int64, types.int64, _PAIRS, types.Array(types.float64, 1, "C"), _IMAGE,
    ),
    nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc"},
)  # fmt: skip
def _fit_all(
    image: Any, atoms: Any, starts: Any, windows: Any, firsts: Any, held: Any, ratio: float, overlap: bool,
    sweeps: int, tol: float, most: int, pixels: int, pairs: Any, moved: Any, variances: Any,
) -> None:  # fmt: skip
    groups, rows = firsts.size - 1, 6 * most + 1
    pix, mat = np.empty((_SLOPES + rows, pixels)), np.empty((3, rows, rows))
    vec, par, quiet = np.empty((2, rows)), np.empty((2, most + 1, 6)), np.zeros(groups, np.int64)
    for k in range(atoms.shape[0] if overlap else 0):
        _stamp(atoms, starts, k, -1.0, image)
    for sweep in range(sweeps + 1):
        far, steps = 0.0, 0 if sweep == sweeps else (3 if overlap else 60)
        for g in range(groups):
            first, end = firsts[g], firsts[g + 1]
            if steps > 0 and quiet[g] >= 2:
                continue
            gone, n = _visit(
                image, atoms, starts, windows, first, end, ratio, held[g], overlap, steps, tol, pix, mat, vec, par
            )
            if steps > 0:
                moved[g] = gone
                quiet[g] = 2 if gone == np.inf else (quiet[g] + 1 if gone < tol else 0)
                far = max(far, 0.0 if gone == np.inf else gone)
            elif gone == np.inf or not _tell_group(n, first, end - first, ratio, pairs, pix, mat, variances):
                moved[g] = np.inf
        for g in range(groups if far < tol else 0):
            quiet[g] = 2


def fit_groups(
    image: npt.NDArray[Any], atoms: npt.NDArray[Any], windows: npt.NDArray[Any], firsts: npt.NDArray[Any],
    held: npt.NDArray[np.bool_], *, ratio: float, overlap: bool, sweeps: int = 60, tol: float = 1e-5,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]:  # fmt: skip
    """Fit atoms to an image.

    Parameters
    ----------
    image : ndarray, shape (line, column)
        Pixels that are not finite do not count.
    atoms : ndarray, shape (atom, parameter)
        Finite start values, in pixels, their parameters those of `COLUMNS`; those of a group follow each other.
    windows : ndarray, shape (atom, 3)
        The pixels at (v, u) from its start with a v^2 + 2 b v u + c u^2 <= 1 are fitted.
    firsts : ndarray of int, shape (group + 1,)
        Where each group begins, and where the last ends.
    held : ndarray of bool, shape (group,)
        Whose background stays as it is.
    ratio : float
        0 for ellipses; else c = ratio a and b = 0, for the start values too.
    overlap : bool
        Take the atoms of all other groups out of the image.
    sweeps, tol : int and float
        Most turns of all groups; in pixels, what is not counted as movement.

    Returns
    -------
    found : ndarray, shape (atom, parameter)
    variances : ndarray, shape (atom, 10)
        Those of `VARIANCES`, for noise as large as what is left in the windows of the group; 0 of what is not free.
    is_settled : ndarray of bool, shape (atom,)
    """
    left, found = np.array(image, np.float64, order="C"), np.array(atoms, np.float64, order="C")
    windows, firsts = np.array(windows, np.float64, order="C"), np.ascontiguousarray(firsts, np.int64)
    counts = np.diff(firsts)
    moved, variances = np.full(len(counts), np.inf), np.full((len(found), len(VARIANCES)), np.nan)
    if not len(found):
        return found, variances, np.zeros(0, bool)
    determinant = windows[:, 0] * windows[:, 2] - windows[:, 1] ** 2
    areas = (2 * np.sqrt(windows[:, 0] / determinant) + 2) * (2 * np.sqrt(windows[:, 2] / determinant) + 2)
    pixels = int(min(np.add.reduceat(areas, firsts[:-1]).max(), left.size)) + 1
    _fit_all(
        left, found, found.copy(), windows, firsts, np.ascontiguousarray(held), ratio, overlap, sweeps, tol,
        int(counts.max()), pixels, np.array(VARIANCES, np.int64), moved, variances,
    )  # fmt: skip
    variances[np.repeat(held, counts), -1] = 0
    return found, variances, np.repeat(moved < tol, counts)
