"""Drift, scars and flat surfaces
==============================

Frames that drift are laid over each other, what was measured beside them follows, and a surface is made flat.

The two pictures are those of docs/image.md.
"""

import matplotlib.pyplot as plt
import xarray as xr

import usidx

stack, truth = usidx.simulate.drifting_stack((64, 80), 12, kind="lattice", drift=1.0, noise=0.7)
main = usidx.write(stack, "drift.h5", progress=False)

raw = usidx.open_main("drift.h5", main)
still = raw.usid.image.correct_drift("Frame")
still.usid.write(progress=False)
error = (still.shift_X - truth.shift_X).compute() / 1e-9
print(f"off by {float(abs(error).max()):.2f} samples at most, where noise is 0.7 of the picture")

# A spectrum image that was taken beside the frames follows them.
spectra = raw * xr.DataArray([1.0, 0.5], dims="Energy", coords={"Energy": [1, 2]})
followed = usidx.image.shift(spectra, still[["shift_Y", "shift_X"]].compute())
print(f"the sum over {dict(followed.sizes)} is {float(followed.sum()):.0f}")

image, surface = usidx.simulate.stepped_surface((144, 192), scars=12, seed=1)
clean = usidx.image.remove_scars(image)
flat = {
    "as it was scanned": image,
    "a polynomial of each line": usidx.image.flatten(image, "lines", mask=None),
    "without scars, differences": usidx.image.flatten(clean, "differences", order=2),
}
averages = {
    "one frame": raw[0],
    "mean of 12": raw.mean("Frame"),
    "mean of 12, moved back": still.corrected.mean("Frame"),
}

for name, pictures in {"drift.png": averages, "flatten.png": flat}.items():
    figure, axes = plt.subplots(1, 3, figsize=(9, 2.6), layout="constrained")
    for ax, (title, picture) in zip(axes, pictures.items(), strict=True):
        low, high = picture.compute().quantile([0.01, 0.97])
        ax.imshow(picture, vmin=low, vmax=high, cmap="afmhot")
        ax.set(title=title, xticks=[], yticks=[])
    figure.savefig(name, dpi=64)
    plt.close(figure)
