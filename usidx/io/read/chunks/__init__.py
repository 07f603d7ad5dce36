"""Stored chunks -> arrays: where each chunk lies, how it is read and decoded, without HDF5 where that is safe."""
