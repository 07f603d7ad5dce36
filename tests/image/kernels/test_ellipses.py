"""Forms and sigmas: there and back, and variances beside those of samples."""

import numpy as np

from usidx.image.kernels.ellipses import to_form, to_sigmas, vary_sigmas


def test_there_and_back() -> None:
    random = np.random.default_rng(0)
    sigma_y, sigma_x = random.uniform(0.5, 3, (2, 200))
    angle = random.uniform(-np.pi / 4, np.pi / 4, 200)
    np.testing.assert_allclose(to_sigmas(to_form(sigma_y, sigma_x, angle).T), [sigma_y, sigma_x, angle], rtol=1e-9)
    np.testing.assert_allclose(to_sigmas(np.array([[0.25, 0.0, 0.25]]))[:, 0], [2, 2, 0])


def test_variances_are_those_of_samples() -> None:
    random, steps = np.random.default_rng(1), np.array([0.5, -2.0])
    middle = np.array([0.3, 0.05, 0.5])
    covariance = 1e-5 * np.array([[2, 0.4, 0.3], [0.4, 1, -0.2], [0.3, -0.2, 3]])
    scale = np.array([steps[0] ** 2, steps[0] * steps[1], steps[1] ** 2])
    samples = random.multivariate_normal(middle, covariance, 100_000) / scale
    pairs = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
    told = np.array([[covariance[pair] for pair in pairs]])
    found = vary_sigmas(middle[np.newaxis] / scale, told, steps)[:, 0]
    np.testing.assert_allclose(found, to_sigmas(samples).var(axis=1), rtol=0.05)
