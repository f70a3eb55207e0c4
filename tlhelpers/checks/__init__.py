"""What an argument must be: words, numbers, data, features, files."""
