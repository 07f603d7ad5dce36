"""General-mode Kelvin probe
=========================

General-mode Kelvin probe: tune, recover the force, follow the contact potential, and see how it moves.
"""

import usidx

scan, truth = usidx.simulate.gkpfm((8, 8))  # the potential jumps half way through each record
main = usidx.write(scan, "kelvin_probe.h5")
tune = truth.transfer_function.sel(Frequency=slice(50e3, 90e3))

oscillator = tune.usid.sho_fit()  # the transfer function, by one damped oscillator
raw = usidx.open_main("kelvin_probe.h5", main, chunks={"Y": 4})
found = raw.usid.modes.gkpfm(oscillator, 4e3)
group = found.usid.write()

potential = usidx.open_result("kelvin_probe.h5", group).contact_potential.compute()
error = float(abs(potential - truth.contact_potential).median())
assert error < 2e-3  # V
print(f"{group}: median error {error * 1e3:.1f} mV")
moved = potential.usid.svd(2)
print("shares of the first two components:", moved.explained_variance_ratio.values.round(4))
moved.scores.isel(component=1).usid.plot.map().savefig("scores.png")
potential.usid.plot.spectra().savefig("potential.png")
