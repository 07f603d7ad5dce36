"""What a view is made of, for the app and for the explorer."""
