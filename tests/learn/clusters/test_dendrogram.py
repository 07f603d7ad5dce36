"""Trees over clusters against SciPy's, of which each cluster is one point."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from scipy.cluster.hierarchy import leaves_list, linkage

from usidx.learn.clusters.dendrogram import build_ward_tree, order_leaves, renumber

POINTS = np.random.default_rng(0).normal(size=(9, 3))


def test_clusters_of_one_row_merge_as_points_do() -> None:
    tree = build_ward_tree(POINTS, np.ones(9, int))
    expected = linkage(POINTS, "ward")
    assert_allclose(tree[:, 2:], expected[:, 2:], rtol=1e-12)
    assert_array_equal(np.sort(tree[:, :2]), expected[:, :2])


def test_clusters_of_several_rows_merge_as_the_tree_of_all_rows_ends() -> None:
    rng = np.random.default_rng(1)
    groups = [
        center + 1e-3 * rng.normal(size=(count, 3)) for center, count in zip(POINTS[:4], (2, 5, 3, 4), strict=True)
    ]
    tree = build_ward_tree(np.array([g.mean(axis=0) for g in groups]), np.array([len(g) for g in groups]))
    assert_allclose(tree[:, 2], linkage(np.concatenate(groups), "ward")[-3:, 2], rtol=1e-12)


def test_empty_clusters_never_merge_and_come_last() -> None:
    means = POINTS[:4].copy()
    means[1] = np.nan
    tree = build_ward_tree(means, np.array([1, 0, 1, 1]))
    assert np.isnan(tree[2]).all()
    assert not (tree[:2, :2] == 1).any()
    assert order_leaves(means, None)[-1] == 1


def test_points_on_a_line_are_ordered_along_it() -> None:
    means = np.array([[5.0], [1.0], [9.0], [3.0], [7.0]])
    assert means[order_leaves(means, None), 0].tolist() == [1.0, 3.0, 5.0, 7.0, 9.0]


def test_leaves_of_a_renumbered_tree_stand_in_the_order_of_their_numbers() -> None:
    tree = build_ward_tree(POINTS, np.ones(9, int))
    order = order_leaves(POINTS, tree)
    rank = np.empty(9, int)
    rank[order] = np.arange(9)
    assert leaves_list(renumber(tree, rank)).tolist() == list(range(9))
