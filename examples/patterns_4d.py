"""4D-STEM
=======

A 4-D scan: from counts on a detector to dark field, deflections, phase, and means over rings.
"""

import matplotlib.pyplot as plt
import numpy as np

import usidx
from usidx.diffraction import Annulus, Disk

scan, truth = usidx.simulate.diffraction((32, 32), (48, 48), center=(1.5, -2.0), counts=1e5, seed=3)
main = usidx.write(scan, "patterns.h5")

raw = usidx.open_main("patterns.h5", main)  # lazy, dims (Y, X, detector_Y, detector_X)
patterns = raw.usid.diffraction.calibrate(center=raw.usid.diffraction.find_center())
images = patterns.usid.diffraction.virtual_image({"bright": Disk((0, 0), 9), "dark": Annulus((0, 0), 9.5, 16)})
com, rings = patterns.usid.diffraction.center_of_mass(), patterns.usid.diffraction.radial_mean()
mean = patterns.usid.diffraction.mean_pattern()
images, com, rings, mean = usidx.compute(images, com, rings, mean, progress=False)  # one pass over the file
phase = com.usid.diffraction.phase_contrast()
print("wrote", images.usid.write(), com.usid.write(), phase.usid.write())

off = (com.y - com.y.mean()) - (truth.deflection_y - truth.deflection_y.mean())
print(f"median error of the deflections: {float(abs(off).median()):.3f} mrad")
print(f"likeness of the phase: {np.corrcoef(phase.values.ravel(), truth.phase.values.ravel())[0, 1]:.4f}")

maps = {
    "dark field (counts)": images.dark,
    "along y (mrad)": com.y,
    "along x (mrad)": com.x,
    "phase (mrad nm)": 1e9 * phase,
}
figure, axes = plt.subplots(1, 4, figsize=(10, 2.5), layout="constrained")
for one, (title, values) in zip(axes, maps.items(), strict=True):
    one.set(title=title, xticks=[], yticks=[])
    figure.colorbar(one.imshow(values, origin="lower", cmap="gray" if "dark" in title else "viridis"), ax=one)
figure.savefig("diffraction.png", dpi=100)

figure, (left, right) = plt.subplots(1, 2, figsize=(6, 2.5), layout="constrained")
left.pcolormesh(mean.detector_X, mean.detector_Y, mean)
left.set(xlabel="x (mrad)", ylabel="y (mrad)", aspect="equal")
right.plot(rings.radius, rings.mean(["Y", "X"]))
right.set(xlabel="radius (mrad)", ylabel="counts")
figure.savefig("rings.png", dpi=100)
