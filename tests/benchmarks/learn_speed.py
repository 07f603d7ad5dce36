"""Decompositions and clusters: usidx beside scikit-learn, HyperSpy, xeofs, dask and SciPy, in memory and from a file.

    python tests/benchmarks/learn_speed.py [--size 1] [--rounds 5] [--only svd "svd in noise" nmf kmeans] [--folder DIR]

At size 1: 16 singular vectors of 65536 x 1024 cells, of 24 peaks and of 6, so that 10 of the vectors are noise; 6
non-negative factors and 8 clusters of 65536 x 512, float32. `--size` scales the rows. The ways take turns, each turn
in a process of its own that has run on a 32nd of the rows before, so that imports and compilation count for nothing,
and whose memory beyond what it then has is its own. The table shows medians, their ranges, time summed over the cores
(which programs beside this one disturb least), extra memory, and how good the answer is: for svd the worst relative
error of a singular value, for nmf the norm of what is left over that of the data, for k-means the sum of squared
distances. pca, which removes a mean first, is compared with the values for that. From a file, ways that know no blocks
load it whole. Ways whose package is missing are named under the table.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import xarray as xr

import usidx
from usidx.testing.files import build_main

Array = npt.NDArray[Any]

_ROWS = 65536
_SIDE = 256
_SHAPES = {"svd": (1024, 16), "svd in noise": (1024, 16), "nmf": (512, 6), "kmeans": (512, 8)}
_WARM = 32
_BLOCK = 8192


def _cells(task: str, rows: int) -> Array:
    """Make overlapping peaks in parts that vary, with the noise of counts."""
    columns, _ = _SHAPES[task]
    random = np.random.default_rng(0)
    number = 24 if task == "svd" else 6
    places = np.linspace(0, columns, number + 2)[1:-1, np.newaxis]
    peaks = np.exp(-(((np.arange(columns) - places) / (columns / number)) ** 2)).astype("f4")
    cells = np.empty((rows, columns), "f4")
    for start in range(0, rows, _BLOCK):
        part = cells[start : start + _BLOCK]
        part[...] = random.dirichlet(np.full(number, 0.5), len(part)).astype("f4") @ peaks
        part += 0.1 * random.random(part.shape, "f4")
    return cells


def _values(cells: Array, n: int, *, centred: bool) -> Array:
    """Return the singular values, in double precision."""
    gram, mean = np.zeros((cells.shape[1],) * 2), cells.mean(axis=0, dtype=np.float64)
    for start in range(0, len(cells), _BLOCK):
        part = cells[start : start + _BLOCK].astype(np.float64) - (mean if centred else 0)
        gram += part.T @ part
    return np.asarray(np.sqrt(np.linalg.eigvalsh(gram)[::-1][:n]))


def _labelled(cells: Array) -> xr.DataArray:
    return xr.DataArray(cells, dims=("row", "column"))


def _opened(path: Path, rows: int) -> Any:
    """Return a lazy array of usidx, its first lines if not all."""
    data = usidx.open_main(path)
    return data if rows >= data.shape[0] * data.shape[1] else data.isel({data.dims[0]: slice(0, -(-rows // _SIDE))})


def _loaded(path: Path, rows: int) -> Array:
    with h5py.File(path) as file:
        return np.asarray(file["Measurement_000/Channel_000/Raw_Data"][:rows])


def _dask_array(path: Path, rows: int) -> Any:
    import dask.array as da

    dataset = h5py.File(path)["Measurement_000/Channel_000/Raw_Data"]
    return da.from_array(dataset, chunks=(_BLOCK, dataset.shape[1]), name=False)[:rows]


# Each way takes cells in memory, or else what reads them, and returns an answer: values, an error or an inertia.


def _usidx_svd(data: Any) -> Any:
    return usidx.svd(data, 16, dim=data.dims[-1]).compute().singular_values.values


def _usidx_pca(data: Any) -> Any:
    return usidx.pca(data, 16, dim=data.dims[-1]).compute().singular_values.values


def _sklearn_pca(solver: str) -> Callable[[Any], Any]:
    def run(cells: Any) -> Any:
        from sklearn.decomposition import PCA

        model = PCA(16, svd_solver=solver, random_state=0)
        model.fit_transform(cells)
        return model.singular_values_

    return run


def _sklearn_incremental(cells: Any) -> Any:
    from sklearn.decomposition import IncrementalPCA

    model = IncrementalPCA(16, batch_size=1024)
    for start in range(0, cells.shape[0], 1024):
        model.partial_fit(cells[start : start + 1024])
    for start in range(0, cells.shape[0], 1024):
        model.transform(cells[start : start + 1024])
    return model.singular_values_


def _scipy_svds(cells: Any) -> Any:
    from scipy.sparse.linalg import svds

    return svds(cells, 16)[1][::-1]


def _dask_svd(cells: Any) -> Any:
    import dask
    import dask.array as da

    lazy = cells if isinstance(cells, da.Array) else da.from_array(cells, chunks=(_BLOCK, -1), name=False)
    left, values, right = da.linalg.svd_compressed(lazy, 16, n_power_iter=2, iterator="QR", compute=True)
    return dask.compute(left, values, right)[1]


def _hyperspy(cells: Any, algorithm: str, **options: Any) -> Any:
    import hyperspy.api as hs  # type: ignore[import-not-found,unused-ignore]

    hs.preferences.General.show_progressbar = False
    signal = hs.signals.Signal1D(cells)
    lazy = not isinstance(cells, np.ndarray)
    signal = signal.as_lazy() if lazy and not signal._lazy else signal
    signal.decomposition(algorithm=algorithm, print_info=False, **options)
    return signal


def _hyperspy_svd(cells: Any) -> Any:
    found = _hyperspy(cells, "SVD", output_dimension=16)
    # HyperSpy keeps variances: squares of the singular values over the number of rows.
    return np.sqrt(np.asarray(found.learning_results.explained_variance)[:16] * cells.shape[0])


def _hyperspy_nmf(cells: Any) -> Any:
    found = _hyperspy(cells, "NMF", output_dimension=6).learning_results
    return _left(cells, np.asarray(found.loadings), np.asarray(found.factors).T)


def _xeofs(cells: Any) -> Any:
    import xeofs  # type: ignore[import-not-found,unused-ignore]

    model = xeofs.single.EOF(n_modes=16)
    sizes = zip(("row", "column"), cells.shape, strict=True)
    array = xr.DataArray(cells, {d: range(n) for d, n in sizes}, ("row", "column"))
    model.fit(array, dim="row")
    model.scores().compute()
    return model.singular_values().values


def _usidx_nmf(solver: str | None) -> Callable[[Any], Any]:
    def run(data: Any) -> Any:
        return float(usidx.nmf(data, 6, dim=data.dims[-1], solver=solver).compute().relative_error)

    return run


def _sklearn_nmf(cells: Any) -> Any:
    from sklearn.decomposition import NMF

    model = NMF(6, init="nndsvda")
    scores = model.fit_transform(cells)
    return _left(cells, scores, model.components_)


def _sklearn_batch_nmf(cells: Any) -> Any:
    from sklearn.decomposition import MiniBatchNMF

    model = MiniBatchNMF(6, init="nndsvda", random_state=0)
    scores = model.fit_transform(cells)
    return _left(cells, scores, model.components_)


def _left(cells: Array, scores: Array, components: Array) -> float:
    left = total = 0.0
    for start in range(0, len(cells), _BLOCK):
        part = cells[start : start + _BLOCK].astype(np.float64)
        left += float(((part - scores[start : start + _BLOCK] @ components) ** 2).sum())
        total += float((part**2).sum())
    return float(np.sqrt(left / total))


def _usidx_kmeans(data: Any) -> Any:
    distance = usidx.cluster(data, "kmeans", 8, dim=data.dims[-1]).compute().distance
    return float((distance**2).sum())


def _sklearn_kmeans(starts: int) -> Callable[[Any], Any]:
    def run(cells: Any) -> Any:
        from sklearn.cluster import KMeans

        return float(KMeans(8, n_init=starts, random_state=0).fit(cells).inertia_)

    return run


def _sklearn_batch_kmeans(cells: Any) -> Any:
    from sklearn.cluster import MiniBatchKMeans

    return float(MiniBatchKMeans(8, n_init=1, random_state=0).fit(cells).inertia_)


#: Task, and for each way the package that it needs, what runs, and how the file is read.
_Way = tuple[str, Callable[[Any], Any], Callable[[Path, int], Any]]
_WAYS: dict[str, dict[str, _Way]] = {
    "svd": {
        "usidx svd": ("usidx", _usidx_svd, _opened),
        "usidx pca": ("usidx", _usidx_pca, _opened),
        "scikit-learn PCA": ("sklearn", _sklearn_pca("covariance_eigh"), _loaded),
        "scikit-learn IncrementalPCA": ("sklearn", _sklearn_incremental, _loaded),
        "scipy svds": ("scipy", _scipy_svds, _loaded),
        "dask svd_compressed": ("dask", _dask_svd, _dask_array),
        "HyperSpy SVD": ("hyperspy", _hyperspy_svd, _dask_array),
        "xeofs EOF": ("xeofs", _xeofs, _dask_array),
    },
    "nmf": {
        "usidx nmf": ("usidx", _usidx_nmf(None), _opened),
        "usidx nmf hals": ("usidx", _usidx_nmf("hals"), _opened),
        "scikit-learn NMF": ("sklearn", _sklearn_nmf, _loaded),
        "scikit-learn MiniBatchNMF": ("sklearn", _sklearn_batch_nmf, _loaded),
        "HyperSpy NMF": ("hyperspy", _hyperspy_nmf, _loaded),
    },
    "kmeans": {
        "usidx cluster": ("usidx", _usidx_kmeans, _opened),
        "scikit-learn KMeans, 1 start": ("sklearn", _sklearn_kmeans(1), _loaded),
        "scikit-learn KMeans, 4 starts": ("sklearn", _sklearn_kmeans(4), _loaded),
        "scikit-learn MiniBatchKMeans": ("sklearn", _sklearn_batch_kmeans, _loaded),
    },
}
# Of 6 peaks 10 of the 16 vectors are noise, whose values lie near each other.
_WAYS["svd in noise"] = {
    **{way: _WAYS["svd"][way] for way in ("usidx svd", "usidx pca", "scikit-learn PCA")},
    "scikit-learn PCA arpack": ("sklearn", _sklearn_pca("arpack"), _loaded),
    **{way: _WAYS["svd"][way] for way in ("scipy svds", "dask svd_compressed", "HyperSpy SVD")},
}
_CENTRED = {"usidx pca", "scikit-learn PCA", "scikit-learn PCA arpack", "scikit-learn IncrementalPCA", "xeofs EOF"}


class _Memory:
    """The most resident memory while a block runs, sampled, over what there was before."""

    def __enter__(self) -> _Memory:
        import psutil  # type: ignore[import-untyped,unused-ignore]

        self._process = psutil.Process()
        self._base = self._most = self._process.memory_info().rss
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def _sample(self) -> None:
        while not self._stop.wait(0.005):
            self._most = max(self._most, self._process.memory_info().rss)

    def __exit__(self, *unused: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def extra(self) -> float:
        """MiB."""
        return float(self._most - self._base) / (1 << 20)


def one_turn(task: str, way: str, path: Path, rows: int, *, from_file: bool) -> dict[str, Any]:
    """Run one way once, in this process."""
    _, run, read = _WAYS[task][way]
    in_memory = None if from_file else _loaded(path, rows)

    def data(count: int) -> Any:
        if in_memory is None:
            return read(path, count)
        return _labelled(in_memory[:count]) if way.startswith("usidx") else in_memory[:count]

    run(data(max(rows // _WARM, 1024)))
    with _Memory() as memory:
        start, busy = time.perf_counter(), time.process_time()
        found = run(data(rows))
        spent, used = time.perf_counter() - start, time.process_time() - busy
    return {"spent": spent, "used": used, "extra": memory.extra, "found": np.asarray(found, float).tolist()}


def _turn(task: str, way: str, path: Path, rows: int, from_file: bool) -> dict[str, Any]:
    """Run one way once, in a process of its own."""
    command = [sys.executable, __file__, "--turn", json.dumps([task, way, str(path), rows, from_file])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{way}: {done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _missing(task: str) -> list[str]:
    return [way for way, (package, _, _) in _WAYS[task].items() if importlib.util.find_spec(package) is None]


def measure(task: str, size: float, rounds: int, folder: Path) -> Iterator[str]:
    """Yield the rows of one task."""
    lines = max(8, round(_ROWS * size / _SIDE))
    columns, n = _SHAPES[task]
    cells = _cells(task, lines * _SIDE)
    dims = [("Y", "m", range(lines)), ("X", "m", range(_SIDE))], [("E", "eV", range(columns))]
    path = build_main(folder / f"{task.replace(' ', '_')}.h5", cells.reshape(lines, _SIDE, columns), *dims).path
    values = {c: _values(cells, n, centred=c) for c in (False, True)} if task.startswith("svd") else {}
    ways = [way for way in _WAYS[task] if way not in _missing(task)]
    for from_file in (False, True):
        turns = [{way: _turn(task, way, path, len(cells), from_file) for way in ways} for _ in range(rounds)]
        first = statistics.median(turn[ways[0]]["spent"] for turn in turns)
        for way in ways:
            mine = [turn[way] for turn in turns]
            spent = [turn["spent"] for turn in mine]
            found = np.asarray(mine[-1]["found"])
            good = (
                f"{np.max(abs(found / values[way in _CENTRED] - 1)):.1e}" if task.startswith("svd") else f"{found:.7g}"
            )
            yield _row(
                f"{task}, {'file' if from_file else 'memory'}",
                way,
                f"{statistics.median(spent):.2f} ({min(spent):.2f}-{max(spent):.2f})",
                f"{statistics.median(spent) / first:.2f}",
                f"{statistics.median(turn['used'] for turn in mine):.2f}",
                f"{max(turn['extra'] for turn in mine):.0f}",
                good,
            )
    path.unlink()


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Read the options and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=1.0, help="of 65536 rows")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=_SHAPES, default=list(_SHAPES))
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--turn", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.turn:
        task, way, path, rows, from_file = json.loads(options.turn)
        sys.stdout.write(json.dumps(one_turn(task, way, Path(path), rows, from_file=from_file)) + "\n")
        return
    head = ("s", "time / that of usidx", "s of all cores", "extra MiB", "error or inertia")
    sys.stdout.write(_row(f"median of {options.rounds}", "way", *head) + "\n" + "|---" * 7 + "|\n")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for task in options.only:
            for line in measure(task, options.size, options.rounds, Path(folder)):
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
    missing = [way for task in options.only for way in _missing(task)]
    if missing:
        sys.stdout.write(f"\nNot installed: {', '.join(missing)}.\n")


if __name__ == "__main__":
    main()
