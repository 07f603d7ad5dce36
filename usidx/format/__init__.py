"""What a USID file is: names, layout, grid. Knows NumPy only."""
