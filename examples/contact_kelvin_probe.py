"""Contact Kelvin probe
====================

Contact Kelvin probe: junction potentials after each write voltage, and what they have in common.
"""

import usidx

scan, truth = usidx.simulate.ckpfm((16, 16), 48, write_steps=16, noise=0.01)
usidx.write(scan, "kelvin.h5")

raw = usidx.open_main("kelvin.h5")  # lazy, dims (Y, X, write_bias, read_bias, Frequency)
fitted = usidx.open_result("kelvin.h5", raw.usid.sho_fit().usid.write())
signed = fitted.usid.correct_phase().usid.response(sensitivity=1e5, units="pm")
found = usidx.open_result("kelvin.h5", fitted.usid.modes.jcpd().usid.write()).compute()

potential = found.junction_potential.where(found.converged)
outliers = abs(potential - potential.median(["Y", "X"])) > 5 * potential.std(["Y", "X"])
parts = {"response": signed, "potential": potential.fillna(0), "slope": found.slope, "intercept": found.intercept}
shares = {name: one.compute().usid.svd(3).explained_variance_ratio.values for name, one in parts.items()}

potential.isel(write_bias=[4, 12]).usid.plot.maps("write_bias").savefig("potentials.png")
potential.usid.plot.spectra("write_bias", limit=4).savefig("potential-loops.png")
potential.to_dataframe().to_csv("potential.csv")

print(f"{int(outliers.sum())} outliers; the first component has {shares['potential'][0]:.0%} of what potentials do")
assert abs(found.junction_potential - truth.junction_potential).median() < 0.02  # V
assert 0.6 < (abs(found.junction_potential - truth.junction_potential) < found.junction_potential_stderr).mean() < 0.75
