"""Choose what learns, how fast, and train it."""
