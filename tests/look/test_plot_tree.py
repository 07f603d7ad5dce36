"""The tree of clusters against SciPy's own drawing of it."""

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import ResultError
from usidx.look.draw.colours import list_category_colours
from usidx.look.plot import plot_dendrogram


def tree() -> xr.Dataset:
    rng = np.random.default_rng(0)
    cells = rng.normal(size=(40, 6)) + 8 * rng.normal(size=(5, 6))[np.arange(40) % 5]
    return usidx.cluster(xr.DataArray(cells, dims=("x", "energy")), "agglomerative", 5, dim="energy")


def test_branches_stand_at_the_distances() -> None:
    from scipy.cluster.hierarchy import dendrogram

    result = tree()
    axes = plot_dendrogram(result, title="Alike").axes[0]
    tops = sorted(np.asarray(line.get_ydata())[1] for line in axes.lines)
    np.testing.assert_allclose(tops, result.linkage[:, 2])
    expected = dendrogram(result.linkage.values, no_plot=True)["icoord"]
    np.testing.assert_allclose([np.asarray(line.get_xdata()) for line in axes.lines], expected)


def test_leaves_bear_their_size_and_the_colour_of_their_map() -> None:
    from matplotlib.colors import to_rgba_array

    axes = plot_dendrogram(tree()).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == [f"{k}\n8" for k in range(5)]
    np.testing.assert_allclose(axes.collections[0].get_facecolor(), to_rgba_array(list_category_colours(5)))


def test_refuses_what_has_no_tree() -> None:
    with pytest.raises(ResultError, match=r"this result has 'labels'.*'agglomerative'"):
        plot_dendrogram(tree()[["labels"]])


def test_refuses_clusters_without_positions() -> None:
    result = tree()
    result["linkage"] = result.linkage.where(result.linkage < 3)
    with pytest.raises(ResultError, match="clusters without positions"):
        plot_dendrogram(result)


def test_heights_have_the_units_of_distances() -> None:
    result = tree()
    result["distance"].attrs["units"] = "nA"
    assert plot_dendrogram(result).axes[0].get_ylabel() == "Distance by Ward's rule (nA)"
    assert plot_dendrogram(result.drop_vars("distance")).axes[0].get_ylabel() == "Distance by Ward's rule"
