"""Laws of the verbs along one dim, over images and over patterns, for any data."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import usidx
from usidx import diffraction, image, signal
from usidx.diffraction import Annulus, Disk, Mask

Verb = Callable[[xr.DataArray], Any]
#: Along one dim: each spectrum by itself.
ALONG: dict[str, Verb] = {
    "fft": signal.fft,
    "power_spectrum": signal.power_spectrum,
    "noise_floor": signal.noise_floor,
    "fft_filter": partial(signal.fft_filter, filters=[signal.LowPass(0.3, 0.1), signal.NoiseFloor()]),
    "savgol": partial(signal.savgol, window=5, order=2, deriv=1),
    "gaussian": partial(signal.gaussian, sigma=1.5),
    "median": partial(signal.median, size=3),
    "total_variation": partial(signal.total_variation, weight=0.1),
    "baseline": partial(signal.baseline, lam=100.0),
    "find_spikes": partial(signal.find_spikes, neighbours=False),
    "find_peaks": partial(signal.find_peaks, n=2),
    "align": partial(signal.align, reference="first"),
    "normalize": partial(signal.normalize, by="snv"),
    "resample": partial(signal.resample, coordinate=np.linspace(0, 5, 7)),
    "remove_power_law": partial(signal.remove_power_law, window=(1.0, 6.0)),
}
OVER: dict[str, Verb] = {
    "flatten": partial(image.flatten, dims=("E", "Z")),
    "remove_scars": partial(image.remove_scars, dims=("E", "Z")),
    "shift": partial(image.shift, shifts={"E": 0.4, "Z": -1.2}),
    "denoise_patches": partial(image.denoise_patches, size=4, dims=("E", "Z")),
    "windows": partial(image.windows, size=3, step=2, dims=("E", "Z")),
    "profile": partial(image.profile, start=(1, 1), end=(9, 3), dims=("E", "Z")),
}


def make(seed: int, positions: int, dtype: str, *dims: str) -> xr.DataArray:
    """Return positive numbers over positions and one or two further dims, with a coordinate of the positions."""
    sizes = {"p": positions, "E": 12, "Z": 8}
    values = 10 + 3 * np.random.default_rng(seed).normal(size=[sizes[d] for d in ("p", *dims)])
    coords = {d: np.arange(float(sizes[d])) for d in ("p", *dims)} | {"tilt": ("p", np.arange(positions) ** 2)}
    data = xr.DataArray(np.abs(values).astype(dtype), coords, ("p", *dims), "a", {"units": "V"})
    return usidx.set_roles(data, position="p", spectroscopic=dims)


def assert_alike(found: Any, expected: Any) -> None:
    """Compare values but for rounding, and all labels."""
    assert set(found.coords) == set(expected.coords)
    xr.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


positions, seeds, dtypes = st.integers(2, 6), st.integers(0, 10**6), st.sampled_from(["f4", "f8", "u2"])


@pytest.mark.parametrize("verb", [*ALONG, *OVER])
@settings(max_examples=4)
@given(data=st.data(), count=positions, seed=seeds, dtype=dtypes)
def test_positions_permuted_or_cut_give_results_permuted_or_cut(
    verb: str, data: st.DataObject, count: int, seed: int, dtype: str
) -> None:
    work, array = (ALONG[verb], make(seed, count, dtype, "E")) if verb in ALONG else (
        OVER[verb], make(seed, count, dtype, "E", "Z")
    )  # fmt: skip
    whole = work(array)
    if verb != "align":  # which looks at the first one
        order = data.draw(st.permutations(range(count)))
        assert_alike(work(array.isel(p=order)), whole.isel(p=order))
        at = data.draw(st.integers(1, count - 1))
        for part in (slice(at), slice(at, None)):
            assert_alike(work(array.isel(p=part)), whole.isel(p=part))
    chunk = data.draw(st.integers(1, count))
    assert_alike(work(array.chunk({"p": chunk, "E": 5})).compute(), whole)


@settings(max_examples=15)
@given(
    seed=seeds,
    center=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
    radii=st.lists(st.floats(0.1, 9), min_size=1, max_size=3, unique=True),
    dtype=st.sampled_from(["u1", "u2", "i4", "f8"]),
)
def test_detectors_that_share_nothing_add_up(
    seed: int, center: tuple[float, float], radii: list[float], dtype: str
) -> None:
    random = np.random.default_rng(seed)
    scan = xr.DataArray(random.integers(0, 250, (2, 3, 7, 9)).astype(dtype), dims=("Y", "X", "ky", "kx"))
    scan = scan.assign_coords(ky=0.5 * np.arange(7) - 2, kx=2.0 - 0.7 * np.arange(9))
    edges = [0.0, *sorted(radii), 100.0]
    rings = [Disk(center, edges[1]), *(Annulus(center, *pair) for pair in pairwise(edges[1:]))]
    total = scan.sum(["ky", "kx"]).astype(float)
    dims = ("ky", "kx")
    np.testing.assert_array_equal(diffraction.virtual_image(scan, rings, dims=dims).sum("detector"), total)
    some = random.random((7, 9)) < 0.4
    parts = [diffraction.virtual_image(scan, Mask(one), dims=dims) for one in (some, ~some)]
    np.testing.assert_array_equal(parts[0] + parts[1], total)


@settings(max_examples=25)
@given(seed=seeds, size=st.integers(2, 40), step=st.floats(1e-6, 1e3), first=st.floats(-10, 10), twofold=st.booleans())
def test_the_power_is_that_of_the_samples(seed: int, size: int, step: float, first: float, twofold: bool) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(size=(3, size)) + (1j * random.normal(size=(3, size)) if twofold else 0)
    time = xr.Variable("t", step * (first + np.arange(size)), {"units": "s"})
    data = xr.DataArray(values, {"t": time}, ("p", "t"), "a", {"units": "V"})
    squares = (np.abs(values) ** 2).sum(axis=1)
    transform = signal.fft(data, "t").values
    np.testing.assert_allclose((np.abs(transform) ** 2).sum(axis=1) / (size * step), step * squares, rtol=1e-9)
    density = signal.power_spectrum(data, "t", window=None).values
    np.testing.assert_allclose(density.sum(axis=1) / (size * step), squares / size, rtol=1e-9)


@settings(max_examples=10)
@given(seed=seeds, order=st.permutations(range(5)), at=st.integers(1, 4))
def test_patterns_permuted_or_cut_give_results_permuted_or_cut(seed: int, order: list[int], at: int) -> None:
    values = np.random.default_rng(seed).poisson(20, (5, 7, 9)).astype("u2")
    coords = {"p": np.arange(5.0), "ky": np.arange(7) - 3.0, "kx": 0.5 * np.arange(9)}
    scan = usidx.set_roles(xr.DataArray(values, coords, ("p", "ky", "kx")), position="p", spectroscopic=["ky", "kx"])
    works: list[Verb] = [
        diffraction.center_of_mass,
        partial(diffraction.virtual_image, detector=Annulus((0.0, 2.0), 1, 3)),
        partial(diffraction.radial_mean, center=(0.0, 2.0), bins=3),
    ]
    for work in works:
        whole = work(scan)
        assert_alike(work(scan.isel(p=order)), whole.isel(p=order))
        for part in (slice(at), slice(at, None)):
            assert_alike(work(scan.isel(p=part)), whole.isel(p=part))
        assert_alike(work(scan.chunk(p=2, ky=3)).compute(), whole)
