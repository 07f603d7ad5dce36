"""Passes over blocks, the graphs that make them, and the threads that run them; all that knows dask's inside."""
