"""Cores and threads of this process, of BLAS too, and what it needs where it is forked."""
