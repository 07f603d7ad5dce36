"""The way of one spectrum in machine code: start values, Levenberg-Marquardt steps, figures."""
