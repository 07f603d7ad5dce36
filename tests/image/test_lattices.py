"""Neighbours, lattices, strain and displacements, beside closed forms."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.spatial.distance import cdist

import usidx
from usidx.errors import ResultError, UnitsError, UsidError
from usidx.image import displacements, find_atoms, lattice, neighbours, refine_atoms, strain


def place(places: Any) -> xr.Dataset:
    """Label places, shape (atom, 2)."""
    found = xr.Dataset({name: ("atom", places[:, k], {"units": "nm"}) for k, name in enumerate(("y", "x"))})
    return found.assign_coords(atom=np.arange(len(places)))


def grid(a: tuple[float, float], b: tuple[float, float], count: int = 9) -> Any:
    """Return the places of a lattice of two vectors, shape (atom, 2)."""
    i, j = np.mgrid[:count, :count].reshape(2, -1)
    return np.outer(i, a) + np.outer(j, b)


def test_neighbours_are_those_of_all_distances() -> None:
    places = np.random.default_rng(0).uniform(0, 10, (50, 2))
    found = neighbours(place(places), 3)
    apart = cdist(places, places) + 1e9 * np.eye(50)
    np.testing.assert_array_equal(found["index"], np.argsort(apart, axis=1)[:, :3])
    np.testing.assert_allclose(found.distance, np.sort(apart, axis=1)[:, :3])
    gap = places[found["index"].values] - places[:, np.newaxis]
    np.testing.assert_allclose(np.stack([found.displacement_y, found.displacement_x], axis=-1), gap)
    np.testing.assert_allclose(found.distance * np.sin(found.angle), found.displacement_y)
    assert found.distance.units == "nm"
    some = place(places[:3]).assign(y=("atom", [0.0, np.nan, 1.0]))
    few = neighbours(some, 2)
    assert few["index"].values.tolist() == [[2, -1], [-1, -1], [0, -1]]
    assert int(few.distance.notnull().sum()) == 2


@pytest.mark.parametrize("turn", [0.0, 0.3, 1.2])
def test_a_lattice_gives_back_its_vectors_and_what_is_missing_does_not_matter(turn: float) -> None:
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    vectors = np.array([(0.0, 0.4), (0.35, 0.1)]) @ rotation
    sites = grid(*vectors)
    keep = np.random.default_rng(1).random(len(sites)) > 0.08
    both = np.concatenate([sites, sites + np.array([0.1, 0.14]) @ rotation])[np.tile(keep, 2)]
    found = lattice(place(both))
    own = np.array([[found.a_y, found.a_x], [found.b_y, found.b_x]])
    whole = own @ np.linalg.inv(vectors)
    np.testing.assert_allclose(whole, np.rint(whole), atol=1e-9)
    assert abs(np.linalg.det(whole)) == pytest.approx(1)
    assert found.sizes["site_number"] == 2
    assert np.bincount(found.site.values).tolist() == [keep.sum()] * 2
    np.testing.assert_allclose(np.stack([found.ideal_y, found.ideal_x], axis=1), both, atol=1e-9)
    cells = np.stack([found.index_a, found.index_b], axis=1)
    origins = np.stack([found.origin_y, found.origin_x], axis=1)[found.site.values]
    np.testing.assert_allclose(origins + cells @ own, both, atol=1e-9)


def test_who_stands_where_in_the_list_changes_nothing() -> None:
    random = np.random.default_rng(2)
    places = grid((0.0, 0.4), (0.35, 0.1)) + 0.005 * random.normal(size=(81, 2))
    order = random.permutation(81)
    one, other = lattice(place(places)), lattice(place(places[order]))
    for name in ("a_x", "b_y"):
        assert float(one[name]) == pytest.approx(float(other[name]), abs=1e-12)
    np.testing.assert_array_equal(other.index_a, one.index_a.values[order])
    np.testing.assert_allclose(
        strain(place(places[order]), one).strain_xx, strain(place(places), one).strain_xx[order], atol=1e-12
    )


def test_strain_and_rotation_are_those_of_the_matrix_that_made_them() -> None:
    places = grid((0.0, 0.4), (0.4, 0.0))
    free = lattice(place(places))
    gradient = np.eye(2) + np.array([[0.01, 0.004], [0.002, -0.02]])  # y and x of y and x
    found = strain(place(places @ gradient.T), free)
    told = {"strain_yy": 0.01, "strain_xx": -0.02, "strain_xy": 0.003, "rotation": 0.001}
    for name, value in told.items():
        np.testing.assert_allclose(found[name], value, atol=1e-12)
        np.testing.assert_allclose(found[f"{name}_stderr"], 0, atol=1e-7)
    turn = 0.02
    turned = place(places @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]).T)
    np.testing.assert_allclose(strain(turned, free).rotation, np.sin(turn), atol=1e-12)


@pytest.mark.parametrize("rotation", [0.0, 0.25])
def test_strain_of_an_image_is_recovered(rotation: float) -> None:
    image, _ = usidx.simulate.atoms((360, 400), strain=0.01, rotation=rotation, noise=0.02, seed=1)
    atoms = refine_atoms(image, find_atoms(image))
    free = lattice(atoms.isel(atom=atoms.x.values < 3.6))
    found = strain(atoms, free)
    off = found.strain_xx.values[atoms.x.values > 4.6] - 0.01
    assert np.sqrt(np.nanmean(off**2)) < 5e-4
    assert abs(np.nanmean(off)) < 1e-4
    ratio = off / found.strain_xx_stderr.values[atoms.x.values > 4.6]
    assert 0.7 < np.nanstd(ratio) < 1.4


def test_errors_of_strain_are_those_of_scattered_places() -> None:
    random, places = np.random.default_rng(3), grid((0.0, 0.4), (0.4, 0.0), 21)
    found = strain(place(places + 0.004 * random.normal(size=places.shape)), lattice(place(places)), reach=1)
    inner = ((places > 0.5) & (places < 7.5)).all(axis=1)
    # Nine places, of which six are one cell to either side: sqrt(6) cells.
    expected = 0.004 / 0.4 / np.sqrt(6)
    assert float(found.strain_yy[inner].std()) == pytest.approx(expected, rel=0.1)
    assert float(np.sqrt((found.strain_yy_stderr[inner] ** 2).mean())) == pytest.approx(expected, rel=0.1)


def test_displacements_from_a_lattice_from_atoms_and_from_cages() -> None:
    places = grid((0.0, 0.4), (0.4, 0.0))
    moved = places.copy()
    moved[40] += (0.03, -0.02)
    from_lattice = displacements(place(moved), lattice(place(moved)))
    assert float(from_lattice.displacement_y[40]) == pytest.approx(0.03, rel=0.05)
    from_atoms = displacements(place(moved), place(np.delete(places, 3, axis=0)))
    np.testing.assert_allclose(from_atoms.displacement_x[40], -0.02, atol=1e-12)
    assert from_atoms.distance.isnull().values.nonzero()[0].tolist() == [3]
    middles = grid((0.0, 0.4), (0.4, 0.0), 8) + 0.2 + np.array([0.01, 0.02])
    from_cages = displacements(place(middles), place(places), n=4)
    outside = displacements(place(np.array([[0.01, -0.19], [0.2, 0.2]])), place(places), n=4)
    assert outside.distance.isnull().values.tolist() == [True, False]
    np.testing.assert_allclose(from_cages.displacement_y, 0.01, atol=1e-12)
    np.testing.assert_allclose(from_cages.displacement_x, 0.02, atol=1e-12)
    assert from_cages.displacement_x.units == "nm"


def test_what_makes_no_sense_is_refused() -> None:
    random = place(np.random.default_rng(0).uniform(0, 10, (60, 2)))
    with pytest.raises(ResultError, match="no lattice"):
        lattice(random)
    with pytest.raises(ResultError, match="3 atoms"):
        lattice(random.isel(atom=slice(3)))
    with pytest.raises(ResultError, match="'atom' alone"):
        neighbours(random.expand_dims(frame=2), 1)
    with pytest.raises(UsidError, match="n=0"):
        neighbours(random, 0)
    with pytest.raises(ResultError, match="a_y"):
        strain(random, random)
    free = lattice(place(grid((0.0, 0.4), (0.4, 0.0))))
    with pytest.raises(UsidError, match="reach=0"):
        strain(random, free, reach=0)
    with pytest.raises(ResultError, match="81 atoms"):
        displacements(random, free)
    turned = random.assign(x=random.x.assign_attrs(units="um"), y=random.y.assign_attrs(units="nm"))
    for call in (lattice, lambda atoms: neighbours(atoms, 1), lambda atoms: displacements(atoms, random)):
        with pytest.raises(UnitsError, match="'nm', and 'x' in 'um'"):
            call(turned)
    micro = random.assign(
        x=random.x.assign_attrs(units="um"), y=random.y.assign_attrs(units="\N{GREEK SMALL LETTER MU}m")
    )
    assert neighbours(micro, 1).distance.max() < 10
    with pytest.raises(UnitsError, match="'y' is in 'pm'"):
        displacements(micro.assign({n: micro[n].assign_attrs(units="pm") for n in ("y", "x")}), micro)
