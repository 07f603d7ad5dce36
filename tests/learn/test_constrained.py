"""Non-negative least squares of many rows against scipy, one row at a time."""

import numpy as np
import pytest
from scipy.optimize import nnls

from usidx.learn.constrained import constrained_scores


@pytest.mark.parametrize("rank", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(6))
def test_residual_is_that_of_scipy(rank: int, seed: int) -> None:
    """Also where components depend on each other, so that many scores are equally good."""
    rng = np.random.default_rng(seed)
    components = rng.random((5, rank)) @ rng.random((rank, 40))
    rows = rng.random((60, rank)) @ rng.random((rank, 40)) + 0.01 * rng.random((60, 40))
    scores = constrained_scores(rows, components, closed=False)
    assert (scores >= 0).all()
    ours = np.linalg.norm(rows - scores @ components, axis=1)
    theirs = np.array([nnls(components.T, row)[1] for row in rows])
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
