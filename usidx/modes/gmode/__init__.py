"""General mode: the whole response of a line as it was digitised, and what is made of it."""
