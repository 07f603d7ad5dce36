"""The parts of the explorer: the page's elements, and the scene that they show."""
