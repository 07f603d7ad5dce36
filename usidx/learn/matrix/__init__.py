"""A labelled array -> rows and columns, and the factors -> labelled results again."""
