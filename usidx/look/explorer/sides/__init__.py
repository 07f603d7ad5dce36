"""The two sides of a view, the map and what belongs to a place of it, with their controls."""
