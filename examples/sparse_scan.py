"""Scans that are no rectangle
===========================

Places that lie on no full grid: kept as they are, placed on the rectangle when asked.
"""

import numpy as np
import xarray as xr

import usidx

random = np.random.default_rng(0)
grid = [(y, x) for y in range(12) for x in range(16)]
chosen = sorted(random.choice(len(grid), 120, replace=False).tolist())
y, x = (np.array([grid[i][k] for i in chosen]) * 1e-7 for k in (0, 1))
energy = np.linspace(0, 10, 50)
spectra = np.exp(-((energy - 4 - 1e6 * x[:, None]) ** 2)) + 0.01 * random.normal(size=(120, 50))

scan = xr.DataArray(
    spectra,
    dims=("position", "Energy"),
    coords={
        "Y": ("position", y, {"units": "m"}),
        "X": ("position", x, {"units": "m"}),
        "Energy": ("Energy", energy, {"units": "eV"}),
    },
    name="Raw_Data",
    attrs={"long_name": "Intensity", "units": "counts"},
)
scan = usidx.set_roles(scan, position=["position", "Y", "X"], spectroscopic="Energy")
main = usidx.write(scan, "sparse.h5")

raw = usidx.open_main("sparse.h5", main)
print(raw.usid)
fit = raw.usid.fit(usidx.models.Gaussian() + usidx.models.Constant(), dim="Energy")
center = fit.center.usid.to_grid()
print(f"{int(center.measured.sum())} of {center.size} cells were measured")
center.usid.plot.map().savefig("center.png")
