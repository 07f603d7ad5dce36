"""How spectra are put into clusters: k-means, Ward's method, those that need all spectra in memory."""
