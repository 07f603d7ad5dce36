"""Images cleaned by their patches, beside the same without noise and a plain formula."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from usidx.errors import SelectionError, UsidError
from usidx.image import denoise_patches


def make_lattice(noise: float, size: int = 256) -> tuple[xr.DataArray, Any]:
    """Return a lattice of atoms of two kinds, some missing, on a slow wave; with noise and without."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size].astype(float)
    clean = 0.15 * np.sin(x / 60) + 0.1
    for i, row in enumerate(np.arange(5, size, 11.7)):
        for j, column in enumerate(np.arange(5, size, 11.7)):
            if random.random() > 0.03:
                off = random.normal(0, 0.2, 2)
                far = (y - row - off[0]) ** 2 + (x - column - off[1]) ** 2
                clean += (1 if (i + j) % 2 else 0.6) * np.exp(-far / 2 / 2.1**2)
    noisy = clean + noise * np.random.default_rng(9).normal(size=clean.shape)
    return xr.DataArray(noisy, dims=("Y", "X"), name="Height", attrs={"units": "nm"}), clean


def measure_psnr(clean: Any, found: Any) -> float:
    return float(10 * np.log10(np.ptp(clean) ** 2 / ((clean - found) ** 2).mean()))


@pytest.mark.parametrize(("noise", "least"), [(0.1, 31.5), (0.3, 25.5)])
def test_lattices_come_out_clean(noise: float, least: float) -> None:
    noisy, clean = make_lattice(noise)
    found = denoise_patches(noisy)
    assert measure_psnr(clean, found) > least
    assert found.units == "nm"
    assert found.name == "Height"


def test_it_is_the_mean_of_patches_projected_on_their_components() -> None:
    noisy, _ = make_lattice(0.2, 40)
    found = denoise_patches(noisy, size=(5, 4), n=3, step=(2, 3))
    lines, columns = [*range(0, 35, 2), 35], [*range(0, 36, 3), 36]
    lines = sorted(set(lines))
    patches = np.array([noisy.values[i : i + 5, j : j + 4].ravel() for i in lines for j in columns])
    mean = patches.mean(axis=0)
    vectors = np.linalg.svd(patches - mean, full_matrices=False)[2][:3]
    projected = ((patches - mean) @ vectors.T @ vectors + mean).reshape(-1, 5, 4)
    total, count = np.zeros((40, 40)), np.zeros((40, 40))
    for patch, (i, j) in zip(projected, [(i, j) for i in lines for j in columns], strict=True):
        total[i : i + 5, j : j + 4] += patch
        count[i : i + 5, j : j + 4] += 1
    np.testing.assert_allclose(found, total / count, atol=1e-4)


def test_types_missing_pixels_and_scale() -> None:
    noisy, clean = make_lattice(0.2, 64)
    counts = (100 * noisy.clip(0)).astype("uint8")
    found = denoise_patches(counts)
    assert found.dtype == np.float64
    assert measure_psnr(100 * clean, found) > measure_psnr(100 * clean, counts.astype(float)) + 4
    single = denoise_patches(noisy.astype("float32"))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, denoise_patches(noisy), atol=1e-4)
    np.testing.assert_allclose(denoise_patches(1e6 + 1e-3 * noisy) - 1e6, 1e-3 * denoise_patches(noisy), atol=1e-6)
    holes = noisy.where(np.random.default_rng(0).random(noisy.shape) > 0.02)
    cleaned = denoise_patches(holes)
    np.testing.assert_array_equal(cleaned.isnull(), holes.isnull())
    assert measure_psnr(clean[holes.notnull()], cleaned.values[holes.notnull()]) > measure_psnr(clean, noisy) + 4
    assert (denoise_patches(noisy * 0 + 3) == 3).all()
    assert denoise_patches(noisy * np.nan).isnull().all()


def test_stacks_are_cleaned_image_by_image_lazy_or_not() -> None:
    noisy, _ = make_lattice(0.2, 48)
    stack = xr.concat([noisy, 2 * noisy], "frame").transpose("Y", "frame", "X")
    found = denoise_patches(stack, 8, dims=("Y", "X"))
    assert found.dims == stack.dims
    np.testing.assert_allclose(found.isel(frame=1), 2 * denoise_patches(noisy, 8), rtol=1e-4)
    lazy = denoise_patches(stack.chunk({"frame": 1, "Y": 20}), 8, dims=("Y", "X"))
    assert lazy.chunks is not None
    xr.testing.assert_allclose(lazy.compute(), found, atol=1e-5)


def test_what_makes_no_sense_is_refused() -> None:
    noisy, _ = make_lattice(0.2, 32)
    with pytest.raises(SelectionError, match="33 pixels"):
        denoise_patches(noisy, 33)
    with pytest.raises(UsidError, match="complex"):
        denoise_patches(noisy * 1j)
    wrong: list[dict[str, Any]] = [{"size": 2.5}, {"step": 0}, {"n": -1}, {"n": "all"}, {"sigma": -1.0}]
    for options in wrong:
        with pytest.raises(UsidError, match=next(iter(options))):
            denoise_patches(noisy, **options)
