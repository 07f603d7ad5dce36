"""Many damped normal equations at once, against `numpy.linalg` one by one."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose

from usidx.fitting.solver.numpy_normal_equations import invert, solve


def equations(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Five systems of three unknowns, whose units lie twenty orders of magnitude apart."""
    rng = np.random.default_rng(seed)
    slopes = rng.normal(size=(5, 3, 20)) * np.array([1e-12, 1.0, 1e8])[:, None]
    return slopes @ slopes.transpose(0, 2, 1), (slopes @ rng.normal(size=(5, 20, 1)))[..., 0]


def test_steps_and_what_they_promise() -> None:
    matrix, right = equations()
    damping = np.array([0.0, 1e-6, 0.1, 1.0, 100.0])
    steps, promised = solve(matrix, right, np.ones((5, 3), bool), damping)
    for k in range(5):
        scale = np.sqrt(np.diag(matrix[k]))
        scaled = matrix[k] / np.outer(scale, scale) + damping[k] * np.eye(3)
        step = np.linalg.solve(scaled, right[k] / scale) / scale
        assert_allclose(steps[k], step, rtol=1e-10)
        assert_allclose(promised[k], 2 * step @ right[k] - step @ matrix[k] @ step, rtol=1e-9)


def test_parameters_that_are_held_get_no_step() -> None:
    matrix, right = equations()
    moves = np.ones((5, 3), bool)
    moves[:, 1] = False
    steps, _ = solve(matrix, right, moves, np.zeros(5))
    assert (steps[:, 1] == 0.0).all()
    kept = [0, 2]
    for k in range(5):
        scale = np.sqrt(np.diag(matrix[k])[kept])
        small = matrix[k][np.ix_(kept, kept)] / np.outer(scale, scale)
        assert_allclose(steps[k, kept], np.linalg.solve(small, right[k, kept] / scale) / scale, rtol=1e-10)


def test_inverses() -> None:
    matrix, _ = equations(1)
    found, regular = invert(matrix, np.ones((5, 3), bool))
    assert regular.all()
    for k in range(5):
        scale = np.sqrt(np.diag(matrix[k]))
        expected = np.linalg.inv(matrix[k] / np.outer(scale, scale)) / np.outer(scale, scale)
        assert_allclose(found[k], expected, rtol=1e-10)


def test_singular_equations_are_told_apart() -> None:
    matrix = np.array([[[1.0, 2.0], [2.0, 4.0]], [[1.0, 0.0], [0.0, 4.0]], [[np.nan, 0.0], [0.0, 1.0]]])
    moves = np.ones((3, 2), bool)
    _, promised = solve(matrix, np.ones((3, 2)), moves, np.zeros(3))
    assert (promised < 0.0).tolist() == [True, False, True]
    assert invert(matrix, moves)[1].tolist() == [False, True, False]
    # Damping makes them regular.
    assert solve(matrix[:1], np.ones((1, 2)), moves[:1], np.array([0.1]))[1][0] > 0.0
