"""Cells of atoms and the strain in them; and an image of which most pixels are missing, filled in again."""

import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial import Voronoi, voronoi_plot_2d

import usidx

image, truth = usidx.simulate.atoms((160, 160), strain=0.02, seed=1)  # the right half is 2 % longer

# Of a sparse scan one pixel in three is measured.
measured = np.random.default_rng(0).random(image.shape) < 0.33
places = {
    n: ("position", c[measured], {"units": "nm"})
    for n, c in zip("YX", np.meshgrid(image.Y, image.X, indexing="ij"), strict=True)
}
sparse = usidx.set_roles(
    image.stack(position=["Y", "X"])[measured.ravel()].drop_vars(["position", "Y", "X"]).assign_coords(places),
    position=["position", "Y", "X"],
)

# Analysis
atoms = image.usid.image.refine_atoms(image.usid.image.find_atoms())
nearest = usidx.image.neighbours(atoms, 4)
left = atoms.isel(atom=atoms.x.values < 1.4)
strain = usidx.image.strain(atoms, usidx.image.lattice(left))
cells = Voronoi(np.stack([atoms.x, atoms.y], axis=1))
filled = usidx.image.regrid(sparse, image.shape, "linear")

# Truth
right = float(strain.strain_xx[atoms.x.values > 1.9].mean())
print(f"strain of {right:.4f} where 0.02 is true; {float(nearest.distance.median()):.3f} nm from atom to atom")
assert abs(right - 0.02) < 0.0005
assert np.nanstd(filled.values - image.values) < 0.2

figure, axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
voronoi_plot_2d(cells, axes[0], show_vertices=False, point_size=2)
axes[0].set(title="cells", xlim=(0, 3), ylim=(0, 3), aspect="equal")
figure.colorbar(axes[1].scatter(atoms.x, atoms.y, c=100 * strain.strain_xx, s=12), ax=axes[1], label="strain (%)")
axes[1].set(title="strain along x", aspect="equal")
axes[2].pcolormesh(filled.X, filled.Y, filled, cmap="gray", rasterized=True)
axes[2].set(title="filled in", aspect="equal")
figure.savefig("structural_units.png", dpi=80)
plt.close(figure)
