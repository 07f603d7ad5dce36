"""What follows from the nine parameters, against the model solved by bisection."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import brentq

from tests.kit.loops import Array, draw, loops
from usidx.modes.switching.figures import SWITCHING, compute_switching, compute_switching_errors


def named(parameters: Array, threshold: float = 0.03) -> dict[str, float]:
    return dict(zip(SWITCHING, compute_switching(parameters, threshold).tolist(), strict=True))


def test_closed_forms() -> None:
    found = named(np.array([-1.0, 2.5, -2.0, 3.0, 0.1, 1.0, 1.0, 1.0, 1.0]))
    assert found["imprint"] == 0.5
    assert found["r_plus"] == 1.5
    assert found["work_of_switching"] == 12.5


@given(seed=st.integers(0, 10_000), threshold=st.floats(0.005, 0.995), below=st.floats(0.1, 5), above=st.floats(0.1, 5))
def test_nucleation_is_where_a_branch_has_gone_its_share(
    seed: int, threshold: float, below: float, above: float
) -> None:
    """The widths of a branch differ, and it may nucleate on either side of where it switches."""
    parameters = draw((), seed)
    parameters[:2], parameters[4] = (0.0, 1.0), 0.0  # the share itself
    parameters[5:] = below, above, above, below

    def branch(voltage: float, up: bool, share: float) -> float:
        return float(loops(np.array([voltage]), np.array([up]), parameters, step=1e12)[0]) - share

    found = named(parameters, threshold)
    first = brentq(branch, -60, 60, args=(True, threshold), xtol=1e-13)
    second = brentq(branch, -60, 60, args=(False, 1 - threshold), xtol=1e-13)
    assert found["nucleation_bias_1"] == pytest.approx(first, abs=1e-6)
    assert found["nucleation_bias_2"] == pytest.approx(second, abs=1e-6)


@pytest.mark.parametrize("threshold", [0.03, 0.4, 0.9])
def test_errors_are_those_of_many_draws(threshold: float) -> None:
    """Parameters scatter about a loop by a known covariance; so does what follows from them."""
    rng = np.random.default_rng(0)
    middle = np.array([-1.0, 2.0, -2.0, 3.0, 0.01, 0.8, 1.6, 1.5, 0.6])
    mix = 1e-3 * rng.normal(size=(9, 9))
    draws = middle + rng.normal(size=(40_000, 9)) @ mix.T
    found = compute_switching_errors(middle, mix @ mix.T, threshold)
    assert_allclose(found, compute_switching(draws, threshold).std(axis=0), rtol=0.02)


def test_what_does_not_matter_need_not_be_known() -> None:
    covariance = np.eye(9)
    covariance[5:], covariance[:, 5:] = np.nan, np.nan
    found = compute_switching_errors(draw((2,), 0), np.stack([covariance] * 2), 0.03)
    assert np.isfinite(found[:, :3]).all()
    assert np.isnan(found[:, 3:]).all()
    assert_allclose(found[:, 0], np.sqrt(0.5))


def test_what_is_not_known_stays_unknown_and_shapes_are_kept() -> None:
    parameters = draw((3, 4), 0)
    parameters[1, 2] = np.nan
    found = compute_switching(parameters, 0.03)
    assert found.shape == (3, 4, len(SWITCHING))
    assert np.isnan(found[1, 2]).all()
    assert np.isfinite(np.delete(found.reshape(12, -1), 6, axis=0)).all()
    assert_allclose(found[0, 0], compute_switching(parameters[0, 0], 0.03))
