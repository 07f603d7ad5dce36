"""One image and a reference without noise: the shift, and how sure it is."""

import numpy as np
import numpy.typing as npt

from usidx.image.kernels.matching import Target, prepare

RNG = np.random.default_rng(3)
WAVES = [(RNG.uniform(-0.4, 0.4), RNG.uniform(-0.4, 0.4), RNG.uniform(0, 6)) for _ in range(20)]


def picture(y: float = 0.0, x: float = 0.0) -> npt.NDArray[np.float64]:
    rows, columns = np.arange(48)[:, np.newaxis] - y, np.arange(64) - x
    return np.asarray(sum(np.cos(a * rows + b * columns + p) for a, b, p in WAVES) / 3)


def test_the_error_is_that_of_many_measurements() -> None:
    clean = picture()
    target = Target(clean - clean.mean(), np.ones(clean.shape, bool))
    rng = np.random.default_rng(0)
    off = []
    for _ in range(60):
        frame = prepare(2.0 * picture(1.3, -0.6) + 5.0 + 0.4 * rng.normal(size=clean.shape), None)
        assert frame is not None
        found = target.match(frame, np.array([1.0, -1.0]))
        off.append((found.shift - (1.3, -0.6)) / np.sqrt(found.variance))
    assert np.all(np.abs(np.sqrt(np.mean(np.square(off), axis=0)) - 1) < 0.35)
    assert np.all(np.abs(np.mean(off, axis=0)) < 0.5)


def test_whole_samples_are_found_far_away() -> None:
    clean = picture()
    target = Target(clean - clean.mean(), np.ones(clean.shape, bool))
    frame = prepare(picture(9.0, -12.0), None)
    assert frame is not None
    found = target.search(frame, np.zeros(2), np.array([20, 30]))
    assert np.abs(found - (9, -12)).max() <= 1
    np.testing.assert_allclose(target.match(frame, found).shift, (9, -12), atol=1e-3)
    assert np.abs(target.search(frame, np.zeros(2), np.array([3, 3]))).max() <= 3


def test_what_shows_nothing_is_nothing() -> None:
    assert prepare(np.zeros((9, 9)), None) is None
    assert prepare(np.full((9, 9), np.nan), None) is None
    assert prepare(picture(), np.ones((48, 64), bool)) is None
