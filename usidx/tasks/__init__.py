"""Passes over blocks, the graphs that make them, and the threads that run them; all that knows dask's inside."""

from usidx.tasks.process import fork as _fork  # noqa: F401 - importing it is all that it takes
