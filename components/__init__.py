"""What exists in a cloud: components that somebody else's program can use too."""
