"""Core losses of an EELS spectrum image: noise weighed as counts, the background taken off, and an edge mapped."""

import matplotlib.pyplot as plt
import numpy as np

import usidx

raw, truth = usidx.simulate.spectrum_image((16, 20), 260, technique="eels", counts=300.0)

# Analysis
few = raw.usid.pca(8, scale="poisson")
clean = few.usid.reconstruct(modes=3)
edge = clean.usid.signal.remove_power_law((235, 280))
carbon = edge.sel(Energy_Loss=slice(284, 340)).integrate("Energy_Loss")
parts = raw.usid.nmf(3, scale="poisson")
few.usid.plot.scree().savefig("scree.png", dpi=70)

# Truth
share = truth.scores.isel(component=0)
likeness = np.corrcoef(carbon.values.ravel(), share.values.ravel())[0, 1]
print(f"three components hold {float(few.explained_variance_ratio[:3].sum()):.0%} of the variance")
print(f"likeness of the edge's map and the truth: {likeness:.4f}")
assert likeness > 0.99
assert few.singular_values[1] > 2 * few.singular_values[3]

maps = [one.transpose("component", "Y", "X").values.reshape(3, -1) for one in (parts.scores, truth.scores)]
assert (np.corrcoef(*maps)[:3, 3:].max(axis=0) > 0.96).all()

figure, (middle, right) = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
for values, label in ((raw, "raw"), (edge, "edge")):
    middle.plot(values.Energy_Loss, values.mean(["Y", "X"]), label=label)
middle.set(xlabel="energy loss (eV)", ylabel="counts")
middle.legend()
right.imshow(carbon, origin="lower")
right.set(title="carbon K", xticks=[], yticks=[])
figure.savefig("core_loss.png", dpi=80)
plt.close("all")
