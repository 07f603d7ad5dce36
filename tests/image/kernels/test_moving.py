"""Moved images beside SciPy's."""

import numpy as np
import pytest
import scipy.ndimage

from usidx.image.kernels.moving import fill_nearest, move


@pytest.mark.parametrize("by", [(0.3, -1.7), (0.0, 0.5), (-2.0, 3.0), (4.25, 0.0)])
@pytest.mark.parametrize(("method", "order"), [("cubic", 3), ("linear", 1)])
def test_values_are_those_of_scipy(method: str, order: int, by: tuple[float, float]) -> None:
    image = np.random.default_rng(0).normal(size=(9, 13))
    found = move(image, by, method=method)
    wanted = scipy.ndimage.shift(image, [-one for one in by], order=order, mode="mirror")
    y, x = (np.arange(n) + one for n, one in zip(image.shape, by, strict=True))
    inside = ((y >= 0) & (y <= 8))[:, np.newaxis] & ((x >= 0) & (x <= 12))
    np.testing.assert_allclose(found[inside], wanted[inside], atol=1e-12)
    assert np.isnan(found[~inside]).all()


def test_by_whole_numbers_samples_are_copied() -> None:
    image = np.random.default_rng(0).normal(size=(6, 7)).astype("f4")
    found = move(image, (1.0, -2.0), fill=0)
    np.testing.assert_array_equal(found[:-1, 2:], image[1:, :-2])
    assert not found[-1].any()
    assert found.dtype == np.float32


def test_nearest_takes_the_closest() -> None:
    image = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(move(image, (0.4, 0.6), method="nearest")[:2, :3], image[:2, 1:])


def test_complex_is_its_two_parts() -> None:
    rng = np.random.default_rng(0)
    real, imag = rng.normal(size=(2, 6, 7))
    found = move(real + 1j * imag, (0.3, 0.2))
    np.testing.assert_allclose(found.real, move(real, (0.3, 0.2)))
    np.testing.assert_allclose(found.imag[:-1, :-1], move(imag, (0.3, 0.2))[:-1, :-1])


def test_what_a_missing_sample_takes_part_in_is_missing() -> None:
    y, x = np.mgrid[:20, :30]
    image = np.sin(0.2 * y) + np.cos(0.15 * x)
    broken = image.copy()
    broken[7, 11] = np.nan
    found, whole = move(broken, (0.5, 0.5)), move(image, (0.5, 0.5))
    missing = np.isnan(found) & ~np.isnan(whole)
    assert {tuple(map(int, p)) for p in np.argwhere(missing)} == {(6, 10), (6, 11), (7, 10), (7, 11)}
    np.testing.assert_allclose(found[~np.isnan(found)], whole[~np.isnan(found)], atol=0.02)


@pytest.mark.parametrize("shape", [(1, 5), (2, 2), (5, 1), (1, 1), (3, 2)])
def test_the_smallest_images_can_be_moved(shape: tuple[int, int]) -> None:
    image = np.arange(float(np.prod(shape))).reshape(shape)
    assert move(image, (0.0, 0.0)).tolist() == image.tolist()
    assert move(image, (0.25, 0.25)).shape == shape


def test_missing_samples_are_filled_by_the_nearest() -> None:
    image = np.array([[1.0, np.nan, np.nan, 4.0]])
    assert fill_nearest(image, np.isnan(image)).tolist() == [[1, 1, 4, 4]]
    assert fill_nearest(image, np.ones(image.shape, bool)).tolist() == [[0, 0, 0, 0]]
