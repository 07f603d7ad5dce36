"""How a matrix is taken apart: Gram matrices, Lanczos vectors, non-negative factors, endmembers."""
