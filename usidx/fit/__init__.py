"""Curve fits per cell.

The way of the data: `fit` checks what it is given (`checks`, `sweep`, `tied`); `table` cuts labelled arrays into blocks
(`inputs`), and has each block fitted (`solving`) to a row of figures for each spectrum, and what failed a second time
(`retry`); `tabulate` gives the columns their names and units. `evaluate` and `compare` work on such results.

The way of a model: shapes (`curves`, `peaks`, `lineshapes`, ..., all on the base in `model`) and texts (`expression`)
give a graph (`symbols`, `pairs`), from which follow its derivatives and a list of instructions (`program`); these
become one loop of machine code (`fused`), or are carried out one by one (`machine`, `normal`).

The way of a spectrum, in machine code: `solve` fills the tables whose places `recipe` names and hands slices to
`batch`, which looks for start values (`starts`, `resonance`; `templates` for all at once), improves them (`levenberg`,
`linear`) and writes the figures. Python functions (`functions`) that write down their own formula (`tracing`, `ufuncs`,
`followed`) go this way too; the others are called (`calls`) and go the same way in NumPy (`numeric`).
"""
