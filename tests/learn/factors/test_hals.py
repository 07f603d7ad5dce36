"""Sweeps of hierarchical alternating least squares against SciPy's non-negative least squares, and known factors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.testing import assert_allclose
from scipy.optimize import nnls

from usidx.learn.factors.hals import Products, choose_start, factorise, factorise_sample, sweep, update_components
from usidx.learn.factors.penalty import NO_PENALTY, Penalty
from usidx.learn.matrix.sample import Survey
from usidx.tasks.blocks import Held

Array = np.ndarray[Any, Any]


def mixture(seed: int = 0) -> tuple[Array, Array]:
    """Return scores (row, 2) and components (2, column), each with cells that the other component does not share."""
    rng = np.random.default_rng(seed)
    scores, components = rng.uniform(0.2, 1.0, (50, 2)), rng.uniform(0.2, 1.0, (2, 12))
    scores[:5, 0] = scores[5:10, 1] = components[0, :3] = components[1, 3:6] = 0.0
    return scores, components


def survey_of(rows: Array) -> Survey:
    return Survey(np.zeros(rows.shape[1], bool), len(rows), float((rows**2).sum()), rows, np.zeros(0, np.uint64))


def products_of(scores: Array, rows: Array) -> Products:
    return Products(scores.T @ scores, scores.T @ rows, scores.sum(axis=0))


def test_sweeps_end_at_the_non_negative_least_squares() -> None:
    rng = np.random.default_rng(1)
    components, rows = rng.uniform(size=(3, 20)), rng.normal(size=(9, 20))
    scores = np.ones((3, 9))
    sweep(scores, components @ components.T, components @ rows.T, 500)
    assert_allclose(scores.T, [nnls(components.T, row)[0] for row in rows], atol=1e-9)


def test_components_are_updated_to_their_least_squares() -> None:
    rng = np.random.default_rng(2)
    scores, rows = rng.uniform(size=(30, 3)), rng.normal(size=(30, 8))
    found = update_components(
        np.ones((3, 8)), products_of(scores, rows), NO_PENALTY.weigh(np.zeros(8, bool), 30), times=500
    )
    assert_allclose(found.T, [nnls(scores, column)[0] for column in rows.T], atol=1e-9)


def test_the_residual_follows_from_the_products() -> None:
    rng = np.random.default_rng(3)
    scores, components, rows = rng.uniform(size=(30, 3)), rng.uniform(size=(3, 8)), rng.uniform(size=(30, 8))
    first, second = products_of(scores[:12], rows[:12]), products_of(scores[12:], rows[12:])
    left = ((rows - scores @ components) ** 2).sum()
    joined = first.join(second)
    assert_allclose(joined.measure_residual(float((rows**2).sum()), components), left, rtol=1e-12)
    weights = Penalty(0.1, 0.2, 0.3).weigh(np.zeros(8, bool), 30)
    cost = 0.1 * 8 * (0.3 * scores.sum() + 0.7 * (scores**2).sum() / 2)
    cost += 0.2 * 30 * (0.3 * components.sum() + 0.7 * (components**2).sum() / 2)
    objective = joined.measure_objective(float((rows**2).sum()), components, weights)
    assert_allclose(objective, np.sqrt(left + 2 * cost), rtol=1e-12)


def test_the_start_is_not_negative_and_nowhere_zero_where_the_data_is_not() -> None:
    scores, components = mixture()
    found = choose_start(scores @ components, 2)
    assert found.shape == (2, 12)
    assert (found > 0.0).all()


def test_factors_of_a_mixture_are_found_again() -> None:
    scores, components = mixture()
    rows = scores @ components
    blocks = Held(rows, [20, 30])
    found = factorise(blocks, survey_of(rows), choose_start(rows, 2), 2000, 1e-14, NO_PENALTY)
    assert found.error <= 1e-4 * found.norm
    assert (found.scores.join() >= 0.0).all()
    assert (found.components >= 0.0).all()
    unit = found.components / np.linalg.norm(found.components, axis=1, keepdims=True)
    truth = components / np.linalg.norm(components, axis=1, keepdims=True)
    assert_allclose(np.sort((unit @ truth.T).max(axis=1)), 1.0, atol=1e-4)


def test_rows_that_are_not_complete_are_left_out() -> None:
    scores, components = mixture()
    rows = scores @ components
    broken = rows.copy()
    broken[6, 1] = np.nan
    known = survey_of(np.delete(rows, 6, axis=0))
    found = factorise(Held(broken), known, choose_start(known.sample, 2), 20, 1e-9, NO_PENALTY)
    assert np.isnan(found.scores.join()[6]).all()
    assert np.isfinite(np.delete(found.scores.join(), 6, axis=0)).all()


def test_a_sample_gives_components_close_to_those_of_all() -> None:
    scores, components = mixture()
    rows = scores @ components
    found = factorise_sample(rows[::2], 2, 1e-12, NO_PENALTY)
    left = rows.T - found.T @ np.array([nnls(found.T, row)[0] for row in rows]).T
    assert np.linalg.norm(left) < 1e-2 * np.linalg.norm(rows)
