"""What all pictures share: the canvas, colours, numbers on axes, fewer cells than pixels."""
