"""The candidates that explain most are those that least squares over all combinations finds."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from usidx.fitting.solver.search.screen import find_best, make_templates

Array = npt.NDArray[np.float64]
X = np.linspace(-5, 5, 60)


def _make_columns(centers: Array, linear: int) -> Array:
    """Return peaks, and their slopes where there are two linear parameters, (1, candidate, linear, sample)."""
    peak = np.exp(-0.5 * (X - centers[:, None]) ** 2)
    return np.stack([peak, peak * (X - centers[:, None])][:linear], axis=1)[None]


@pytest.mark.parametrize("per_spectrum", [False, True])
@pytest.mark.parametrize("linear", [1, 2])
@pytest.mark.parametrize("groups", [1, 2, 3])
def test_the_best_choice_is_that_of_least_squares(groups: int, linear: int, per_spectrum: bool) -> None:
    rng = np.random.default_rng(groups)
    always = np.ones((1, 1, X.size)) / np.sqrt(X.size)
    centers = [np.linspace(low, low + 2.5, 6) for low in (-4.5, -1.5, 1.5)[:groups]]
    columns = [_make_columns(c, linear) for c in centers]
    truth = [rng.integers(0, 6, 5) for _ in centers]
    y = sum(rng.uniform(1, 3, (5, 1)) * c[0, t, 0] for c, t in zip(columns, truth, strict=True))
    y = np.asarray(y) + 0.05 * rng.normal(size=(5, X.size))
    free = np.full((1, linear, 2), [-np.inf, np.inf])
    shown = [np.repeat(c, 5, axis=0) if per_spectrum else c for c in columns]
    templates = [make_templates(c, None, always, free) for c in shown]
    found = find_best(y - y.mean(axis=1, keepdims=True), templates, 4)
    for i, row in enumerate(y):
        costs = {}
        for pick in itertools.product(range(6), repeat=groups):
            design = np.concatenate([c[0, k] for c, k in zip(columns, pick, strict=True)] + [np.ones((1, X.size))]).T
            costs[pick] = ((row - design @ np.linalg.lstsq(design, row)[0]) ** 2).sum()
        best = np.array(min(costs, key=lambda pick: costs[pick]))
        # Of three groups not all combinations are tried: one beside the best is near enough.
        assert abs(found[i] - best).max(axis=1).min() <= (groups > 2)


def test_candidates_outside_the_bounds_come_last() -> None:
    always, columns = np.zeros((1, 1, X.size)), _make_columns(np.array([-2.0, 2.0]), 1)
    y = -3.0 * columns[0, 0, 0] + 1.0 * columns[0, 1, 0]
    positive = make_templates(columns, None, always, np.array([[[0.0, np.inf]]]))
    assert find_best(y[None], [positive], 1)[0, 0, 0] == 1
    either = make_templates(columns, None, always, np.array([[[-np.inf, np.inf]]]))
    assert find_best(y[None], [either], 1)[0, 0, 0] == 0
