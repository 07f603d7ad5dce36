"""An image cut into small windows: components clean it, groups of them are its motifs, and its atoms are found."""

import matplotlib.pyplot as plt
import numpy as np

import usidx

clean, truth = usidx.simulate.atoms((128, 128), noise=0.0, seed=3)
image = clean + 0.4 * np.random.default_rng(0).normal(size=clean.shape)

# Analysis
windows = image.usid.image.windows(size=16, step=4)
svd = windows.usid.svd(16)
motifs = svd.usid.cluster("kmeans", 4)
cleaned = image.usid.image.denoise_patches(size=16, step=2)
atoms = cleaned.usid.image.find_atoms(threshold=0.4)

# Truth
before, after = (float((one - clean).std()) for one in (image, cleaned))
print(
    f"noise of {before:.2f} comes down to {after:.2f}; {atoms.sizes['atom']} of {truth.sizes['atom']} atoms are found"
)
assert after < 0.25 * before
assert abs(atoms.sizes["atom"] - truth.sizes["atom"]) <= 0.08 * truth.sizes["atom"]
off = np.hypot(atoms.y.values[:, None] - truth.y.values, atoms.x.values[:, None] - truth.x.values).min(axis=1)
assert np.median(off) < 0.5 * float(image.X.diff("X")[0])  # half a pixel, in noise as high as the atoms nearly are

figure, axes = plt.subplots(1, 4, figsize=(11, 3), layout="constrained")
pictures = {"image": image, "motifs": motifs.labels, "second component": svd.components[1], "cleaned": cleaned}
for ax, (title, values) in zip(axes, pictures.items(), strict=True):
    ax.pcolormesh(*(values[dim] for dim in reversed(values.dims)), values, cmap="gray", rasterized=True)
    ax.set(title=title, aspect="equal", xticks=[], yticks=[])
axes[-1].plot(atoms.x, atoms.y, ".", color="tab:red", markersize=3)
figure.savefig("cleaning.png", dpi=80)
plt.close(figure)
