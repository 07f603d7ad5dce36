"""The files that the app may open, and what is in them."""
