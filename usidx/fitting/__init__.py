"""Curve fits per cell.

The way of the data: `fit` checks what it is given (`arguments`, `axes`); `table` cuts labelled arrays into blocks
(`blocks`) and has each block fitted (`solver`) to a row of figures for each spectrum; `results` gives the columns
their names and units. `evaluate` and `compare` work on such results.

The way of a model: a shape or a text of `models` gives a graph of `formula`, from which follow its derivatives and,
in `compile`, a list of instructions. These become one loop of machine code (`compile.llvm`), or are carried out one by
one (`compile.interpreter`).

The way of a spectrum: `solver.compiled` fills the tables whose places `compile.layout` names and hands slices to
`kernels.spectra`, which looks for start values, improves them and writes the figures. Python functions that write down
their own formula (`models.functions`) go this way too; the others are called and go the same way in NumPy
(`solver.numpy_solver`). What failed is tried a second time from its neighbours (`solver.neighbours`).
"""
