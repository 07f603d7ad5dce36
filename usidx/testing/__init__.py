"""Kit for tests: files built by plain h5py loops, strategies, assertions."""
