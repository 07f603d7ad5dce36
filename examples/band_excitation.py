"""Band excitation: from scan to fit
=================================

A band-excitation scan: decompose, cluster, fit, write back, and open the results again.
"""

import usidx

scan, truth = usidx.simulate.band_excitation((48, 48), 64)
main = usidx.write(scan, "band_excitation.h5")  # another run adds another measurement

raw = usidx.open_main("band_excitation.h5", main)  # lazy: only what is looked at is read
print(raw.usid)

svd = raw.usid.svd(8)
clusters = svd.usid.cluster("kmeans", 4)
fit = raw.usid.fit(usidx.models.SHO(), dim="Frequency")
groups = [result.usid.write() for result in (svd, clusters, fit)]
print("wrote", *groups, sep="\n  ")

again = usidx.open_result("band_excitation.h5", groups[2]).compute()
error = abs(again.frequency - truth.frequency).median()
print(f"median error of the resonance frequency: {float(error):.1f} Hz")
print(again.usid.history)

again.usid.plot.maps(variables=["amplitude", "frequency", "quality_factor", "phase"]).savefig("fit.png")
usidx.open_result("band_excitation.h5", groups[1]).usid.plot.clusters().savefig("clusters.png")
