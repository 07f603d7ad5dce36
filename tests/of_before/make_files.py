"""Make the files of this folder: results as usidx 0.1 wrote them. Only that version can run this.

Run it with the package of 0.1 on the path: ``python make_files.py <folder>``; each file is then packed by gzip. Beside
it lies an archive of the values that 0.1 itself read from its results, named ``<group>|<variable>``.
"""

import gzip
import platform
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import dask
import numpy as np
import xarray as xr

import usidx
from usidx.testing.files import build_main

if __name__ == "__main__":  # as the version before names it in its record
    from swing import find_swing  # type: ignore[import-not-found]
else:
    from tests.of_before.swing import find_swing

BIAS = np.linspace(-1, 1, 9)
ROWS, COLUMNS = 6, 3


def main() -> None:
    folder = Path(sys.argv[1])
    platform.node = lambda: "microscope"  # the files tell nothing of who made them
    platform.platform = lambda *args, **kwargs: "Linux"
    make_spectra(folder / "spectra.h5")
    make_oscillators(folder / "oscillators.h5")
    make_interrupted(folder / "interrupted.h5")
    make_misleading(folder / "misleading.h5")
    for path in folder.glob("*.h5"):
        path.with_suffix(".h5.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path.unlink()


def make_spectra(path: Path) -> None:
    """Write what is made of real spectra."""
    write_spectra(path)
    raw = usidx.open_main(path)
    peaks = raw.usid.fit(usidx.models.Gaussian() + usidx.models.Constant())
    parts = raw.usid.svd(2)
    write_all(
        path,
        *(parts, raw.usid.pca(2), raw.usid.nmf(2), raw.usid.cluster("kmeans", 2), peaks, raw.usid.didv(window=5)),
        *(usidx.map_positions(find_swing, raw), usidx.map_positions(lambda s: s.max() - s.min(), raw)),
        *(peaks.usid.evaluate(), parts.usid.reconstruct()),
    )


def make_oscillators(path: Path) -> None:
    """Write what is made of band-excitation spectra."""
    scan, _ = usidx.simulate.beps((2, 2), 16, dc_steps=16, noise=0.01, seed=1)
    usidx.write(scan, path)
    found = usidx.open_main(path).usid.sho_fit()
    write_all(path, found)
    opened = usidx.open_result(path, usidx.list_results(path)[0])
    write_all(path, opened.usid.loop_fit(), opened.usid.correct_phase(), opened.usid.response())


def make_interrupted(path: Path) -> None:
    """Write a part of a fit."""
    write_spectra(path)
    lines = usidx.open_main(path, chunks={"Y": 1})
    checkpoint: Any = import_module("usidx.write.checkpoint")
    checkpoint._COMMIT_EVERY = 0.0
    store, left = checkpoint._store_slab, [2]

    def store_or_stop(*given: Any) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        store(*given)

    checkpoint._store_slab = store_or_stop
    with dask.config.set(scheduler="sync", num_workers=1):
        try:
            lines.usid.fit(usidx.models.Gaussian() + usidx.models.Constant()).usid.write()
        except KeyboardInterrupt:
            return
        finally:
            checkpoint._store_slab = store


def make_misleading(path: Path) -> None:
    """Write results that record what another call would, though their numbers are others."""
    write_spectra(path)
    raw = usidx.open_main(path)
    flipped = raw.isel(Y=[0, 2, 1, 3, 4, 5])  # its ends and its size are those of the whole
    stretched = raw.assign_coords(Bias=("Bias", np.sign(BIAS) * BIAS**2, raw.Bias.attrs))
    peak = usidx.models.Gaussian() + usidx.models.Constant()
    write_all(
        path,
        *(flipped.usid.svd(2), flipped.usid.didv(window=5), stretched.usid.fit(peak), stretched.usid.didv(window=5)),
        raw.usid.fit(peak).isel(Y=slice(2, 4)).usid.evaluate(),
        raw.isel(Y=slice(2, 4)).usid.fit(peak).usid.evaluate(),
    )


def write_spectra(path: Path) -> None:
    """Write peaks that differ from each other on a noisy ground."""
    size = 1 + np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS, 1) / 10
    noise = np.random.default_rng(0).uniform(0, 0.02, (ROWS, COLUMNS, BIAS.size))
    position = [("Y", "m", 1e-6 * np.arange(ROWS)), ("X", "m", 2e-6 * np.arange(COLUMNS))]
    build_main(path, size * np.exp(-((BIAS - 0.1 * size) ** 2) / 0.1) + 0.2 + noise, position, [("Bias", "V", BIAS)])


def write_all(path: Path, *results: xr.DataArray | xr.Dataset) -> None:
    """Write results, and keep what is read of them."""
    archive = path.with_suffix(".npz")
    kept: dict[str, Any] = dict(np.load(archive)) if archive.exists() else {}
    for result in results:
        group = usidx.write(result, reuse=False)
        opened = usidx.open_result(path, group)
        kept |= {f"{group}|{name}": variable.values for name, variable in opened.data_vars.items()}
    save: Callable[..., None] = np.savez_compressed
    save(archive, **kept)


if __name__ == "__main__":
    main()
