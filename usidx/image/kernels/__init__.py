"""NumPy images -> moved, compared, fitted: what the verbs over two dims do with each block."""
