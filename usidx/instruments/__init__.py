"""Files of instruments -> trees of labelled, lazy arrays, and measurements of a USID file; and out again."""
