"""Contact of single curves against SciPy's least squares on the same equations."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import brentq, least_squares

from usidx.modes.force.kernels.contact import fit_contacts
from usidx.modes.force.kernels.inverse import invert
from usidx.modes.force.kernels.laws import CONE, SPHERE
from usidx.modes.force.kernels.measure import measure
from usidx.modes.force.kernels.pulling import measure_pulls
from usidx.modes.force.kernels.status import CONVERGED, FIGURES

Array = npt.NDArray[Any]


def push(u: Array, law: float, power: float, give: float) -> Array:
    """Find the force at each place by bisection."""

    def solve(way: float) -> float:
        return float(brentq(lambda far: far + give * law * far**power - way, 0.0, way)) if way > 0 else 0.0

    return np.array([law * solve(one) ** power for one in u])


@pytest.mark.parametrize(("kind", "power"), [(SPHERE, 1.5), (CONE, 2.0)])
@pytest.mark.parametrize("give", [0.0, 0.5, 50.0])
def test_least_squares_and_errors_are_those_of_scipy(kind: int, power: float, give: float) -> None:
    rng = np.random.default_rng(0)
    s = np.linspace(0, 1, 160)
    force = push(s - 0.55, 8.0, power, give)
    y = 0.3 + 0.1 * s + force + 0.02 * force.max() * rng.standard_normal(s.size)

    def leave(p: Array) -> Array:
        return np.asarray(p[0] + p[1] * s + push(s - p[2], np.exp(p[3]), power, give) - y)

    best = least_squares(leave, [0.3, 0.1, 0.55, np.log(8.0)], xtol=1e-12, ftol=1e-12)
    covariance = np.linalg.inv(best.jac.T @ best.jac) * 2 * best.cost / (s.size - 4)
    table = fit_contacts(y[np.newaxis], s[np.newaxis], np.array([[0, 159, -1, -1]]), kind, give, is_tilted=True)
    found = dict(zip(FIGURES, table[0], strict=True))
    assert found["status"] == CONVERGED
    error = np.sqrt(covariance[2, 2])
    assert abs(found["contact_point"] - best.x[2]) < 0.05 * error
    assert found["contact_point_stderr"] == pytest.approx(error, rel=0.05)
    spread = np.sqrt(covariance[3, 3])
    assert abs(np.log(found["coefficient"]) - best.x[3]) < 0.05 * spread
    assert found["coefficient_stderr"] / found["coefficient"] == pytest.approx(spread, rel=0.05)
    assert found["noise"] == pytest.approx(np.sqrt(2 * best.cost / (s.size - 4)), rel=1e-3)
    assert found["tilt"] == pytest.approx(best.x[1], abs=0.05 * np.sqrt(covariance[1, 1]))


def test_something_hard_shows_where_it_begins() -> None:
    """The force follows the cantilever, so that only the least stiffness is known."""
    s = np.linspace(0, 1e-6, 200)
    y = 0.2 * np.clip(s - 0.6e-6, 0, None) + 1e-11 * np.random.default_rng(1).standard_normal(200)
    table = fit_contacts(y[np.newaxis], s[np.newaxis], np.array([[0, 199, -1, -1]]), SPHERE, 5.0, is_tilted=True)
    found = dict(zip(FIGURES, table[0], strict=True))
    assert found["status"] == CONVERGED
    assert abs(found["contact_point"] - 0.6e-6) < 2e-9
    assert found["stiffness"] > 20


def test_a_fit_knows_nothing_of_the_scale() -> None:
    rng = np.random.default_rng(3)
    s = np.linspace(0, 1, 300)
    y = 4 * np.clip(s - 0.5, 0, None) ** 1.5 + 0.01 * rng.standard_normal((5, 300))
    plain = measure(y, s[np.newaxis], None, "hertz", 0.0, is_tilted=True)
    small = measure(1e-9 * y, 1e-6 * s[np.newaxis], None, "hertz", 0.0, is_tilted=True)
    np.testing.assert_allclose(small["contact_point"], 1e-6 * plain["contact_point"], rtol=1e-6)
    np.testing.assert_allclose(small["coefficient"], plain["coefficient"], rtol=1e-5)


def test_the_inverse_is_that_of_numpy() -> None:
    root = np.random.default_rng(0).normal(size=(5, 5)) * 10.0 ** np.arange(5)
    square = root.T @ root
    low, found = np.zeros((5, 10)), np.zeros((5, 10))
    compiled: Any = invert
    assert compiled.py_func(0.0, square, low, found)
    np.testing.assert_allclose(found[:, :5] @ square, np.eye(5), atol=1e-6)
    assert not compiled.py_func(0.0, np.zeros((5, 5)) + np.eye(5) * 0 + 1.0, low, found)


def test_a_sawtooth_is_pulled_by_its_depth_and_costs_its_area() -> None:
    h = np.linspace(0, 1, 501)
    force = np.where(h < 0.4, 0.2 - h, 0.0)  # down to -0.198, then free
    noisy = force + 0.002 * np.random.default_rng(0).standard_normal((40, 501))
    parts, level = np.tile([0, 501], (40, 1)), np.zeros(40)
    pulls = measure_pulls(noisy, h[np.newaxis], parts, level, level, np.full(40, 0.002))
    adhesion, error, work, work_error = pulls[:, :4].T
    assert abs(adhesion.mean() - 0.198) < 0.001
    assert 0.5 < np.mean(abs(adhesion - 0.198) < error) < 0.9
    assert abs(work.mean() - 0.02) < 3e-4
    assert (work_error < 4e-4).all()
