"""Labelled array, or the scores of a decomposition -> clusters of positions with their mean response."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import ResultError, UsidWarning
from usidx.label.masking import apply_mask
from usidx.label.roles import Dims
from usidx.learn.clusters.dendrogram import build_ward_tree, order_leaves, renumber
from usidx.learn.clusters.in_memory import LoadedMethod, make_agglomerative, make_hdbscan
from usidx.learn.clusters.kmeans import Clusters, run_kmeans
from usidx.learn.clusters.mixture import run_gmm
from usidx.learn.clusters.sampled import run_minibatch
from usidx.learn.decompose import read_count
from usidx.learn.matrix.fields import join_fields, kept_fields
from usidx.learn.matrix.matrix import (
    Matrix,
    check_max_iter,
    check_n,
    check_seed,
    choose_working_dtype,
    number_rows,
    refuse_dim,
    to_matrix,
)
from usidx.learn.matrix.results import assemble
from usidx.learn.matrix.sample import Numbers
from usidx.learn.reconstruct import find_decomposition_step, is_decomposition
from usidx.results.arguments import as_json
from usidx.results.declarations import Quantity
from usidx.results.verbs import add_choices, verb
from usidx.tasks.blocks import Blocks
from usidx.tasks.passes import Passes, plan_passes

__all__ = ["METHODS", "cluster"]

_LARGE = 2**26
_NUMBER = 8
_TOL, _TOL_LOADED = 1e-6, 1e-4

Array = npt.NDArray[Any]
Method = Callable[[Blocks, Numbers, int, int, int, int, float], Clusters]

METHODS: dict[str, Method] = {
    "kmeans": run_kmeans,
    "minibatch": run_minibatch,
    "gmm": run_gmm,
    "agglomerative": LoadedMethod("agglomerative", make_agglomerative, each=True),
    "hdbscan": LoadedMethod("hdbscan", make_hdbscan, least=5),
}


@verb(
    datasets={"labels": "Labels", "mean_response": "Mean_Response", "distance": "Distance"},
    dims={"cluster": "Cluster"},
    old_labels=("Clusters",),
    count="n_clusters",
    algorithm="cluster_algorithm",
    outputs={
        "labels": Quantity("Cluster labels"),
        "mean_response": Quantity(of_data=1),
        "distance": Quantity("Distance to the centre of the cluster", of_data=1),
        "inertia": Quantity("Sum of squared distances", of_data=2),
        "size": Quantity("Positions in the cluster"),
        "linkage": Quantity("Merges of clusters"),
        "responsibilities": Quantity("Probability of the cluster"),
        "log_likelihood": Quantity("Logarithm of the likelihood"),
        "bic": Quantity("Bayesian information criterion"),
    },
)
def cluster(
    data: xr.DataArray | xr.Dataset,
    method: str | Any = "kmeans",
    n: int | None = None,
    *,
    dim: Dims | None = None,
    mask: xr.DataArray | None = None,
    random_state: int = 0,
    max_iter: int = 300,
    tol: float | None = None,
) -> xr.Dataset:
    """Sort positions into clusters of alike responses.

    A lazy array stays lazy; when the result is computed, one node reads the blocks once per iteration, a few at a
    time. Arrays up to 64 MiB, and the scores of a decomposition, are read once and held. Positions with a cell that
    is not finite are left out: label -1, distance NaN.

    Parameters
    ----------
    data : DataArray, dims (*position, *spectroscopic), or Dataset
        Responses, real or complex; or what :func:`svd`, :func:`pca` or :func:`nmf` returned, whose scores are sorted.
        Select components first, with ``result.isel(component=slice(4))``. Fields of any other Dataset stand side by
        side, as in :func:`svd`: the parameters of a fit, for example.
    method : {"kmeans", "minibatch", "gmm", "agglomerative", "hdbscan"} or estimator, optional
        "kmeans", "minibatch" and "gmm" are streamed. The others, and any estimator with ``fit_predict`` as in
        scikit-learn, load all rows: best for the scores of a decomposition. "minibatch" finds centres from batches of a
        sample, which all rows move once; "gmm" is a mixture of normal distributions, begun on a sample and improved
        over all rows; "agglomerative" joins by Ward's rule, of more than 8192 positions small groups of them; "hdbscan"
        finds dense regions, and positions outside of them have the label -1.
    n : int, optional
        Number of clusters, by default 8; for hdbscan and an estimator the most that may be found, the rest being empty,
        by default what the estimator was made to find.
    dim : str or iterable of str, optional
        The dims of a response; by default those with the role spectroscopic. Not for a decomposition.
    mask : DataArray of bool, dims among those of `data`, optional
        True where cells are left out. Not for a decomposition.
    random_state : int, optional
        Decides the start.
    max_iter : int, optional
        Most iterations; each is a pass over the data.
    tol : float, optional
        When to stop. "kmeans": when moving the centres lowers the inertia by less than this part of it, by default
        1e-6. "gmm": when a pass raises the mean logarithm of the likelihood by less, by default 1e-4. "minibatch": as
        in scikit-learn, on the sample, by default 1e-4.

    Returns
    -------
    Dataset
        ``labels`` (*position), int32; ``mean_response`` (cluster, *spectroscopic), in the units of the data also for a
        decomposition, where it is made of its components; ``distance`` (*position), to the mean of the cluster;
        ``size`` (cluster); ``inertia``, the sum of the squared distances. Clusters stand in the order of the leaves of
        a tree over their means, so that neighbours are alike [1]_; the smaller end is first.
        "agglomerative" adds ``linkage`` (merge, link), the merges that would follow, as SciPy writes them: two clusters
        (those made here are numbered on from `n`), their distance by Ward's rule, clusters in both; the top of the
        dendrogram, which :func:`usidx.plot_dendrogram` draws. "gmm" adds ``responsibilities`` (*position,
        cluster), the probability of each cluster, ``log_likelihood`` of all positions, and ``bic``, the Bayesian
        information criterion, to be compared between numbers of clusters.

    Raises
    ------
    RoleError
        A dim is not there, or none is named and the array has no spectroscopic dim.
    ResultError
        The method is not known or refuses the data, `n` is not a number of clusters that the array can have,
        `max_iter` is no number of iterations, or fields are not numbers over the same dims.
    UnitsError
        Fields have different units.

    Notes
    -----
    k-means: centres start from greedy k-means++ on a sample of the rows, six times, and are improved by swaps [2]_; the
    best four are compared over all rows in the same passes, and the best of them is iterated. Where there are more than
    2 n + 16 steps that happens among as many leading components of the sample, over all rows or a fair part that fits
    into 32 MiB; passes over the data itself end it. The same rows are drawn for any chunks.

    References
    ----------
    .. [1] Z. Bar-Joseph, D. Gifford, T. Jaakkola, Fast optimal leaf ordering for hierarchical clustering,
       Bioinformatics 17 (2001) S22-S29.
    .. [2] S. Lattanzi, C. Sohler, A better k-means++ algorithm via local search, ICML 2019, 3662-3671.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from usidx.learn.cluster import cluster
    >>> cube = xr.DataArray([[0.0, 0.0], [5.0, 5.0], [0.0, 0.2]], dims=("x", "energy"))
    >>> found = cluster(cube, "kmeans", 2, dim="energy")
    >>> found.labels.values, found.mean_response.values
    (array([0, 1, 0], dtype=int32), array([[0. , 0.1], [5. , 5. ]]))
    """
    chosen = _choose_method(method)
    check_max_iter(max_iter)
    random_state = check_seed(random_state)
    n = _choose_number(method) if n is None else n
    tol = (_TOL if chosen is run_kmeans else _TOL_LOADED) if tol is None else tol
    _warn_of_loading(data, chosen)
    choices: dict[str, Any] = {**_describe_method(method), "n": n, "tol": tol}
    options = (chosen, n, random_state, max_iter, tol)
    if isinstance(data, xr.Dataset) and is_decomposition(data):
        if dim is not None or mask is not None:
            raise ResultError("Clusters of a decomposition use its scores: leave out dim= and mask=.")
        return add_choices(_cluster_scores(data, options), **choices)
    choices |= kept_fields(data)
    data, dim = join_fields(data, dim)
    refuse_dim(data, "cluster", *_VARIABLES)
    matrix = to_matrix(apply_mask(data, mask), dim)
    found, passes = _find_clusters(matrix, options, hold=False)
    means = passes.pick_array(
        found, _pick_means, (n, matrix.values.shape[1]), choose_working_dtype(matrix.values.dtype)
    )
    response = matrix.label_cells(means, matrix.columns, "cluster")
    result = assemble(data, _collect_variables(matrix, passes, found, response, n, chosen))
    return add_choices(result, dim=matrix.columns, **choices)


#: What a result may hold.
_VARIABLES = (
    "labels", "mean_response", "distance", "size", "inertia", "linkage", "responsibilities", "log_likelihood", "bic",
)  # fmt: skip


def _choose_method(method: Any) -> Method:
    if isinstance(method, str):
        if method not in METHODS:
            raise ResultError(f"No clustering method {method!r}; there are {sorted(METHODS)}.")
        return METHODS[method]
    if isinstance(method, type) or not callable(getattr(method, "fit_predict", None)):
        raise ResultError(f"{method!r} is no clustering method: pass a name, or an estimator with fit_predict.")
    from sklearn.base import clone

    return LoadedMethod(type(method).__name__, lambda *_: clone(method, safe=False))


def _choose_number(method: Any) -> int:
    """Return how many clusters to make room for, where nobody says."""
    return read_count(method, "n_clusters", "n_components") or _NUMBER


def _describe_method(method: Any) -> dict[str, Any]:
    """Return what a record keeps of the method; repr leaves out what is long."""
    return {"method": method} if isinstance(method, str) else {"method": repr(method), "method_digest": as_json(method)}


def _warn_of_loading(data: xr.DataArray | xr.Dataset, method: Method) -> None:
    if (
        isinstance(data, xr.DataArray)
        and data.chunks is not None
        and isinstance(method, LoadedMethod)
        and data.nbytes > _LARGE
    ):
        warnings.warn(
            f"This method loads all of {data.name!r}, {data.nbytes / 2**20:.0f} MiB, when the result is computed. "
            f"Decompose first and cluster the scores, or use 'kmeans', which is streamed.",
            UsidWarning,
            stacklevel=3,
        )


def _cluster_scores(result: xr.Dataset, options: tuple[Any, ...]) -> xr.Dataset:
    step = find_decomposition_step(result)
    refuse_dim(result["scores"], "cluster", *_VARIABLES)
    matrix, components = to_matrix(result["scores"], "component"), result["components"]
    found, passes = _find_clusters(matrix, options, hold=True)
    n, width = options[1], matrix.values.shape[1]
    means = passes.pick_array(found, _pick_means, (n, width), choose_working_dtype(matrix.values.dtype))
    features = tuple(str(d) for d in components.dims if d != "component")
    basis = components.transpose("component", *features).data
    either = da if isinstance(means, da.Array) or isinstance(basis, da.Array) else np
    coords = {"cluster": np.arange(n), **components.drop_vars("component").coords}
    response = xr.DataArray(either.tensordot(means, basis, axes=(1, 0)), coords, ("cluster", *features))
    if "mean" in result.data_vars:
        response = response + result["mean"].variable
    source = result["scores"].drop_vars("component")
    source.attrs = {k: v for k, v in source.attrs.items() if k == "units"}
    if quantity := step.get("input", {}).get("long_name"):
        source.attrs["long_name"] = quantity
    made = assemble(source, _collect_variables(matrix, passes, found, response, n, options[0]))
    if units := step.get("input", {}).get("units"):
        # Those of the scores are others where the components have the units of the data.
        made["mean_response"].attrs["units"] = units
    return made


def _find_clusters(matrix: Matrix, options: tuple[Any, ...], hold: bool) -> tuple[Any, Passes]:
    method, n, *others = options
    height, width = matrix.values.shape
    check_n(n, height, f"{height} positions", "clusters")
    passes = plan_passes(matrix.values)
    real = width * 2 if matrix.values.dtype.kind == "c" else width
    complex_too = matrix.values.dtype.kind == "c"
    return passes.iterate(
        _cluster_blocks, method, number_rows(matrix), real, n, *others, complex_too, hold=hold
    ), passes


def _collect_variables(
    matrix: Matrix, passes: Passes, found: Any, response: xr.DataArray, n: int, method: Method
) -> dict[str, Any]:
    variables = {
        "labels": matrix.label_rows(passes.split(found, "labels", 1, np.int32)),
        "mean_response": response,
        "distance": matrix.label_rows(passes.split(found, "distance", 1, np.float64)),
        "size": passes.pick_array(found, "sizes", (n,), np.int64),
        "inertia": passes.pick_array(found, "inertia", (), np.float64),
    }
    if method == METHODS["agglomerative"] and n > 1:
        merges = passes.pick_array(found, "tree", (n - 1, 4), np.float64)
        variables["linkage"] = xr.DataArray(merges, dims=("merge", "link"))
    if method == METHODS["gmm"]:
        parts = matrix.label_rows(passes.split(found, "parts", n, np.float64), "cluster")
        variables["responsibilities"] = parts
        variables["log_likelihood"] = passes.pick_array(found, "likelihood", (), np.float64)
        variables["bic"] = passes.pick_array(found, "criterion", (), np.float64)
    return variables


def _cluster_blocks(
    blocks: Blocks,
    method: Method,
    numbers: Numbers,
    columns: int,
    n: int,
    seed: int,
    most: int,
    tol: float,
    pairs: bool,
) -> Clusters:
    found = _order(method(blocks, numbers, columns, n, seed, most, tol), method == METHODS["agglomerative"])
    if not pairs:
        return found
    means = np.ascontiguousarray(found.means, np.float64).view(np.complex128)
    return replace(found, means=means, holes=found.holes[::2] | found.holes[1::2])


def _order(found: Clusters, merged: bool) -> Clusters:
    """Put clusters next to those like them, empty ones last."""
    known = np.where(found.holes, 0, found.means)
    tree = build_ward_tree(known, found.sizes) if merged else None
    order = order_leaves(known, tree)
    rank = np.empty(len(order) + 1, np.int32)
    rank[order], rank[-1] = np.arange(len(order)), -1
    return replace(
        found,
        labels=found.labels.change(_rename, rank),
        means=found.means[order],
        sizes=found.sizes[order],
        tree=None if tree is None else renumber(tree, rank),
        parts=None if found.parts is None else found.parts.change(_reorder, order),
    )


def _rename(labels: Array, rank: Array) -> Array:
    return np.asarray(rank[labels])


def _reorder(parts: Array, order: Array) -> Array:
    return np.asarray(parts[:, order])


def _pick_means(found: Clusters) -> Array:
    return np.where(found.holes, np.nan, found.means)
