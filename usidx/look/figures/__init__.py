"""A kind of picture per file: what of labelled arrays and results is shown, in matplotlib or by hvplot."""
