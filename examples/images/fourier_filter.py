"""An image filtered by its frequencies over both dims: noise and background taken off, and back to the very axes."""

import matplotlib.pyplot as plt
import numpy as np

import usidx

clean, _ = usidx.simulate.atoms((160, 160), noise=0.0)
image = clean + 0.3 * np.random.default_rng(0).normal(size=clean.shape) + 0.2 * clean.Y

# Analysis
spectrum = usidx.signal.fft(image, ["Y", "X"])
radius = np.hypot(spectrum.Y_frequency, spectrum.X_frequency)  # in 1/nm
low_pass = np.exp(-((radius / 10) ** 2) / 2) * (radius > 1)
smooth = usidx.signal.ifft(spectrum * low_pass)

# Truth
wanted = clean - clean.mean()
before, after = (float((one - one.mean() - wanted)[20:-20, 20:-20].std()) for one in (image, smooth))
print(f"off by {before:.3f} before and {after:.3f} after")
assert after < 0.4 * before
assert smooth.Y.identical(image.Y)

pictures = {"image": image, "its frequencies": np.log(abs(spectrum) + 1e-9), "filtered": smooth}
figure, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained")
for ax, (title, values) in zip(axes, pictures.items(), strict=True):
    ax.pcolormesh(*(values[dim] for dim in reversed(values.dims)), values, cmap="gray", rasterized=True)
    ax.set(title=title, aspect="equal", xticks=[], yticks=[])
figure.savefig("fourier_filter.png", dpi=80)
plt.close(figure)
