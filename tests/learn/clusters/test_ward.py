"""Ward's tree over groups of rows against the tree of SciPy over all of them."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage

from usidx.learn.clusters import ward
from usidx.learn.clusters.ward import Ward


def partition(labels: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == k).tolist()) for k in np.unique(labels)}


@pytest.mark.parametrize("n", [1, 2, 7, 60])
def test_groups_of_several_rows_are_joined_as_their_rows_would_be(n: int) -> None:
    rng = np.random.default_rng(n)
    means, sizes = rng.normal(size=(60, 3)), rng.integers(1, 6, 60)
    expected = fcluster(linkage(np.repeat(means, sizes, axis=0), "ward"), n, "maxclust")
    found = ward._join_groups(means, sizes.astype(float), n)
    assert partition(np.repeat(found, sizes)) == partition(expected)


def test_many_rows_are_grouped_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ward, "_MOST_ROWS", 100)
    monkeypatch.setattr(ward, "_GROUPS", 50)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 1000)
    rows = 5 * rng.normal(size=(4, 6))[labels] + 0.3 * rng.normal(size=(1000, 6))
    assert partition(Ward(4, 0).fit_predict(rows)) == partition(labels)
    assert len(np.unique(Ward(4, 0).fit_predict(np.zeros((200, 2))))) == 1


def test_few_rows_are_joined_exactly() -> None:
    rows = np.random.default_rng(0).normal(size=(80, 4))
    assert partition(Ward(5, 0).fit_predict(rows)) == partition(fcluster(linkage(rows, "ward"), 5, "maxclust"))
