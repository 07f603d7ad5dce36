"""Blocks -> clusters, by methods that need all rows at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.errors import ResultError
from usidx.learn.clusters.kmeans import Clusters, as_real, view_as_real
from usidx.learn.clusters.ward import Ward
from usidx.learn.matrix.missing import keep_complete
from usidx.learn.matrix.sample import Numbers, survey
from usidx.tasks.blocks import Blocks, hold_rows, join_nothing

__all__ = ["LoadedMethod", "describe_mixture", "make_agglomerative", "make_gmm", "make_hdbscan", "make_minibatch"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class LoadedMethod:
    """A method that loads the rows and hands them to ``make(n, seed, max_iter, tol).fit_predict``.

    `tell` returns what more a fitted estimator says of its rows, as fields of :class:`Clusters`. At least `least` rows
    are needed, and one for `each` cluster where that is true. Messages call the method by its `name`.
    """

    name: str
    make: Callable[[int, int, int, float], Any]
    tell: Callable[[Any, Array], dict[str, Any]] | None = None
    each: bool = False
    least: int = 1

    def __call__(
        self, blocks: Blocks, numbers: Numbers, columns: int, n: int, seed: int, max_iter: int, tol: float
    ) -> Clusters:
        """Return the clusters; rows are handed over in the order of the dims, whatever the blocks are."""
        holes = survey(view_as_real(blocks), numbers, columns, seed).holes
        states: Sequence[Any] = [None] * len(blocks.sizes)
        _, states = blocks.fold_states(_keep_block, join_nothing, states, holes)
        rows, used = map(np.concatenate, zip(*states, strict=True))
        order = np.argsort(numbers[:][used])
        labels = np.full(len(used), -1, np.int32)
        self._refuse_few(len(rows), n)
        found = np.empty(len(rows), np.int32)
        estimator = self.make(n, seed, max_iter, tol)
        found[order] = _predict(estimator, rows[order])
        _refuse_more(int(found.max()) + 1, n)
        labels[used] = found
        told = {} if self.tell is None else self.tell(estimator, rows)
        if "parts" in told:
            told["parts"] = hold_rows(_fill_left_out(told["parts"], used))
        return replace(_describe_clusters(rows, labels, used, holes, n), **told)

    def _refuse_few(self, count: int, n: int) -> None:
        least = max(self.least, n if self.each else 1)
        if count < least:
            raise ResultError(
                f"The method {self.name!r} with n={n} needs at least {least} complete positions; there "
                f"{'is one' if count == 1 else f'are {count}'}. Use 'kmeans', which takes any number of them."
            )


def _predict(estimator: Any, rows: Array) -> Array:
    try:
        return np.asarray(estimator.fit_predict(rows))
    except ValueError as err:
        name, said = type(estimator).__name__.strip("_"), str(err).splitlines()[0]
        raise ResultError(
            f"{name} refused {len(rows)} complete positions of {rows.shape[1]} numbers each: {said}"
        ) from err


def make_minibatch(n: int, seed: int, max_iter: int, tol: float) -> Any:
    """Make the estimator of k-means on batches of rows."""
    from sklearn.cluster import MiniBatchKMeans

    return MiniBatchKMeans(n, n_init=4, random_state=seed, max_iter=max_iter, tol=tol)


def make_gmm(n: int, seed: int, max_iter: int, tol: float) -> Any:
    """Make the estimator of a mixture of normal distributions."""
    return _Mixture(n, seed, max_iter, tol)


class _Mixture:
    """A mixture of normal distributions of data in any units: the floor of the variances goes with the data."""

    def __init__(self, n: int, seed: int, max_iter: int, tol: float) -> None:
        self._settings: dict[str, Any] = {"n_components": n, "random_state": seed, "max_iter": max_iter}
        self._tol = max(tol, 1e-6)

    def fit_predict(self, rows: Array) -> Array:
        """Fit, and return the label of each row."""
        from sklearn.mixture import GaussianMixture

        floor = max(1e-6 * float(rows.var(axis=0).mean()), np.finfo(float).tiny)
        self.fitted = GaussianMixture(n_init=2, tol=self._tol, reg_covar=floor, **self._settings)
        return np.asarray(self.fitted.fit_predict(rows))


def describe_mixture(estimator: Any, rows: Array) -> dict[str, Any]:
    """Return what a fitted mixture says of its rows."""
    return {
        "parts": estimator.fitted.predict_proba(rows),
        "likelihood": float(estimator.fitted.score(rows)) * len(rows),
        "criterion": float(estimator.fitted.bic(rows)),
    }


def make_agglomerative(n: int, seed: int, _max_iter: int, _tol: float) -> Any:
    """Make the estimator that joins the nearest clusters, by Ward's rule."""
    return Ward(n, seed)


def make_hdbscan(_n: int, _seed: int, _max_iter: int, _tol: float) -> Any:
    """Make the estimator of dense regions, which finds their number itself."""
    from sklearn.cluster import HDBSCAN

    return HDBSCAN(copy=True)


def _fill_left_out(parts: Array, used: Array) -> Array:
    full = np.full((len(used), parts.shape[1]), np.nan)
    full[used] = parts
    return full


def _refuse_more(count: int, n: int) -> None:
    if count > n:
        raise ResultError(
            f"The method found {count} clusters; n={n} is the most that the result holds. Pass n={count}."
        )


def _keep_block(block: Array, _state: Any, holes: Array) -> tuple[None, tuple[Array, Array]]:
    rows, used = keep_complete(as_real(block), holes)
    return None, (rows.astype(np.float64), np.ones(len(block), bool) if used is None else used)


def _describe_clusters(rows: Array, labels: Array, used: Array, holes: npt.NDArray[np.bool_], n: int) -> Clusters:
    member = labels[used] == np.arange(n)[:, np.newaxis]
    sizes = member.sum(axis=1)
    means = np.divide(
        member.astype(np.float64) @ rows,
        sizes[:, np.newaxis],
        out=np.full((n, rows.shape[1]), np.nan),
        where=sizes[:, np.newaxis] > 0,
    )
    distance = np.full(len(labels), np.nan)
    near = np.flatnonzero(labels[used] >= 0)
    distance[np.flatnonzero(used)[near]] = np.linalg.norm(rows[near] - means[labels[used][near]], axis=1)
    inertia = float(np.nansum(distance**2))
    return Clusters(hold_rows(labels), hold_rows(distance), means, sizes.astype(np.int64), holes, inertia)
