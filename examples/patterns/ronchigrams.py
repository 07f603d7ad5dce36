"""Patterns of a 4-D scan without a model: components, groups of alike positions, and how groups are related."""

import matplotlib.pyplot as plt
import numpy as np

import usidx

scan, truth = usidx.simulate.diffraction((20, 24), (32, 32), counts=1e4)

svd = scan.usid.svd(16)
groups = svd.usid.cluster("kmeans", 6)
tree = svd.usid.cluster("agglomerative", 6)
within = np.sqrt(truth.density.groupby(groups.labels).var().mean() / truth.density.var())

print(f"groups hold {float(1 - within**2):.0%} of the variance of the density")
assert within < 0.9
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
