"""4D-STEM
=======

A 4-D scan: from counts on a detector to dark field, deflections, phase, and means over rings.
"""

import matplotlib.pyplot as plt
import numpy as np

import usidx
from usidx.diffraction import Annulus, Disk

scan, truth = usidx.simulate.diffraction((32, 32), (64, 64), center=(1.5, -2.0), counts=1e5, seed=3)
scan[..., 11, 15] = 5000  # a hot pixel
main = usidx.write(scan, "patterns.h5")

# Analysis
raw = usidx.open_main("patterns.h5", main)  # lazy, dims (Y, X, detector_Y, detector_X)
binned = raw.coarsen(detector_Y=2, detector_X=2).sum()
clean = binned.usid.diffraction.remove_hot_pixels()
patterns = clean.usid.diffraction.calibrate(center=clean.usid.diffraction.find_center())
detectors = {"bright": Disk((0, 0), 9), "dark": Annulus((0, 0), 9.5, 16), "off_axis": Disk((0, 12), 3)}
images = patterns.usid.diffraction.virtual_image(detectors)
com = patterns.usid.diffraction.center_of_mass()
rings, mean = patterns.usid.diffraction.radial_mean(), patterns.usid.diffraction.mean_pattern()
images, com, rings, mean = usidx.compute(images, com, rings, mean, progress=False)  # one pass over the file
thick = patterns.usid.diffraction.mean_pattern(mask=images.dark < images.dark.mean())  # of where much is scattered
phase = com.usid.diffraction.phase_contrast()
print("wrote", images.usid.write(), com.usid.write(), phase.usid.write())

# Truth
off = (com.y - com.y.mean()) - (truth.deflection_y - truth.deflection_y.mean())
print(f"median error of the deflections: {float(abs(off).median()):.3f} mrad")
likeness = np.corrcoef(phase.values.ravel(), truth.phase.values.ravel())[0, 1]
print(f"likeness of the phase: {likeness:.4f}")
assert np.sqrt((off**2).mean()) < 0.03  # mrad
assert likeness > 0.999
assert clean[..., 5, 7].max() < 2000
beam = {"detector_Y": slice(-6, 6), "detector_X": slice(-6, 6)}
assert thick.sel(beam).sum() < 0.95 * mean.sel(beam).sum()

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
