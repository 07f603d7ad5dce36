"""Unmixing a band-excitation line: singular values, clusters of the complex response, and parts of its amplitude."""

import matplotlib.pyplot as plt
import numpy as np

import usidx

raw, truth = usidx.simulate.band_excitation((16, 24), 48)

# Analysis
svd = raw.usid.svd(16)
groups = svd.usid.cluster("kmeans", 4)
amplitude = abs(raw)
parts = amplitude.usid.nmf(4)

# Truth
left_over = float(parts.relative_error)
means = truth.domain.groupby(groups.labels).mean().sel(labels=groups.labels)
within = float(((truth.domain - means) ** 2).mean() / truth.domain.var())
print(f"four parts leave {left_over:.1%} of the amplitude; groups of {np.bincount(groups.labels.values.ravel())} cells")
assert left_over < 0.2
assert within < 0.03  # a group is of one domain
assert set(np.unique(groups.labels)) == {0, 1, 2, 3}

groups.usid.plot.clusters().savefig("groups.png", dpi=70)
parts.usid.plot.maps(variables=["scores"]).savefig("parts.png", dpi=70)
plt.close("all")
