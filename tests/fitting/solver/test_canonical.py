"""Fits that mean the same end in one form."""

from __future__ import annotations

import math

import numpy as np
from numpy.testing import assert_allclose

from usidx.fitting.kernels.columns import Columns
from usidx.fitting.models.peaks import Gaussian2D
from usidx.fitting.models.sho import SHO
from usidx.fitting.solver.canonical import make_canonical


def test_the_longer_axis_comes_first_with_all_that_belongs_to_it() -> None:
    model = Gaussian2D()
    at, bounds = Columns(6), {p.name: p.bounds for p in model.parameters}
    table = np.arange(2.0 * at.count(covariance=True)).reshape(2, -1)
    table[:, at.parameters] = [[5.0, 1.0, 2.0, 0.5, 0.8, -0.1], [5.0, 1.0, 2.0, 0.8, 0.5, -0.1]]
    before = table.copy()
    found = make_canonical(model, model.names, bounds, table)
    # amplitude, center_x, center_y, sigma_x, sigma_y, rotation
    assert_allclose(found[0, at.parameters], [5.0, 1.0, 2.0, 0.8, 0.5, math.pi / 2 - 0.1])
    order = [0, 1, 2, 4, 3, 5]
    assert_allclose(found[0, at.stderr], before[0, at.stderr][order])
    square = before[0, at.covariance].reshape(6, 6)
    assert_allclose(found[0, at.covariance].reshape(6, 6), square[np.ix_(order, order)])
    assert_allclose(found[1], before[1])


def test_axes_stay_where_one_of_them_is_held_or_bounded() -> None:
    model = Gaussian2D()
    bounds = {p.name: p.bounds for p in model.parameters}
    row = np.zeros((1, Columns(6).count(covariance=False)))
    row[0, :6] = [5.0, 1.0, 2.0, 0.5, 0.8, 0.1]
    free = tuple(n for n in model.names if n != "sigma_x")
    assert_allclose(make_canonical(model, free, bounds, row.copy()), row)
    assert_allclose(make_canonical(model, model.names, bounds | {"sigma_x": (0.0, 9.0)}, row.copy()), row)


def test_angles_end_within_half_a_period_of_zero() -> None:
    model = SHO()
    phases = np.array([0.5, math.pi, -math.pi, 7.0, -20.0])
    table = np.ones((5, Columns(4).count(covariance=False)))
    table[:, 3] = phases
    found = make_canonical(model, model.names, {p.name: p.bounds for p in model.parameters}, table)[:, 3]
    assert (found > -math.pi).all()
    assert (found <= math.pi).all()
    assert_allclose(np.exp(1j * found), np.exp(1j * phases), atol=1e-14)
