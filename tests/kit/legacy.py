"""Results groups as the older programs wrote them, next to the main dataset that they came from.

The trees follow what pycroscopy 0.60 and BGlib put on disk, their quirks included: names of mains, dims and
attributes, the source's dtype for `V`, one-character quantities, and the two ways to say how far a run got.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from usidx.testing.files import Expected, build_main
from usidx.testing.sides import Column, Side, make_side

__all__ = [
    "SHO_FIELDS",
    "add_cluster",
    "add_decomposition",
    "add_sho_fit",
    "add_svd",
    "results_group",
    "side_without",
]

Array = npt.NDArray[Any]

#: Field names of a stored simple harmonic oscillator fit.
SHO_FIELDS = ("Amplitude [V]", "Frequency [Hz]", "Quality Factor", "Phase [rad]", "R2 Criterion")


def results_group(file: h5py.File, source: str, tool: str, number: int = 0) -> h5py.Group:
    """Make the group of a result beside its source, with the book-keeping that the old programs write."""
    main = file[source]
    group = main.parent.create_group(f"{source.rsplit('/', 1)[-1]}-{tool}_{number:03d}")
    group.attrs.update(
        {
            "timestamp": "2019_05_12-10_20_30",
            "machine_id": "microscope-pc",
            "platform": "Windows-7-6.1.7601-SP1",
            "pyUSID_version": "0.0.4",
            "tool": tool,
            "num_source_dsets": 1,
            "source_000": main.ref,
        }
    )
    return group


def add_svd(built: Expected, *, components: int = 2, dtype: str = "f4", one_character: bool = True) -> dict[str, Array]:
    """Add `Raw_Data-SVD_000` with the exact decomposition of the source.

    Parameters
    ----------
    built : Expected
        The source; real or complex, on a complete grid.
    components : int
        How many are kept.
    dtype : str
        Of `U` and `S`.
    one_character : bool
        Whether `V` bears only the first letter of the source's quantity and unit, as some versions wrote it.

    Returns
    -------
    dict of str to ndarray
        `U` (*position, component), `S` (component,), `V` (component, *spectroscopic).
    """
    n_position = len(built.position.shape)
    shape = built.array.shape
    count = int(np.prod(shape[:n_position]))
    left, sizes, right = _decomposed(built.array.reshape(count, -1))
    u = left[:, :components].astype(dtype).reshape(*shape[:n_position], components)
    s = sizes[:components].astype(dtype)
    v = right[:components].astype(built.array.dtype).reshape(components, *shape[n_position:])
    described = _described(built, one_character)
    with h5py.File(built.path, "r+") as file:
        group = results_group(file, built.main, "SVD")
        group.attrs.update({"num_components": components, "svd_method": "sklearn-randomized", "last_pixel": count})
        group["S"] = s
        group["completed_positions"] = np.ones(count, "u1")
        component = _numbered("spectroscopic", "Principal Component", components)
        build_main(group, u, built.position, component, name="U", quantity="Abundance", units="a.u.")
        component = _numbered("position", "Principal Component", components)
        build_main(group, v, component, built.spectroscopic, name="V", **described)
    return {"U": u, "S": s, "V": v}


def _decomposed(matrix: Array) -> tuple[Array, Array, Array]:
    """Decompose; of complex spectra the real and imaginary parts side by side, so that the scores are real."""
    if matrix.dtype.kind != "c":
        u, s, v = np.linalg.svd(matrix.astype("f8"), full_matrices=False)
        return u, s, v
    left, sizes, right = np.linalg.svd(np.hstack([matrix.real, matrix.imag]), full_matrices=False)
    real, imaginary = np.split(right, 2, axis=1)
    return left, sizes, real + 1j * imaginary


def add_cluster(built: Expected, *, clusters: int = 3, one_character: bool = True) -> dict[str, Array]:
    """Add `Raw_Data-Cluster_000`: labels by position, and the mean of the source in each cluster.

    Parameters
    ----------
    built : Expected
        The source, on a complete grid.
    clusters : int
        How many; the positions get their labels in turn.
    one_character : bool
        Whether `Mean_Response` bears only the first letter of the source's quantity and unit.

    Returns
    -------
    dict of str to ndarray
        `Labels` (*position, 1) and `Mean_Response` (cluster, *spectroscopic).
    """
    n_position = len(built.position.shape)
    where, swept = built.array.shape[:n_position], built.array.shape[n_position:]
    labels = (np.arange(int(np.prod(where))) % clusters).astype("u4").reshape(*where, 1)
    means = np.stack([built.array[labels[..., 0] == k].mean(axis=0) for k in range(clusters)])
    described = _described(built, one_character)
    with h5py.File(built.path, "r+") as file:
        group = results_group(file, built.main, "Cluster")
        group.attrs.update({"cluster_algorithm": "KMeans", "n_clusters": clusters, "init": "k-means++", "tol": 1e-4})
        _add_labels(group, labels, built)
        numbers = _numbered("position", "Cluster", clusters)
        described["prefixes"] = {"position": "Mean_Resp_Pos_"}
        build_main(group, means, numbers, built.spectroscopic, name="Mean_Response", **described)
    return {"Labels": labels, "Mean_Response": means.reshape(clusters, *swept)}


def _add_labels(group: h5py.Group, labels: Array, built: Expected) -> None:
    spare = make_side("spectroscopic", [("Cluster", "a. u.", [1.0])])
    prefixes = {"spectroscopic": "Cluster_"}
    described: dict[str, Any] = {"name": "Labels", "quantity": "Cluster ID", "units": "a. u.", "prefixes": prefixes}
    build_main(group, labels, built.position, spare, **described)


def add_decomposition(built: Expected, *, components: int = 2, seed: int = 0) -> dict[str, Array]:
    """Add `Raw_Data-Decomposition_000` as an NMF left it.

    Parameters
    ----------
    built : Expected
        The source, on a complete grid.
    components, seed : int
        How many endmembers; they are random.

    Returns
    -------
    dict of str to ndarray
        `Components` (component, *spectroscopic) and `Projection` (*position, component).
    """
    random, count = np.random.default_rng(seed), len(built.position.cells)
    endmembers = random.random((components, *built.spectroscopic.shape)).astype("f4")
    projection = random.random((*built.position.shape, components)).astype("f4")
    with h5py.File(built.path, "r+") as file:
        group = results_group(file, built.main, "Decomposition")
        group.attrs.update({"decomposition_algorithm": "NMF", "n_components": components, "n_samples": count})
        numbers = _numbered("position", "Endmember", components)
        described = _described(built, one_character=True)
        build_main(group, endmembers, numbers, built.spectroscopic, name="Components", **described)
        numbers = _numbered("spectroscopic", "Endmember", components)
        build_main(group, projection, built.position, numbers, name="Projection", quantity="abundance", units="a.u.")
    return {"Components": endmembers, "Projection": projection}


def add_sho_fit(built: Expected, *, dtype: str = "f8", completed: int | None = None, seed: int = 0) -> dict[str, Array]:
    """Add `Raw_Data-SHO_Fit_000`: compound guesses and fits per position and step.

    Parameters
    ----------
    built : Expected
        The source, on a complete grid, with a spectroscopic dim Frequency.
    dtype : str
        Of each field: "f8" as BGlib writes, "f4" as pycroscopy 0.60 did.
    completed : int, optional
        How many positions the fit got to before it was stopped; all by default. The rest are zeros.
    seed : int
        The parameters are random.

    Returns
    -------
    dict of str to ndarray
        Structured arrays `Guess` and `Fit`, dims (*position, *spectroscopic without Frequency).
    """
    steps = side_without(built.spectroscopic, "Frequency")
    shape = built.position.shape + steps.shape
    count = int(np.prod(built.position.shape))
    random = np.random.default_rng(seed)
    found = {name: _parameters(random, shape, dtype) for name in ("Guess", "Fit")}
    # Rows of the file are in the order of acquisition, and so is how far the run got.
    todo = built.position.cells[count if completed is None else completed :]
    found["Fit"].reshape(count, -1)[todo] = np.zeros((), found["Fit"].dtype)
    with h5py.File(built.path, "r+") as file:
        group = results_group(file, built.main, "SHO_Fit")
        group.attrs.update({"guess-method": "pycroscopy BESHO", "guess-algorithm": "complex_gaussian"})
        group.attrs.update({"fit-method": "pycroscopy BESHO", "last_pixel": count})
        group["completed_guess_positions"] = np.ones(count, "u1")
        group["completed_fit_positions"] = (np.arange(count) < (count - len(todo))).astype("u1")
        for name, values in found.items():
            made = build_main(group, values, built.position, steps, name=name, quantity="SHO", units="compound")
            steps = made.spectroscopic
    return found


def _parameters(random: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    values = np.zeros(shape, dtype=[(name, dtype) for name in SHO_FIELDS])
    for name in SHO_FIELDS:
        values[name] = random.random(shape)
    return values


def _described(built: Expected, one_character: bool) -> dict[str, Any]:
    """Name what the source measured, cut short as some versions wrote it."""
    cut = 1 if one_character else None
    return {"quantity": built.quantity[:cut], "units": built.unit[:cut]}


def _numbered(role: str, name: str, count: int) -> Side:
    return make_side(role, [(name, "a. u.", np.arange(count))])


def side_without(side: Side, name: str) -> Side:
    """Return the side without one ordinary dim, the others in the same order of the file."""
    if side.dims == (name,):
        return make_side(side.role, ())
    place = side.dims.index(name)
    at = np.array(np.unravel_index(side.cells, side.shape))
    first = np.delete(at[:, at[place] == 0], place, axis=0)
    shape = tuple(np.delete(side.shape, place).tolist())
    columns = tuple(_at_first_step(c, name, place) for c in side.columns if c.name != name)
    dims = tuple(d for d in side.dims if d != name)
    return Side(side.role, dims, shape, columns, np.ravel_multi_index(tuple(first), shape), side.is_complete)


def _at_first_step(column: Column, name: str, place: int) -> Column:
    index, values = np.take(column.index, 0, axis=place), np.take(column.values, 0, axis=place)
    return Column(column.name, column.units, index, values, tuple(d for d in column.along if d != name))
