"""A Raman map unmixed
===================

From raw counts to the spectra of what is in a sample, to maps of where it is, and to one line at each position.
"""

import numpy as np

import usidx

counts, truth = usidx.simulate.spectrum_image((24, 32), 256, technique="raman", counts=400)
main = usidx.write(counts, "raman.h5")

raw = usidx.open_main("raman.h5", main)  # lazy, dims (Y, X, Raman_Shift)
raw.usid.plot.spectra(limit=3).savefig("raw.png")

# %%
# Counts have noise that grows with them: ``scale="poisson"`` gives faint lines their weight.

found = raw.usid.nmf(3, scale="poisson").compute()
found.usid.plot.maps().savefig("maps.png")

# %%
# The components are spectra. Each is compared with the one of the simulation that it is most like.

found.components.usid.plot.spectra().savefig("components.png")

alike = np.corrcoef(found.components.values, truth.components.values)[:3, 3:].max(axis=1)
print("likeness to the truth:", alike.round(3))
print(found.usid.write())
assert alike.min() > 0.9

# %%
# A line is fitted at every position, with standard errors.

line = raw.sel(Raman_Shift=slice(350, 470))
fit = line.usid.fit(
    usidx.models.Lorentzian() + usidx.models.Linear(), dim="Raman_Shift", bounds={"sigma": (2, 60)}
).compute()
fit.usid.plot.maps(variables=["amplitude", "center", "center_stderr"], robust=True).savefig("line.png")
