"""A Raman map, from raw counts to lines and shares: cosmic rays, baselines, smoothing, peaks, least squares, NMF."""

import matplotlib.pyplot as plt
import numpy as np

import usidx

raw, truth = usidx.simulate.spectrum_image((16, 20), 300, counts=500.0)
raw = raw + 400 * np.exp(-raw.Raman_Shift / 1500)  # fluorescence
raw[4, 5, 100] += 3000  # a cosmic ray

# Analysis
flat = raw.usid.signal.remove_spikes().usid.signal.remove_baseline()
smooth = flat.usid.signal.savgol(60.0, 2)  # a window of 60/cm
even = smooth.usid.signal.normalize("area")
peaks = even.usid.signal.find_peaks(prominence="noise", n=8)
pure = usidx.signal.remove_baseline(truth.components, dim="Raman_Shift")  # of the pure substances
shares = flat.usid.fit_references(pure, nonnegative=True)
parts = flat.usid.nmf(3)

# Truth
off = np.sqrt(((shares.scores - truth.scores) ** 2).mean())
strongest = truth.components.isel(component=0).idxmax()
here = peaks.position.where(truth.scores.isel(component=0) > 0.9)
print(f"shares are off by {float(off):.3f}; the strongest line of the first lies at {float(strongest):.0f}/cm")
assert off < 0.08
assert abs(float(abs(here - strongest).min("peak").median())) < 5
assert abs(flat[4, 5, 100]) < 200
maps = [one.transpose("component", "Y", "X").values.reshape(3, -1) for one in (parts.scores, truth.scores)]
assert (np.corrcoef(*maps)[:3, 3:].max(axis=0) > 0.99).all()

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
for values, label in ((raw, "raw"), (smooth, "flat and smooth")):
    left.plot(values.Raman_Shift, values[4, 5], label=label, linewidth=1)
left.set(xlabel="Raman shift (1/cm)", ylabel="counts", ylim=(-50, 1100))
left.legend()
right.imshow(shares.scores.isel(component=0), origin="lower")
right.set(title="share of the first component", xticks=[], yticks=[])
figure.savefig("raman_map.png", dpi=80)
plt.close(figure)
