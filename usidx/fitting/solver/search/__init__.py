"""What is allowed -> starts of another kind, for spectra whose fit is doubted."""
