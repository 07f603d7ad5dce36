"""Arrays, results and whole files -> the formats of other programs."""
