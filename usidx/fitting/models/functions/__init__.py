"""Python functions as models: followed, called, combined with others."""
