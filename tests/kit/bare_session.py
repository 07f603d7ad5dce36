"""What the package does by itself, without any extra: run with what must not be imported, in a fresh interpreter.

It opens, decomposes, clusters, fits, writes and opens again, and looks for what was simulated.
"""

import os
import subprocess
import sys
import tempfile

import numpy as np


def run() -> None:
    """Go the way of a user who has no extra."""
    import usidx

    path = usidx.example_file("scan.h5")
    raw = usidx.open_main(path, "Raw_Data")
    assert raw.chunks is not None
    svd = raw.usid.svd(3)
    matrix = raw.values.reshape(-1, raw.sizes["Frequency"])
    np.testing.assert_allclose(svd.singular_values, np.linalg.svd(matrix, compute_uv=False)[:3], rtol=1e-3)
    labels = usidx.open_result(path, svd.usid.cluster("kmeans", 2).usid.write()).labels
    assert set(np.unique(labels)) == {0, 1}
    assert usidx.open_result(path, svd.usid.write()).usid.reconstruct().dims == raw.dims

    fit = raw.usid.fit(usidx.models.SHO(), dim="Frequency").compute()
    assert float(fit.converged.mean()) > 0.95
    frequencies = raw.Frequency.values
    peaks = frequencies[abs(raw).argmax("Frequency").values]
    assert np.median(abs(fit.frequency.values - peaks)) < 2 * np.diff(frequencies).max()
    again = usidx.open_result(path, fit.usid.write())
    np.testing.assert_array_equal(again.frequency, fit.frequency)
    assert len(list(usidx.open_tree(path).leaves)) >= 4
    fit[["frequency", "quality_factor"]].to_netcdf("fit.nc")

    try:
        fit.usid.plot.maps()
    except usidx.errors.MissingExtraError as err:
        assert "pip install 'usidx[plot]'" in str(err)  # noqa: PT017 - there is no pytest here
    else:
        raise AssertionError("maps were drawn without the package that draws them")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        sys.modules[name] = None  # type: ignore[assignment]
    os.chdir(tempfile.mkdtemp(prefix="usidx-bare-"))
    run()
    if not sys.argv[1:]:
        subprocess.run(["usidx", "info", "scan.h5"], check=True)
        subprocess.run(["usidx", "validate", "scan.h5"], check=True)
    sys.stdout.write("opened, decomposed, clustered, fitted, written, opened again\n")
