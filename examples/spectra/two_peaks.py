"""Two peaks that overlap, fitted to each spectrum of a map within bounds, with standard errors that hold."""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import usidx
from usidx.models import Constant, Gaussian

random = np.random.default_rng(0)
energy = xr.DataArray(np.linspace(0, 10, 120), dims="Energy", attrs={"units": "eV"})
center = 4 + xr.DataArray(random.uniform(-0.5, 0.5, (24, 32)), dims=("Y", "X"))
clean = 5 * np.exp(-((energy - center) ** 2) / 2 / 0.6**2) + 3 * np.exp(-((energy - 6) ** 2) / 2 / 0.8**2) + 1
clean = clean.transpose("Y", "X", "Energy")
data = (clean + 0.1 * random.normal(size=clean.shape)).assign_coords(Energy=energy)
data = usidx.set_roles(data, position=["Y", "X"], spectroscopic="Energy").assign_attrs(units="V")

# Analysis
model = Gaussian(prefix="left_") + Gaussian(prefix="right_") + Constant()
bounds = {"left_center": (3.0, 5.0), "right_center": (5.0, 7.0)}
fit = data.usid.fit(model, dim="Energy", bounds=bounds)
drawn = fit.usid.evaluate()

# Truth
off = (fit.left_center - center) / fit.left_center_stderr
print(f"{float(fit.converged.mean()):.1%} converged; {float((abs(off) < 1).mean()):.0%} within one standard error")
assert fit.converged.mean() > 0.99
assert 0.6 < (abs(off) < 1).mean() < 0.76
assert fit.left_center.attrs["units"] == "eV"
assert np.sqrt((abs(fit.left_center - center) ** 2).mean()) < 0.02  # eV
assert abs(fit.right_sigma.mean() - 0.8) < 0.01

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
left.plot(energy, data[3, 4], ".", markersize=3)
left.plot(energy, drawn[3, 4])
left.set(xlabel="energy (eV)", ylabel="V")
figure.colorbar(right.imshow(fit.left_center, origin="lower"), ax=right, label="center of the left peak (eV)")
figure.savefig("two_peaks.png", dpi=80)
plt.close(figure)
