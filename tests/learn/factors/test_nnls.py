"""Non-negative least squares of many rows against scipy, one row at a time, and against all solutions there can be."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy.optimize import nnls

from usidx.learn.factors.nnls import find_constrained_scores


@pytest.mark.parametrize("rank", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(6))
def test_residual_is_that_of_scipy(rank: int, seed: int) -> None:
    """Also where components depend on each other, so that many scores are equally good."""
    rng = np.random.default_rng(seed)
    components = rng.random((5, rank)) @ rng.random((rank, 40))
    rows = rng.random((60, rank)) @ rng.random((rank, 40)) + 0.01 * rng.random((60, 40))
    scores = find_constrained_scores(rows, components, closed=False)
    assert (scores >= 0).all()
    ours = np.linalg.norm(rows - scores @ components, axis=1)
    theirs = np.array([nnls(components.T, row)[1] for row in rows])
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def exactly(row: Any, components: Any, closed: bool) -> float:
    """Return the least residual, of the solutions on every set of components that have no negative score."""
    norms = [] if closed else [float(np.linalg.norm(row))]
    for size in range(1, len(components) + 1):
        for chosen in map(list, combinations(range(len(components)), size)):
            some = components[chosen]
            # With the sum fixed, the last score follows from the others.
            basis, about = (some[:-1] - some[-1], row - some[-1]) if closed else (some, row)
            scores = np.linalg.lstsq(basis.T, about, rcond=None)[0]
            if (np.r_[scores, 1 - scores.sum() if closed else 0] >= 0).all():
                norms.append(float(np.linalg.norm(about - scores @ basis)))
    return min(norms)


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("kind", ["alike", "uneven", "small", "large", "any sign"])
@pytest.mark.parametrize("seed", range(4))
def test_residual_is_the_least_there_is(kind: str, closed: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    components, noise = rng.random((5, 9)), 0.1
    if kind == "alike":  # spectra that differ by a thousandth, as those of neighbouring phases
        components, noise = np.linspace(1, 2, 9) + 1e-3 * components, 2e-4
    elif kind == "any sign":
        components = rng.normal(size=(5, 9))
    else:
        unit = {"uneven": 1.0, "small": 1e-15, "large": 1e9}[kind]
        uneven = 10.0 ** rng.integers(-3, 4, (5, 1)) if kind == "uneven" else 1.0
        components, noise = components * (unit * uneven), noise * unit
    rows = rng.dirichlet(np.ones(5), 20) @ components + noise * rng.normal(size=(20, 9))
    scores = find_constrained_scores(rows, components, closed=closed)
    assert (scores >= 0).all()
    if closed:
        np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-9)
    left = np.linalg.norm(rows - scores @ components, axis=1)
    least = np.array([exactly(row, components, closed) for row in rows])
    assert ((left - least) <= 1e-9 * np.linalg.norm(rows, axis=1)).all()
