"""Patterns of a 4-D scan without a model: components, groups of alike positions, and how groups are related."""

import matplotlib.pyplot as plt
import numpy as np

import usidx

scan, truth = usidx.simulate.diffraction((20, 24), (32, 32), counts=1e4)

# Analysis
svd = scan.usid.svd(16)
groups = svd.usid.cluster("kmeans", 6)
tree = svd.usid.cluster("agglomerative", 6)

# Truth
names = ["deflection_y", "deflection_x"]
means = truth[names].groupby(groups.labels).mean().sel(labels=groups.labels)
within = [float(((truth[n] - means[n]) ** 2).mean() / truth[n].var()) for n in names]
print(f"groups hold {1 - max(within):.0%} of the variance of the deflections")
assert max(within) < 0.2
scores = np.column_stack([svd.scores.values.reshape(-1, 16), np.ones(scan.Y.size * scan.X.size)])
for name in names:  # sixteen components say where the beam went
    _, (left,), *_ = np.linalg.lstsq(scores, truth[name].values.ravel())
    assert left < 0.02 * truth[name].size * truth[name].var()
assert groups.mean_response.dims == ("cluster", "detector_Y", "detector_X")

svd.usid.plot.scree().savefig("scree.png", dpi=70)
tree.usid.plot.dendrogram().savefig("dendrogram.png", dpi=70)
figure, axes = plt.subplots(1, 4, figsize=(10, 2.6), layout="constrained")
pictures = {
    "groups": groups.labels,
    "density": truth.density,
    "of group 0": groups.mean_response[0],
    "second component": svd.components[1],
}
for ax, (title, values) in zip(axes, pictures.items(), strict=True):
    ax.imshow(values, origin="lower")
    ax.set(title=title, xticks=[], yticks=[])
figure.savefig("ronchigrams.png", dpi=80)
plt.close("all")
