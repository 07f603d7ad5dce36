"""Atoms and what moved them
=========================

Two sublattices: atoms found and fitted, how far one kind lies off the cages of the other; the image cleaned.
"""

import matplotlib.pyplot as plt
import numpy as np

import usidx

image, truth = usidx.simulate.atoms((220, 220), spacing=0.4, dumbbell=(0.2, 0.215), sigma=(0.035, 0.045), seed=2)

# Analysis
atoms = image.usid.image.refine_atoms(image.usid.image.find_atoms())
lattice = usidx.image.lattice(atoms)
kind = ((lattice.index_a + lattice.index_b) % 2).values  # its vectors lead from one kind to the other
first, second = atoms.isel(atom=kind == 0), atoms.isel(atom=kind == 1)
shift = usidx.image.displacements(second, first, n=4)
between = usidx.image.neighbours(first, 4).distance.min("neighbour")  # from one layer of atoms to the next
roundness = atoms.sigma_y / atoms.sigma_x
clean = image.usid.image.denoise_patches()

# Truth
off = abs(float(shift.displacement_x.median()))
print(f"{atoms.sizes['atom']} atoms, {int(atoms.converged.sum())} fitted, of {truth.sizes['atom']}")
print(f"off the middle of the cage by {1e3 * off:.1f} pm, where 15 pm are true")
assert abs(off - 0.015) < 0.001
assert np.isclose(roundness.median(), 35 / 45, rtol=0.03)
assert np.isclose(between.median(), 0.4, atol=0.002)
found = np.hypot(atoms.y.values[:, None] - truth.y.values, atoms.x.values[:, None] - truth.x.values).min(axis=1)
assert np.median(found) < 0.002  # nm, an eighth of a pixel

figure, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained")
for one, (title, values) in zip(axes, {"fitted": image, "off the cage": image, "cleaned": clean}.items(), strict=True):
    one.pcolormesh(image.X, image.Y, values, cmap="gray", rasterized=True)
    one.set(title=title, xlabel="X (nm)", aspect="equal")
axes[0].plot(atoms.x, atoms.y, ".", color="tab:red", markersize=3)
axes[1].quiver(shift.x, shift.y, shift.displacement_x, shift.displacement_y, color="tab:orange", scale=0.3)
figure.savefig("atoms.png", dpi=80)
