"""A coarse spectroscopic map laid over the topography of the same place, by three landmarks."""

import matplotlib.pyplot as plt
import numpy as np

import usidx

surface, truth = usidx.simulate.stepped_surface((128, 160), offsets=0.0, particles=6)
topography = usidx.image.flatten(surface, "polynomial", 2)

# The map was taken on a coarse grid, shifted and turned a little.
turn, move = np.deg2rad(3.0), np.array([6e-9, -4e-9])
matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
grid = {"Y": np.linspace(20e-9, 100e-9, 40), "X": np.linspace(20e-9, 130e-9, 40)}
places = np.stack(np.meshgrid(*grid.values(), indexing="ij"), axis=-1) @ matrix.T + move
seen = truth.surface.interp(Y=(("Y", "X"), places[..., 0]), X=(("Y", "X"), places[..., 1])).drop_vars(["Y", "X"])
sts = usidx.set_roles(seen.assign_coords({k: (k, v, {"units": "m"}) for k, v in grid.items()}), position=["Y", "X"])

corners = np.array([(30e-9, 30e-9), (30e-9, 120e-9), (90e-9, 60e-9)])  # found in both images
landmarks = np.stack([corners, corners @ matrix.T + move], axis=1)
# Analysis
over = usidx.image.register(sts, topography, model="affine", landmarks=landmarks)

# Truth
off = (over - truth.surface).where(np.isfinite(over))
print(
    f"{float(np.isfinite(over).mean()):.0%} of the topography has a value of the map, off by {float(off.std()):.2f} nm"
)
assert float(abs(off).median()) < 0.1
assert over.Y.equals(topography.Y)

figure, axes = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
axes[0].imshow(topography, cmap="afmhot", vmin=-1, vmax=4, origin="lower")
axes[1].imshow(topography, cmap="gray", vmin=-1, vmax=4, origin="lower")
axes[1].imshow(over, alpha=0.6, vmin=0, vmax=4, origin="lower")
for ax, title in zip(axes, ("topography", "with the map over it"), strict=True):
    ax.set(title=title, xticks=[], yticks=[])
figure.savefig("registration.png", dpi=80)
plt.close(figure)
