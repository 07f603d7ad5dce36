"""Maps: what is read, how they lie on the page, and what they say of their axes."""

import dask.array
import numpy as np
import pytest
import xarray as xr

from usidx.errors import RoleError
from usidx.look.draw.canvas import make_figure
from usidx.look.draw.maps import draw_map, find_grid, measure_map_aspect, read_map, split_complex


def image(rows: int, columns: int, unit: str = "m", step: float = 1e-9) -> xr.DataArray:
    coords = {
        name: (name, step * np.arange(size), {"units": unit, "usid_role": "position"})
        for name, size in (("Y", rows), ("X", columns))
    }
    return xr.DataArray(np.arange(rows * columns, dtype=float).reshape(rows, columns), dims=("Y", "X"), coords=coords)


def test_a_large_map_is_thinned_and_says_so() -> None:
    blocks = dask.array.zeros((5000, 10), chunks=(1000, 10))
    shown, said = read_map(xr.DataArray(blocks, dims=("Y", "X")))
    assert shown.shape == (1000, 10)
    assert "5" in said
    assert read_map(image(4, 5))[1] == ""


def test_dims_of_one_index_do_not_count() -> None:
    shown, _ = read_map(image(4, 5).expand_dims(Bias=1, Cycle=1))
    assert shown.dims == ("Y", "X")


def test_more_than_two_dims_are_refused() -> None:
    with pytest.raises(RoleError, match=r"has 3: \('Bias', 'Y', 'X'\)"):
        read_map(image(4, 5).expand_dims(Bias=2))


def test_complex_arrays_have_two_parts() -> None:
    (first, magnitude), (second, phase) = split_complex(
        xr.DataArray([3 + 4j], dims="X", attrs={"long_name": "A", "units": "V"})
    )
    assert (first, magnitude.item(), magnitude.attrs["units"]) == ("magnitude", 5.0, "V")
    assert (second, phase.item(), phase.attrs["units"]) == ("phase", np.angle(3 + 4j), "rad")
    assert magnitude.attrs["long_name"] == "|A|"
    [(name, same)] = split_complex(image(2, 2))
    assert (name, same.dtype) == ("", np.dtype("f8"))


def test_lengths_are_equal_both_ways() -> None:
    assert measure_map_aspect(image(4, 8)) == pytest.approx(0.5)
    assert measure_map_aspect(image(8, 4)) == pytest.approx(2.0)
    # A thread of a picture would show nothing.
    assert measure_map_aspect(image(5, 100)) == pytest.approx(0.05)
    assert measure_map_aspect(image(2, 100)) == 0.75


def test_pixels_run_from_the_top_and_lengths_grow_upwards() -> None:
    assert find_grid(image(3, 4, unit="", step=1.0)).from_top
    assert not find_grid(image(3, 4)).from_top


def test_a_coordinate_that_turns_back_gives_way_to_its_index() -> None:
    grid = find_grid(image(2, 3).assign_coords(X=("X", [0.0, 2.0, 1.0], {"units": "m"})))
    assert grid.x.tolist() == [0.0, 1.0, 2.0]
    assert grid.counts == (False, True)


def test_cells_are_drawn_where_they_are() -> None:
    figure = make_figure(3, 3)
    axes = figure.subplots()
    draw_map(figure, axes, image(2, 3))
    drawn = axes.images[0]
    np.testing.assert_array_equal(np.asarray(drawn.get_array()), [[0, 1, 2], [3, 4, 5]])
    # Edges lie half a cell beyond the first and the last.
    assert drawn.get_extent() == pytest.approx([-0.5, 2.5, -0.5, 1.5])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("X (nm)", "Y (nm)")
