"""A band-excitation scan: decompose, cluster, fit, write back, and open the results again."""

import usidx

scan, truth = usidx.simulate.band_excitation((48, 48), 64)
usidx.write(scan, "band_excitation.h5")

raw = usidx.open_main("band_excitation.h5")  # lazy: only what is looked at is read
print(raw.usid)

svd = raw.usid.svd(8)
clusters = svd.usid.cluster("kmeans", 4)
fit = raw.usid.fit(usidx.models.SHO(), dim="Frequency")
for result in (svd, clusters, fit):
    print("wrote", result.usid.write())

again = usidx.open_result("band_excitation.h5", "SHO_Fit_000").compute()
error = abs(again.frequency - truth.frequency).median()
print(f"median error of the resonance frequency: {float(error):.1f} Hz")
print(again.usid.history)

again.usid.plot_maps(variables=["amplitude", "frequency", "quality_factor", "phase"]).savefig("fit.png")
usidx.open_result("band_excitation.h5", "Cluster_000").usid.plot_clusters().savefig("clusters.png")
