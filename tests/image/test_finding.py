"""Atoms that are found, beside where they were put."""

import numpy as np
import pytest
import xarray as xr
from scipy.spatial import cKDTree

import usidx
from usidx.errors import UnitsError, UsidError
from usidx.image import find_atoms


def match(found: xr.Dataset, truth: xr.Dataset) -> np.ndarray:
    """Return how far each true atom is from the one that was found next to it."""
    there = found.dropna("atom")
    tree = cKDTree(np.stack([there.y, there.x], axis=1))
    return np.asarray(tree.query(np.stack([truth.y, truth.x], axis=1))[0])


@pytest.mark.parametrize(
    ("options", "sigma"),
    [
        ({}, 0.04),
        ({"noise": 0.2}, 0.04),
        ({"noise": 0.0}, 0.04),
        ({"spacing": 0.4, "dumbbell": (0.0, 0.11)}, 0.04),
        ({"spacing": 0.16}, 0.04),
        ({"sigma": (0.12, 0.12), "spacing": 0.7, "shape": (200, 300)}, 0.12),
    ],
)
def test_every_atom_is_found_and_no_other(options: dict[str, object], sigma: float) -> None:
    image, truth = usidx.simulate.atoms(**{"shape": (150, 160), **options})  # type: ignore[arg-type]
    found = find_atoms(image)
    assert found.sizes["atom"] == truth.sizes["atom"]
    assert match(found, truth).max() < 0.03
    assert float(found.sigma_y[0]) == pytest.approx(sigma, rel=0.3)
    told = {name: v.attrs.get("units") for name, v in found.data_vars.items()}
    assert told == {"y": "nm", "x": "nm", "amplitude": "a.u.", "sigma_y": "nm", "sigma_x": "nm", "angle": "rad",
                    "background": "a.u."}  # fmt: skip


@pytest.mark.parametrize("noise", [0.05, 0.2])
def test_ripples_of_a_cleaned_image_are_no_atoms(noise: float) -> None:
    image, truth = usidx.simulate.atoms((128, 128), noise=noise)
    found = usidx.image.find_atoms(usidx.image.denoise_patches(image, step=4))
    assert found.sizes["atom"] == truth.sizes["atom"]
    assert match(found, truth).max() < 0.02  # a pixel


def test_faint_atoms_beside_bright_ones_are_found_without_noise() -> None:
    bright, truth = usidx.simulate.atoms((128, 128), noise=0)
    y, x = (truth[name].values[:, np.newaxis, np.newaxis] + 0.12 for name in ("y", "x"))
    far = (bright.Y.values[:, np.newaxis] - y) ** 2 + (bright.X.values - x) ** 2
    faint = 0.15 * np.exp(-far / (2 * 0.04**2)).sum(axis=0)
    found = usidx.image.find_atoms(bright + faint)
    own = np.hypot(found.y.values - y[:, 0], found.x.values - x[:, 0]).min(axis=1)
    assert (own[(y[:, 0, 0] < 2.5) & (x[:, 0, 0] < 2.5)] < 0.02).all()


def test_noise_alone_has_no_atoms_and_missing_pixels_are_none() -> None:
    noise = xr.DataArray(np.random.default_rng(0).normal(size=(200, 210)), dims=("Y", "X"))
    assert find_atoms(noise, sigma=2.0, dims=("Y", "X")).y.isnull().all()
    with pytest.raises(UsidError, match="sigma="):
        find_atoms(noise * 0, dims=("Y", "X"))
    image, truth = usidx.simulate.atoms((100, 100))
    hidden = image.where(image.Y > 1.0)
    found = find_atoms(hidden)
    assert (found.y > 1.0).all()
    assert match(found, truth.isel(atom=truth.y.values > 1.1)).max() < 0.03


def test_axes_that_descend_or_begin_elsewhere_and_other_types_change_nothing() -> None:
    image, truth = usidx.simulate.atoms((100, 120))
    plain = find_atoms(image)
    turned = image.isel(Y=slice(None, None, -1)).assign_coords(X=image.X.copy(data=image.X.values + 7))
    found = find_atoms(turned).sortby("y")
    np.testing.assert_allclose(found.y, plain.sortby("y").y, atol=1e-9)
    assert match(found.assign(x=found.x - 7), truth).max() < 0.03
    whole = find_atoms((1000 * image).astype("int16"))
    np.testing.assert_allclose(whole.y, plain.y, atol=1e-3)
    single = find_atoms(image.astype("float32"))
    np.testing.assert_allclose(single.y, plain.y, atol=1e-4)


def test_stacks_are_padded_and_stay_lazy() -> None:
    image, _ = usidx.simulate.atoms((80, 90))
    half = image.where(image.X < 0.9, 0.2)
    stack = xr.concat([image, half], "frame").transpose("Y", "frame", "X")
    counts = [find_atoms(one, sigma=0.04).sizes["atom"] for one in (image, half)]
    assert counts[1] < counts[0]
    found = find_atoms(stack, sigma=0.04, dims=("Y", "X"))
    assert dict(found.sizes) == {"frame": 2, "atom": counts[0]}
    assert found.y.notnull().sum("atom").values.tolist() == counts
    lazy = find_atoms(stack.chunk({"frame": 1, "Y": 30}), sigma=0.04, n=counts[0], dims=("Y", "X"))
    assert lazy.y.chunks is not None
    xr.testing.assert_equal(lazy.compute(), found)
    few = find_atoms(image, sigma=0.04, n=5)
    assert set(few.amplitude.values) == set(np.sort(find_atoms(image, sigma=0.04).amplitude.values)[-5:])


def test_what_makes_no_sense_is_refused() -> None:
    image, _ = usidx.simulate.atoms((60, 60))
    with pytest.raises(UsidError, match="complex"):
        find_atoms(image * 1j)
    with pytest.raises(UnitsError, match="even axis"):
        find_atoms(image.assign_coords(Y=image.Y.copy(data=np.geomspace(1, 2, 60))))
    for options in ({"sigma": 0.0}, {"threshold": -1.0}, {"threshold": "high"}, {"n": 0}):
        with pytest.raises(UsidError, match=next(iter(options))):
            find_atoms(image, **options)
    assert find_atoms(image, threshold=1.1).sizes["atom"] < find_atoms(image).sizes["atom"]


def test_what_is_added_to_all_pixels_is_background_alone() -> None:
    image, _ = usidx.simulate.atoms((48, 60))
    image = image.astype("f8")
    plain, found = (usidx.image.find_atoms(one.assign_attrs(image.attrs)) for one in (image, image + 100.0))
    for name in ("y", "x", "amplitude", "sigma_y", "background"):
        np.testing.assert_allclose(found[name] - (100.0 if name == "background" else 0.0), plain[name], atol=1e-5)
